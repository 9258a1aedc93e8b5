"""Evidence becomes reputation: read where a slot is released, acted on, written with its event in one transaction.

Each look is a few queries over bounded rows, whatever the lane has behind it: the steps of seven days (the newest
MOST_STEPS of them), of one step the batches since a mark in it (the newest MOST_BATCHES), and the newest batches that
brought the answers by which deferrals are judged.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import BigInteger, Integer, String, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from config.units import WEEK
from dispatcher.core import reputation as rules
from dispatcher.core.calendar import Slot
from dispatcher.core.evidence import RECENT, RECENT_ANSWERS, Counts, Evidence, Lines
from dispatcher.core.quotas import HOUR
from dispatcher.core.reputation import LaneState, Reputation
from dispatcher.store import events, lanes, ledger
from dispatcher.store.after import after_commit
from dispatcher.store.events import Event, Kind
from dispatcher.store.tables import batches, steps

MOST_STEPS: Final = 1_000
MOST_BATCHES: Final = 2_000
_LONG_SLOT: Final = HOUR        # and longer ones, where the ramp has them: it may have been another one
_KINDS: Final = {
    LaneState.HEALTHY: Kind.LANE_HEALTHY, LaneState.SLOW: Kind.LANE_SLOWED, LaneState.HELD: Kind.LANE_HELD,
}

# Asked at every release, so put together once.
_LANE: Final = bindparam("its_lane", type_=String())
_SINCE: Final = bindparam("since", type_=BigInteger())
_WEEK: Final = (
    select(steps.c.step, steps.c.step_ends, steps.c.accepted, steps.c.deferred, steps.c.rejected, steps.c.complaints)
    .where(steps.c.lane == _LANE, steps.c.step >= _SINCE).order_by(steps.c.step.desc())
    .limit(bindparam("most", type_=Integer()))
)
_RECENT: Final = (
    select(batches.c.slot, batches.c.accepted, batches.c.deferred, batches.c.rejected)
    .where(batches.c.lane == _LANE, batches.c.slot > bindparam("first", type_=BigInteger()),
           batches.c.released_at >= _SINCE,
           batches.c.accepted + batches.c.deferred + batches.c.rejected > 0)
    .order_by(batches.c.slot.desc()).limit(RECENT_ANSWERS)
)

log = structlog.get_logger()


async def read(tx: AsyncConnection, lane: str, reputation: Reputation, every: int, now: int) -> Evidence:
    """What a lane's provider has answered, by the times that its lines are judged over; a slot lasts `every`."""
    rows = list(await tx.execute(_WEEK, {"its_lane": lane, "since": now - WEEK, "most": MOST_STEPS}))
    week = _sum(rows)
    recent, recent_from = await _recent(tx, lane, max(reputation.judged_from, now - RECENT), every)
    return Evidence(
        week=week,
        since_resumed=await _since(tx, lane, (rows, week), reputation.resumed_at, every),
        since_judged=await _since(tx, lane, (rows, week), reputation.judged_from, every),
        recent=recent, recent_from=recent_from,
    )


async def judge(tx: AsyncConnection, lane: str, slot: Slot, lines: Lines, now: int) -> Reputation:
    """What a lane has come to by the time a slot of it is released; the caller commits."""
    before = await lanes.read(tx, lane)
    current, after = await _judged(tx, lane, before, (slot, lines), now)
    if current != before:
        await note(tx, lane, before, current, now)
    if after != current:
        await note(tx, lane, current, after, now)
        step = await _last_step(tx, lane)
        if step is not None:
            await ledger.remember_state(tx, lane, step, after.state, blamed=True)
    return after


async def foreseen(tx: AsyncConnection, lane: str, slot: Slot, lines: Lines, now: int) -> Reputation:
    """What `judge` would come to if it looked now: what a plan goes by. Nothing is written."""
    before = await lanes.read(tx, lane)
    if rules.is_held(before, now):
        return before       # the plan knows what a hold that ends leaves behind
    return (await _judged(tx, lane, before, (slot, lines), now))[1]


async def _judged(
    tx: AsyncConnection, lane: str, before: Reputation, terms: tuple[Slot, Lines], now: int
) -> tuple[Reputation, Reputation]:
    """A lane after a hold whose time has passed, and after what its evidence says."""
    slot, lines = terms
    over = before.state is LaneState.HELD and not rules.is_held(before, now)
    current = rules.resumed(before, now, by_person=False) if over else before
    evidence = await read(tx, lane, current, slot.end - slot.start, now)
    return current, rules.judged(current, evidence, lines, slot.start, now)


async def released(tx: AsyncConnection, lane: str, slot: Slot, reputation: Reputation, now: int) -> Reputation:
    """A slot has released something: the step keeps its state, and a slow lane climbs."""
    if reputation.state is LaneState.HEALTHY:
        return reputation
    await ledger.remember_state(tx, lane, slot.step_start, reputation.state, blamed=False)
    after = rules.climbed(reputation, slot)
    if after != reputation:
        await note(tx, lane, reputation, after, now)
    return after


async def resume(tx: AsyncConnection, lane: str, now: int, by: str = "") -> Reputation:
    """End a hold that the dispatcher itself has set, where there is one; what the lane has come to then."""
    before = await lanes.read(tx, lane)
    if not rules.is_held(before, now):
        return before
    after = rules.resumed(before, now, by_person=True)
    await note(tx, lane, before, after, now, by)
    return after


async def note(
    tx: AsyncConnection, lane: str, before: Reputation, after: Reputation, now: int, by: str = ""
) -> None:
    """Write a changed reputation, with an event where a person would want to know."""
    await lanes.write(tx, lane, after)
    kind = _kind(before, after)
    if kind is None:
        return
    data = {"share": round(after.share, 4), "until": after.held_until}
    await events.note(tx, Event(now, kind, lane, after.cause or before.cause, by, data))
    tell = log.info if kind in {Kind.LANE_HEALTHY, Kind.LANE_RECOVERING} else log.warning
    after_commit(tx, partial(tell, str(kind), lane=lane, share=round(after.share, 4), why=_unquoted(after.cause)))


def _kind(before: Reputation, after: Reputation) -> Kind | None:
    """What has happened, if it is worth an event: another state, less of the share, another cause for a hold."""
    if before.state is LaneState.HELD and after.state is not LaneState.HELD:
        return Kind.LANE_RECOVERING
    worse = after.share < before.share or (after.state is LaneState.HELD and after.cause != before.cause)
    return _KINDS[after.state] if after.state is not before.state or worse else None


def _unquoted(cause: str) -> str:
    """A cause without a server's own words, which may quote an address: "reply rule yahoo-tss04"."""
    known = cause.removeprefix("climbs back after: ")
    return known if known.startswith(("bounces:", "complaints:", "deferrals:")) else known.partition(":")[0]


async def _last_step(tx: AsyncConnection, lane: str) -> int | None:
    """The last step that sent: its answers are what was judged."""
    found = await tx.execute(
        select(steps.c.step).where(steps.c.lane == lane, steps.c.spent > 0).order_by(steps.c.step.desc()).limit(1)
    )
    return found.scalar()


async def _since(
    tx: AsyncConnection, lane: str, known: tuple[Sequence[Any], Counts], mark: int, every: int
) -> Counts:
    """The part of the week's answers that belongs to what was released since a mark.

    Complaints are counted by steps: those of the step that the mark is in are left out, for they may be older.
    """
    rows, week = known
    if not rows or mark <= rows[-1].step:
        return week
    found = _sum([row for row in rows if row.step >= mark])
    around = next((row for row in rows if row.step < mark < row.step_ends), None)
    if around is None:
        return found
    b = batches.c
    first = max(around.step, mark - max(every, _LONG_SLOT))      # a slot is released while it lasts
    newest = (
        select(b.accepted, b.deferred, b.rejected)
        .where(b.lane == lane, b.slot >= first, b.slot < around.step_ends, b.released_at >= mark)
        .order_by(b.slot.desc()).limit(MOST_BATCHES).subquery()
    )
    sums = (func.coalesce(func.sum(column), 0) for column in newest.c)
    accepted, deferred, rejected = (await tx.execute(select(*sums))).one()
    return found + Counts(int(accepted), int(deferred), int(rejected))


async def _recent(tx: AsyncConnection, lane: str, since: int, every: int) -> tuple[Counts, int]:
    """The newest answers, by whole batches, until there are enough; and the slot of the oldest batch."""
    rows = await tx.execute(_RECENT, {"its_lane": lane, "first": since - every, "since": since})
    found, oldest = Counts(), 0
    for slot, *answers in rows:
        if found.answered >= RECENT_ANSWERS:
            break
        found, oldest = found + Counts(*answers), slot
    return found, oldest


def _sum(rows: Sequence[Any]) -> Counts:
    return Counts(
        sum(row.accepted for row in rows), sum(row.deferred for row in rows), sum(row.rejected for row in rows),
        sum(row.complaints for row in rows),
    )
