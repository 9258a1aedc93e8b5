"""The release of a lane's slot: one transaction, at most one for each slot, whatever runs beside it.

In it: the ledger is read, the slot is sized, the queue's head is sorted out, the batch is written as spent, its
messages become `sending`. Nothing leaves before this has been committed (promise P4), and the step's sum stands in
the same transaction as the sum of what it allows (promise P3).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from config.ramps import Ramp
from dispatcher.core.calendar import Slot
from dispatcher.core.lane_health import HEALTHY, LaneHealth
from dispatcher.core.model import Message
from dispatcher.core.ramp import Brakes, allowance, look_on, release_size
from dispatcher.core.states import State
from dispatcher.engine.sorting import Look, Ready, Sorted, View, close, sort_out
from dispatcher.store import ledger, queue
from dispatcher.store.tallies import Deltas, apply

NEVER = 2**62
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


@dataclass(frozen=True, slots=True)
class Ask:
    """A slot that is to be released."""

    lane: str
    ramp: Ramp
    slot: Slot
    pending: int                # released by earlier slots of the lane, hand-over not begun
    health: LaneHealth = HEALTHY   # of its server: while that asks for less, less is released


async def release(tx: AsyncConnection, ask: Ask, view: View) -> Released:
    """Release a slot, if it may and has not been; the caller commits."""
    hold = view.standing.lane_hold(ask.lane)
    if hold is not None:
        return Released(held=hold.reason, look_again=hold.until or NEVER)
    book = await ledger.read(tx, ask.lane, ask.slot.step_start, ask.slot.step_end)
    if ask.slot.start < book.last_slot_end or await ledger.slot_taken(tx, ask.lane, ask.slot.start):
        return Released(look_again=book.last_slot_end)   # released before, or in the time of one that was
    allowed = allowance(ask.ramp, book.past, ask.slot.step_start).value
    share = ask.health.share
    size = release_size(ask.ramp, allowed, ask.slot, view.now, book.spent, Brakes(ask.pending, share))
    wanted = size.value
    if wanted <= 0:
        return Released(look_again=look_on(ask.ramp, allowed, ask.slot, book.spent, share))
    found = await sort_out(tx, ask.lane, Look(wanted, wanted + AHEAD), view)
    deltas = Deltas()
    await close(tx, found, view.now, deltas)
    if found.ready:
        await _reserve(tx, ask, found, allowed, view.now)
        for one in found.ready:
            deltas.move(queue.place(one.message, State.QUEUED), queue.place(one.message, State.SENDING))
    await apply(tx, deltas)
    batch = Batch(ask.lane, ask.slot, found.ready, allowed, view.now) if found.ready else None
    empty = found.ended and not found.ready
    crowded = len(found.ready) < wanted and not found.ended
    return Released(batch, crowded=crowded, empty=empty, moved=bool(found.moves),
                    waits_until=min(found.waits, default=NEVER), look_again=NEVER if empty else 0)


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


async def _reserve(tx: AsyncConnection, ask: Ask, found: Sorted, allowed: int, now: int) -> None:
    await ledger.reserve(tx, ask.lane, ask.slot, len(found.ready), allowed, now)
    by_version: defaultdict[int, list[Message]] = defaultdict(list)
    for one in found.ready:
        by_version[one.campaign.version].append(one.message)
    for version, messages in by_version.items():
        await queue.take(tx, messages, version, ask.slot.start, now)


