"""The release of a lane's slot: one transaction, at most one for each slot, whatever runs beside it.

In it: the ledger is read, the slot is sized, the queue's head is sorted out, the batch is written as spent, its
messages become `sending`. Nothing leaves before this has been committed (promise P4), and the step's sum stands in
the same transaction as the sum of what it allows (promise P3). Those that start within moments are marked as perhaps
handed over here: a mark of their own might have to wait for another lane's release, and they would be late.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from config.ramps import Ramp
from dispatcher.core.calendar import Slot, next_slot
from dispatcher.core.model import Message
from dispatcher.core.portions import portion_size
from dispatcher.core.quotas import Meter, Purse
from dispatcher.core.ramp import Brakes, allowance, look_on, release_size, start_time
from dispatcher.core.reputation import Reputation, bound_at, is_held
from dispatcher.core.states import State
from dispatcher.engine import canary, evidence
from dispatcher.engine.sorting import Look, Ready, Sorted, View, close, sort_out
from dispatcher.store import changes, ledger, owners, parts, queue
from dispatcher.store.changes import Change
from dispatcher.store.tallies import Deltas, apply

NEVER = 2**62
SOON = 250
"""Milliseconds after a release within which a message's start is too near for a mark of its own."""
MARKED = 250
"""Messages that a release marks at most: those of a batch that is cut off by a crash would all be in doubt."""
AHEAD = 500
"""Messages beyond its size that a release looks at; where more than those cannot leave, a sweep goes ahead of it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one slot of a lane released."""

    lane: str
    slot: Slot
    ready: Sequence[Ready]
    allowance: int
    released_at: int
    own: int                    # so many of the first are ours to deliver
    marked: int = 0             # so many of the first are marked as perhaps handed over
    size: int = 0               # of the whole batch, where others deliver of it too; else 0
    first: int = 0              # the number of our first one in the whole


@dataclass(frozen=True, slots=True)
class Released:
    """What became of a slot."""

    batch: Batch | None = None
    held: str = ""              # why nothing may leave
    crowded: bool = False       # the queue's head is full of messages that cannot leave: sweep it
    empty: bool = False         # nothing was due
    moved: bool = False         # some messages now stand elsewhere: in another lane, or at another rank of this one
    waits_until: int = NEVER    # the first instant that messages were put off to
    look_again: int = 0         # where nothing was released: when that may have changed by itself
    reputation: Reputation | None = None    # what the lane has come to, where that was looked at


@dataclass(frozen=True, slots=True)
class Ask:
    """A slot that is to be released."""

    lane: str
    ramp: Ramp
    slot: Slot
    pending: int                # released by earlier slots of the lane, hand-over not begun; of ours
    owner: int = 0              # the instance that we are, where several daemons may share the store
    living: int = 1             # how many they are


async def release(tx: AsyncConnection, ask: Ask, view: View) -> Released:
    """Release a slot, if it may and has not been; the caller commits."""
    hold = view.standing.lane_hold(ask.lane)
    if hold is not None:
        return Released(held=hold.reason, look_again=hold.until or NEVER)
    # First of all what the slots before have brought: it may blame the step that the allowance follows from.
    reputation = await evidence.judge(tx, ask.lane, ask.slot, view.policy.lines, view.now)
    book = await ledger.read(tx, ask.lane, ask.slot.step_start, ask.slot.step_end, ask.ramp)
    if ask.slot.start < book.last_slot_end or await ledger.slot_taken(tx, ask.lane, ask.slot.start):
        # Released before, or in the time of one that was.
        return Released(look_again=book.last_slot_end, reputation=reputation)
    if is_held(reputation, view.now):
        return Released(held=reputation.cause, look_again=reputation.held_until or NEVER, reputation=reputation)
    allowed = allowance(ask.ramp, book.past, ask.slot.step_start).value
    pending = ask.pending + (await owners.not_begun(tx, ask.lane, ask.owner) if ask.owner else 0)
    brakes = Brakes(pending, reputation.share, bound_at(reputation, view.now))
    size = release_size(ask.ramp, allowed, ask.slot, view.now, book.spent, brakes)
    wanted = size.value
    if wanted <= 0:
        return Released(look_again=look_on(ask.ramp, allowed, ask.slot, book.spent, brakes), reputation=reputation)
    purse = Purse(Meter(view.standing.bounds), ask.lane, ask.slot, view.now)
    found = await sort_out(tx, ask.lane, Look(wanted, wanted + AHEAD, purse), view)
    deltas = Deltas()
    await close(tx, found, view.now, deltas)
    judged_at, marked, own = NEVER, 0, _own(ask, len(found.ready), view.now)
    if found.ready:
        marked = min(_soon(ask.slot, len(found.ready), view.now), own)
        whole = own == len(found.ready)
        await _reserve(tx, ask, found, allowed, view.now, ask.owner if ask.owner and whole else None)
        if not whole:
            await _share(tx, ask, found, own)
        await queue.begin(tx, [one.message.id for one in found.ready[:marked]])
        judged_at = await canary.count_out(tx, view.standing, found.ready, purse)
        reputation = await evidence.released(tx, ask.lane, ask.slot, reputation, view.now)
        for one in found.ready:
            deltas.move(queue.place(one.message, State.QUEUED), queue.place(one.message, State.SENDING))
    await apply(tx, deltas)
    batch = Batch(ask.lane, ask.slot, found.ready, allowed, view.now, own, marked,
                  len(found.ready) if own < len(found.ready) else 0) if found.ready else None
    empty = found.ended and not found.ready and purse.stopped_by is None
    crowded = len(found.ready) < wanted and not found.ended
    return Released(batch, crowded=crowded, empty=empty, moved=bool(found.moves),
                    waits_until=min([judged_at, *found.waits]), look_again=_look_again(ask, found, purse, view.now),
                    reputation=reputation)


def _own(ask: Ask, size: int, now: int) -> int:
    """How many of a batch are ours to deliver: all of it, or, where there are others, the first portion."""
    return size if ask.living <= 1 else portion_size(size, max(ask.slot.start, now), ask.slot.end)


async def _share(tx: AsyncConnection, ask: Ask, found: Sorted, own: int) -> None:
    """The first of a batch are ours; whoever has room takes of the others, portion by portion (portions.py)."""
    await owners.own(tx, [one.message.id for one in found.ready[:own]], ask.owner)
    await changes.tell(tx, Change.NEWS)


def _soon(slot: Slot, size: int, now: int) -> int:
    """How many of a batch start so soon that they are marked at once."""
    most = min(size, MARKED)
    begin = max(slot.start, now)
    return sum(start_time(begin, slot.end, size, number) < begin + SOON for number in range(most))


def _look_again(ask: Ask, found: Sorted, purse: Purse, now: int) -> int:
    """Where nothing was released: when that may have changed by itself."""
    if found.ready or not found.ended:
        return 0
    if purse.stopped_by is not None:    # a bound over several lanes: the slot is gone, and the next may be a while away
        return next_slot(ask.ramp, ask.lane, max(ask.slot.end, purse.opens_at())).start
    return found.resumes_at if found.resumes_at > now else NEVER


async def sweep(tx: AsyncConnection, lane: str, wanted: int, view: View) -> Released:
    """Close, ahead of a slot, what stands at the head of the queue and cannot leave; crowded: there is more."""
    if view.standing.lane_hold(lane) is not None:
        return Released()
    found = await sort_out(tx, lane, Look(wanted, wanted + AHEAD), view)
    deltas = Deltas()
    await close(tx, found, view.now, deltas)
    await apply(tx, deltas)
    return Released(crowded=len(found.ready) < wanted and not found.ended, moved=bool(found.moves),
                    waits_until=min(found.waits, default=NEVER))


async def _reserve(
    tx: AsyncConnection, ask: Ask, found: Sorted, allowed: int, now: int, owner: int | None
) -> None:
    await ledger.reserve(tx, ask.lane, ask.slot, len(found.ready), allowed, now)
    await parts.write(tx, ask.lane, ask.slot.start, now, [
        (one.message.campaign, one.message.segment, one.message.released_at is None) for one in found.ready
    ])
    by_version: defaultdict[int, list[Message]] = defaultdict(list)
    for one in found.ready:
        by_version[one.campaign.version].append(one.message)
    for version, messages in by_version.items():
        await queue.take(tx, messages, version, ask.slot.start, now, owner)


