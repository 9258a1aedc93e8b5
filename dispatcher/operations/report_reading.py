"""All that a campaign's report needs from the store, in many short transactions: a large campaign delays nobody.

What is read is bounded: a report of more than 100,000 parts of batches, or 20,000 events, says that it is not complete.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from dispatcher.core.slips import Promised
from dispatcher.engine.works import Works
from dispatcher.operations.office import OperationError
from dispatcher.store import campaigns, events, parts, plans, reading, report_reads
from dispatcher.store.campaigns import StoredCampaign
from dispatcher.store.events import Event
from dispatcher.store.parts import Part
from dispatcher.store.plans import Promise
from dispatcher.store.report_reads import OtherPart, SlotRow, Tried

PAGE: Final = 1_000
"""Messages that one transaction looks at: some 3 ms."""
CHUNK: Final = 5_000
"""Rows of batches in one transaction."""
MOST: Final = 100_000
MOST_EVENTS: Final = 20_000
BEFORE: Final = 2 * 86_400_000
"""Milliseconds before the promise from which on events are looked at: what began then may have lasted."""


@dataclass(slots=True)
class Found:
    """What the store says."""

    stored: StoredCampaign
    now: int
    promise: Promise | None
    standing: Sequence[tuple[str, str, str, int]]            # (segment, state, reason, count)
    by_lane: Sequence[tuple[str, str, str, int]]             # (lane, state, reason, count)
    events: Sequence[Event] = ()
    parts: list[Part] = field(default_factory=list)
    tried: dict[tuple[str, int, str], Tried] = field(default_factory=dict)
    pruned: int = 0                                          # attempts of which nothing is kept: `tried` is empty then
    again: Counter[tuple[str, int, str]] = field(default_factory=Counter)   # further attempts, by what was before
    gone: Counter[tuple[str, int, str]] = field(default_factory=Counter)    # (lane, to the second, reason) of skipped
    deferred: Counter[str] = field(default_factory=Counter)  # by segment, now
    leaving: Counter[tuple[str, int]] = field(default_factory=Counter)  # by lane and slot: no attempt as yet
    sent: Counter[str] = field(default_factory=Counter)      # by segment: with an attempt, or leaving
    messages: int = 0
    added: int = 0                                           # accepted after the promise
    slots: dict[str, list[SlotRow]] = field(default_factory=dict)
    others: list[OtherPart] = field(default_factory=list)
    started: dict[str, int] = field(default_factory=dict)    # other campaigns
    complete: bool = True

    @property
    def since(self) -> int:
        """The instant from which on the report looks."""
        first = min((part.slot for part in self.parts), default=self.now)
        return min(first, self.promise.stored_at) if self.promise is not None else first

    @property
    def lanes(self) -> list[str]:
        """The lanes that the campaign was promised, or used, or stands in."""
        promised = {batch.lane for batch in self.promise.batches} if self.promise is not None else set()
        used = {part.lane for part in self.parts} | {lane for lane, _, _, _ in self.by_lane}
        return sorted(lane for lane in promised | used if lane)

    def firsts(self) -> Counter[tuple[str, int]]:
        """What slots (lane, start) sent of the campaign for the first time.

        What was released, and put back before it left, is not among it; where attempts are pruned nobody can tell.
        """
        if self.pruned:
            return _summed(((part.lane, part.slot), part.first) for part in self.parts)
        return self.leaving + _summed(((one.lane, one.slot), one.firsts) for one in self.tried.values())

    @property
    def promised(self) -> list[Promised]:
        """The promised batches, as they are matched."""
        if self.promise is None:
            return []
        return [Promised(batch.lane, batch.at, batch.until, batch.size) for batch in self.promise.batches]


async def read(works: Works, campaign: str, now: int) -> Found:
    """Everything of one campaign; OperationError where there is none of this name."""
    found = await _heading(works, campaign, now)
    await _parts(works, campaign, found)
    await _messages(works, campaign, found)
    async with works.database.transaction() as tx:
        found.events = await events.between(tx, found.since - BEFORE, now + 1, MOST_EVENTS)
    found.complete &= len(found.events) < MOST_EVENTS
    for lane in found.lanes:
        await _slots(works, lane, found)
        await _others(works, campaign, lane, found)
    async with works.database.transaction() as tx:
        found.started = await report_reads.started(tx, sorted({part.campaign for part in found.others}))
    return found


async def _heading(works: Works, campaign: str, now: int) -> Found:
    async with works.database.transaction() as tx:
        stored = await campaigns.get(tx, campaign)
        if stored is None:
            raise OperationError("unknown", f"no campaign is called {campaign}; apply it first")
        kept = await plans.get(tx, campaign)
        standing = await reading.counts_of(tx, campaign)
        by_lane = await report_reads.counts_by_lane(tx, campaign)
    promise = await works.clock.aside(lambda: plans.read(*kept)) if kept is not None else None
    return Found(stored, now, promise, standing, by_lane)


async def _parts(works: Works, campaign: str, found: Found) -> None:
    """What batches had of the campaign. A chunk that may end within a slot leaves its last slot to the next."""
    after, size = -1, CHUNK
    while len(found.parts) < MOST:
        async with works.database.transaction() as tx:
            some = await parts.of_campaign(tx, campaign, after, size)
        if len(some) < size:
            found.parts += some
            return
        whole = [part for part in some if part.slot < some[-1].slot]
        if not whole:
            size *= 2       # more parts in one slot than a chunk has
            continue
        found.parts += whole
        after = whole[-1].slot
    found.complete = False


async def _messages(works: Works, campaign: str, found: Found) -> None:
    since = found.promise.stored_at if found.promise is not None else found.now
    after = ""
    while True:
        async with works.database.transaction() as tx:
            page = await report_reads.page(tx, campaign, after, PAGE, since)
        if page.last_key is None:
            break
        after = page.last_key
        found.messages += page.count
        found.added += page.added
        found.deferred.update(page.deferred)
        found.leaving.update(page.leaving)
        found.sent.update(page.sent)
        found.pruned += page.pruned
        report_reads.add(found.tried, page.tried)
        for again in page.again:
            found.again[again.lane, again.slot, again.before] += again.count
        for gone in page.gone:
            found.gone[gone.lane, gone.at // 1000 * 1000, gone.reason] += gone.count
    if found.pruned:
        found.tried.clear()     # half of the attempts would be wrong figures


def _summed(counts: Iterable[tuple[tuple[str, int], int]]) -> Counter[tuple[str, int]]:
    total: Counter[tuple[str, int]] = Counter()
    for key, count in counts:
        total[key] += count
    return total


async def _slots(works: Works, lane: str, found: Found) -> None:
    """The lane's batches since the report begins, of all campaigns."""
    mine: list[SlotRow] = []
    after = found.since - 1
    while len(mine) < MOST:
        async with works.database.transaction() as tx:
            some = await report_reads.slots(tx, lane, after, CHUNK)
        mine += some
        if len(some) < CHUNK:
            break
        after = some[-1].slot
    else:
        found.complete = False
    found.slots[lane] = mine


async def _others(works: Works, campaign: str, lane: str, found: Found) -> None:
    after = (found.since - 1, "")
    while len(found.others) < MOST:
        async with works.database.transaction() as tx:
            some = await report_reads.other_parts(tx, campaign, lane, after, CHUNK)
        found.others += some
        if len(some) < CHUNK:
            return
        after = (some[-1].slot, some[-1].campaign)
    found.complete = False
