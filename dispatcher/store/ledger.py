"""The ledger: what every lane has spent, in which slot and step. Spent stays spent (promises P3 and P4).

The batch row's primary key (lane, slot) is what makes a slot be released at most once: whoever comes second has
nothing to do. Steps are the sums of their batches, with the outcomes' counts beside them.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache

from sqlalchemy import BigInteger, Insert, String, Update, bindparam, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from config.ramps import Ramp
from dispatcher.core.calendar import Slot
from dispatcher.core.past import day_of, with_history
from dispatcher.core.ramp import PastStep
from dispatcher.core.reputation import LaneState
from dispatcher.store import history, life
from dispatcher.store.rows import insert_into
from dispatcher.store.tables import batches, steps

LOOK_BACK = 30
"""Sending steps that the ramp's rules look at: 7 for the guard, 3 after an unhealthy one, 30 for a way back up."""


@dataclass(frozen=True, slots=True)
class LaneLedger:
    """What a lane has behind it, as the ramp needs it."""

    past: tuple[PastStep, ...]      # oldest first, the step of `step_start` and later ones left out
    spent: int                      # in the step that starts at `step_start`
    last_slot_end: int              # no slot may start before it; 0 for a new lane
    unsent: int = 0                 # of spent, in the row of that step
    healthy: bool = True            # in that step neither a line nor a reply rule has slowed or held it


# Asked at every release, so put together once.
_LANE = bindparam("its_lane", type_=String())
_SLOT = bindparam("its_slot", type_=BigInteger())
_LAST_STEPS = (
    select(steps.c.step, steps.c.step_ends, steps.c.allowance, steps.c.spent, steps.c.unsent, steps.c.last_at,
           steps.c.unhealthy)
    .where(steps.c.lane == _LANE, steps.c.spent > 0).order_by(steps.c.step.desc()).limit(LOOK_BACK)
)
_LAST_SLOT_END = (
    select(batches.c.slot_ends).where(batches.c.lane == _LANE).order_by(batches.c.slot.desc()).limit(1)
)
_TAKEN = select(batches.c.size).where(batches.c.lane == _LANE, batches.c.slot == _SLOT)


async def read(
    tx: AsyncConnection, lane: str, step_start: int, step_end: int, ramp: Ramp | None = None
) -> LaneLedger:
    """A lane's ledger as of a step; with its ramp, what was sent before it came here is part of its past."""
    rows = list(await tx.execute(_LAST_STEPS, {"its_lane": lane}))
    current = next((row for row in rows if row.step == step_start), None)
    spent = current.spent if current is not None else 0
    if any(row.step != step_start and row.step < step_end and row.step_ends > step_start for row in rows):
        spent = await _spent_between(tx, lane, step_start, step_end)
    past = tuple(
        PastStep(start=row.step, end=row.step_ends, allowance=row.allowance, spent=row.spent, unsent=row.unsent,
                 healthy=not row.unhealthy, last_at=row.last_at)
        for row in reversed(rows) if row.step < step_start
    )
    if ramp is not None:
        days = await history.before(tx, lane, day_of(step_start, ramp), LOOK_BACK)
        past = with_history(past, {one.day: one.sent for one in days}, ramp)[-LOOK_BACK:]
    return LaneLedger(
        past, spent, await last_slot_end(tx, lane), current.unsent if current is not None else 0,
        healthy=current is None or not current.unhealthy,
    )


async def last_slot_end(tx: AsyncConnection, lane: str) -> int:
    """The end of the last slot that a lane has released; 0 for none."""
    return (await tx.execute(_LAST_SLOT_END, {"its_lane": lane})).scalar() or 0


async def _spent_between(tx: AsyncConnection, lane: str, start: int, end: int) -> int:
    """What the slots of a span have spent: a reload cut the days anew, so steps of before reach into this one."""
    found = await tx.execute(
        select(func.coalesce(func.sum(batches.c.size), 0))
        .where(batches.c.lane == lane, batches.c.slot >= start, batches.c.slot < end)
    )
    return int(found.scalar_one())


async def slot_taken(tx: AsyncConnection, lane: str, slot: int) -> bool:
    """Whether a slot has been released."""
    return (await tx.execute(_TAKEN, {"its_lane": lane, "its_slot": slot})).first() is not None


async def reserve(tx: AsyncConnection, lane: str, slot: Slot, size: int, allowance: int, now: int) -> None:
    """Write a batch: from here on it is spent, whatever becomes of it. A slot that was taken raises IntegrityError."""
    await life.mark(tx, now)
    batch, step = _reservation(tx.dialect.name)
    await tx.execute(batch, {
        "lane": lane, "slot": slot.start, "slot_ends": slot.end, "step": slot.step_start, "size": size,
        "allowance": allowance, "released_at": now,
    })
    await tx.execute(step, {
        "lane": lane, "step": slot.step_start, "step_ends": slot.step_end, "allowance": allowance, "spent": size,
        "unsent": 0, "accepted": 0, "deferred": 0, "rejected": 0, "in_doubt": 0, "last_at": now,
    })


@cache
def _reservation(dialect: str) -> tuple[Insert, Insert]:
    insert = insert_into(dialect, steps)
    return insert_into(dialect, batches), insert.on_conflict_do_update(
        index_elements=[steps.c.lane, steps.c.step],
        set_={"spent": steps.c.spent + insert.excluded.spent, "allowance": insert.excluded.allowance,
              "step_ends": insert.excluded.step_ends, "last_at": insert.excluded.last_at},
    )


async def remember_state(tx: AsyncConnection, lane: str, step: int, state: LaneState, *, blamed: bool) -> None:
    """Keep with a step the worst state that its lane was in; `blamed`: by its own answers, so that the ramp rests."""
    if state is LaneState.HEALTHY:
        return
    values: dict[str, object] = {"state": case((steps.c.state == LaneState.HELD, LaneState.HELD), else_=str(state))}
    if blamed:
        values["unhealthy"] = 1
    await tx.execute(update(steps).where(steps.c.lane == lane, steps.c.step == step).values(values))


async def complained(tx: AsyncConnection, lane: str, at: int, count: int) -> bool:
    """Add complaints to the step that contains an instant, or else to the one before it; False where there is none."""
    step = (await tx.execute(
        select(steps.c.step).where(steps.c.lane == lane, steps.c.step <= at).order_by(steps.c.step.desc()).limit(1)
    )).scalar()
    if step is None:
        return False
    await tx.execute(
        update(steps).where(steps.c.lane == lane, steps.c.step == step)
        .values(complaints=steps.c.complaints + count)
    )
    return True


async def count(tx: AsyncConnection, outcomes: Counter[tuple[str, int, str]]) -> None:
    """Add outcomes to their batches and steps: (lane, slot, column of both) -> how many."""
    for (lane, slot, column), number in sorted(outcomes.items()):
        for statement in _count_one(column):
            await tx.execute(statement, {"its_lane": lane, "its_slot": slot, "number": number})


@cache
def _count_one(column: str) -> tuple[Update, Update]:
    mine = (batches.c.lane == _LANE, batches.c.slot == _SLOT)
    step = select(batches.c.step).where(*mine).scalar_subquery()
    return (
        update(batches).where(*mine).values({column: batches.c[column] + bindparam("number")}),
        update(steps).where(steps.c.lane == _LANE, steps.c.step == step)
        .values({column: steps.c[column] + bindparam("number")}),
    )


async def lanes(tx: AsyncConnection) -> list[str]:
    """Every lane that has ever sent."""
    rows = await tx.execute(select(steps.c.lane).distinct().order_by(steps.c.lane))
    return [lane for (lane,) in rows]
