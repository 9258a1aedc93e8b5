"""The head of a lane's queue, sorted out: who is sent to, who waits, who is closed, who belongs elsewhere.

Messages are looked at in a batch's order (priority, then the campaign's order of segments, then first come) and in
pages, each with everything that its verdicts need in a few queries: no query per message. Nothing is written here
but by `close`.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from sqlalchemy.ext.asyncio import AsyncConnection

from config.addresses import normalise
from dispatcher.core import audience
from dispatcher.core.audience import Candidate, Skip, Verdict, Wait
from dispatcher.core.lanes import Route, route
from dispatcher.core.model import Campaign, Customer, Message
from dispatcher.engine.book import CampaignBook
from dispatcher.engine.standing import Standing
from dispatcher.policy import Policy
from dispatcher.store import controls, queue, tallies
from dispatcher.store.queue import Claimed
from dispatcher.store.rows import AnyRow
from dispatcher.store.tallies import Deltas, Run

PAGE = 500
BREATH = 25
"""Messages that are looked at before other work gets a turn: some 0.3 ms, so that no lane's start waits for another's
release."""


@dataclass(slots=True)   # not frozen: made once for every message
class Ready:
    """A message that may leave now, with all that its delivery needs."""

    message: Message
    customer: Customer
    campaign: Campaign
    route: Route


@dataclass(slots=True)
class Sorted:
    """What the look at a queue's head came to."""

    ready: list[Ready] = field(default_factory=list)
    skips: defaultdict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    waits: defaultdict[int, list[Message]] = field(default_factory=lambda: defaultdict(list))
    moves: list[tuple[Message, str, str, int, str]] = field(default_factory=list)
    reached: Counter[tuple[str, str]] = field(default_factory=Counter)   # (customer, category) of the ready ones
    looked: int = 0
    ended: bool = False     # the queue has nothing more

    @property
    def passed_over(self) -> int:
        """How many were looked at and cannot leave."""
        return self.looked - len(self.ready)


@dataclass(frozen=True, slots=True)
class Look:
    """How far to look: until so many may leave, and at no more than so many."""

    wanted: int
    at_most: int


@dataclass(frozen=True, slots=True)
class View:
    """What a look goes by."""

    policy: Policy
    book: CampaignBook
    standing: Standing      # holds and the rest that covers whole campaigns, read in this transaction
    now: int


async def sort_out(tx: AsyncConnection, lane: str, look: Look, view: View) -> Sorted:
    """Look at the head of a lane's queue, in order."""
    result = Sorted()
    runs = [run for run in await tallies.runs(tx, lane, "queued") if view.standing.allows(run.campaign)]
    for _, group in groupby(runs, key=lambda run: (run.priority, run.rank)):
        # One for each campaign: two of its segments share a rank where it was applied anew in another order.
        readers = [_Reader(lane, run, view) for run in {run.campaign: run for run in group}.values()]
        while len(result.ready) < look.wanted and result.looked < look.at_most:
            first = await _first(tx, readers, min(PAGE, look.wanted - len(result.ready) + 10))
            if first is None:
                break
            result.looked += 1
            if result.looked % BREATH == 0:
                await asyncio.sleep(0)
            _place(first.take(), lane, view, result)
        else:
            return result
    result.ended = True
    return result


async def close(tx: AsyncConnection, found: Sorted, now: int, deltas: Deltas) -> None:
    """Write down what cannot leave: skips with their reason, waits with their time, moves to other lanes."""
    for reason, messages in found.skips.items():
        await queue.skip(tx, messages, reason, now, deltas)
    for until, messages in found.waits.items():
        await queue.postpone(tx, messages, until, "quiet_hours", deltas)
    await queue.reroute(tx, found.moves, deltas)


@dataclass(slots=True)   # not frozen: made once for every message
class _Look:
    """A message with what its verdict needs."""

    claimed: Claimed
    campaign: Campaign
    page: "_Page"


@dataclass(slots=True)
class _Page:
    """Facts about one page's customers."""

    suppressed: dict[tuple[str, str], str]
    contacts: dict[str, list[int]]
    sequences: dict[str, int]


class _Reader:
    """One run of a lane, read page by page."""

    def __init__(self, lane: str, run: Run, view: View) -> None:
        self._lane, self._run, self._view = lane, run, view
        self._page: deque[_Look] = deque()
        self._after = 0
        self._more = True

    def peek(self) -> int | None:
        """The id of the next message."""
        return self._page[0].claimed.message.id if self._page else None

    def take(self) -> _Look:
        """The next message."""
        return self._page.popleft()

    async def fill(self, tx: AsyncConnection, size: int) -> None:
        """Read the next page, if the one at hand is used up."""
        if self._page or not self._more:
            return
        run = self._run
        found = await queue.head(tx, self._lane, (run.campaign, run.priority, run.rank), self._after, size)
        rows = await _decoded(found)
        self._more = len(rows) == size
        if rows:
            self._after = rows[-1].message.id
            page = await _facts(tx, rows, run.campaign, self._view)
            for row in rows:
                version = row.message.version or self._view.standing.version(run.campaign)
                campaign = await self._view.book.version(tx, run.campaign, version)
                self._page.append(_Look(row, campaign, page))


async def _decoded(rows: Sequence[AnyRow]) -> list[Claimed]:
    """Messages and customers of rows; other work gets a turn in between."""
    claimed = []
    for number, row in enumerate(rows, 1):
        claimed.append(queue.claimed_of(row))
        if number % BREATH == 0:
            await asyncio.sleep(0)
    return claimed


async def _first(tx: AsyncConnection, readers: Sequence[_Reader], size: int) -> _Reader | None:
    """The reader whose next message came first."""
    best: _Reader | None = None
    best_id = 0
    for reader in readers:
        await reader.fill(tx, size)
        number = reader.peek()
        if number is not None and (best is None or number < best_id):
            best, best_id = reader, number
    return best


async def _facts(tx: AsyncConnection, rows: Sequence[Claimed], campaign: str, view: View) -> _Page:
    addresses = [normalise(row.customer.email) for row in rows if row.customer is not None and row.customer.email]
    ids = [row.message.customer for row in rows]
    category, incident = view.standing.category(campaign), view.standing.incident(campaign)
    cap = view.policy.rules.caps.get(category)
    return _Page(
        suppressed=await controls.suppressed(tx, addresses),
        contacts=await controls.contacts(tx, ids, category, view.now - cap.within) if cap is not None else {},
        sequences=await controls.latest_sequences(tx, incident, ids) if incident else {},
    )


def _place(look: _Look, lane: str, view: View, result: Sorted) -> None:
    """Put one message where its verdict sends it."""
    message, campaign = look.claimed.message, look.campaign
    customer = _as_then(look.claimed)
    way = route(campaign, customer, view.policy.channels, view.policy.provider_of) if customer else Route()
    verdict = _verdict(look, customer, way, result.reached, view)
    if isinstance(verdict, Skip):
        result.skips[verdict.reason].append(message)
    elif (way.segment, way.rank, way.lane) != (message.segment, message.rank, lane):
        result.moves.append((message, "queued", way.segment, way.rank, way.lane))
    elif isinstance(verdict, Wait):
        result.waits[verdict.until].append(message)
    elif customer is not None:
        result.ready.append(Ready(message, customer, campaign, way))
        result.reached[message.customer, campaign.category] += 1


def _verdict(
    look: _Look, customer: Customer | None, way: Route, reached: Counter[tuple[str, str]], view: View
) -> Verdict:
    message, campaign = look.claimed.message, look.campaign
    # A copy of what was perhaps sent is no further contact; the cap was asked at its first release.
    contacts: Sequence[int] = look.page.contacts.get(message.customer, ()) if not message.doubts else ()
    just_now = reached.get((message.customer, campaign.category), 0)
    if just_now and not message.doubts:
        contacts = [*contacts, *[view.now] * just_now]
    # Active is who is active now, also where the words still go to the customer as he was.
    latest = look.claimed.customer
    return audience.verdict(
        Candidate(
            campaign=campaign, customer=latest if latest is not None else customer, route=way,
            expires_at=message.expires_at,
            suppressed=_suppressed(look.page, way.address, campaign.category),
            superseded=look.page.sequences.get(message.customer, 0) > campaign.sequence,
            contacts=contacts,
            canceled=view.standing.canceled(message.campaign),
        ),
        view.policy.rules, view.now,
    )


def _suppressed(page: _Page, address: str, category: str) -> str:
    """Why an address gets nothing, "" if it may; most pages have no suppressed address at all."""
    return controls.reason_for(page.suppressed, normalise(address), category) if page.suppressed and address else ""


def _as_then(claimed: Claimed) -> Customer | None:
    """The customer whose words go out: as at the first release, while the address is still the same."""
    then, latest = claimed.snapshot, claimed.customer
    return then if then is not None and latest is not None and then.email == latest.email else latest
