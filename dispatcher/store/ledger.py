"""The ledger: what every lane has spent, in which slot and step. Spent stays spent (promises P3 and P4).

The batch row's primary key (lane, slot) is what makes a slot be released at most once: whoever comes second has
nothing to do. Steps are the sums of their batches, with the outcomes' counts beside them.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache

from sqlalchemy import BigInteger, String, Update, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.calendar import Slot
from dispatcher.core.ramp import PastStep
from dispatcher.store.rows import insert_into
from dispatcher.store.tables import batches, steps

LOOK_BACK = 12
"""Sending steps that the ramp's rules look at: 7 for the guard, 3 after an unhealthy one, and some to spare."""


@dataclass(frozen=True, slots=True)
class LaneLedger:
    """What a lane has behind it, as the ramp needs it."""

    past: tuple[PastStep, ...]      # oldest first, the step of `step_start` and later ones left out
    spent: int                      # in the step that starts at `step_start`
    last_slot_end: int              # no slot may start before it; 0 for a new lane


async def read(tx: AsyncConnection, lane: str, step_start: int, step_end: int) -> LaneLedger:
    """A lane's ledger as of a step."""
    s = steps.c
    rows = list(await tx.execute(
        select(s.step, s.step_ends, s.allowance, s.spent, s.unsent, s.last_at)
        .where(s.lane == lane, s.spent > 0).order_by(s.step.desc()).limit(LOOK_BACK)
    ))
    spent = next((row.spent for row in rows if row.step == step_start), 0)
    if any(row.step != step_start and row.step < step_end and row.step_ends > step_start for row in rows):
        spent = await _spent_between(tx, lane, step_start, step_end)
    past = tuple(
        PastStep(start=row.step, end=row.step_ends, allowance=row.allowance, spent=row.spent, unsent=row.unsent,
                 last_at=row.last_at)
        for row in reversed(rows) if row.step < step_start
    )
    last = (await tx.execute(
        select(batches.c.slot_ends).where(batches.c.lane == lane).order_by(batches.c.slot.desc()).limit(1)
    )).scalar()
    return LaneLedger(past, spent, last or 0)


async def _spent_between(tx: AsyncConnection, lane: str, start: int, end: int) -> int:
    """What the slots of a span have spent: a reload cut the days anew, so steps of before reach into this one."""
    found = await tx.execute(
        select(func.coalesce(func.sum(batches.c.size), 0))
        .where(batches.c.lane == lane, batches.c.slot >= start, batches.c.slot < end)
    )
    return int(found.scalar_one())


async def slot_taken(tx: AsyncConnection, lane: str, slot: int) -> bool:
    """Whether a slot has been released."""
    found = await tx.execute(select(batches.c.size).where(batches.c.lane == lane, batches.c.slot == slot))
    return found.first() is not None


async def reserve(tx: AsyncConnection, lane: str, slot: Slot, size: int, allowance: int, now: int) -> None:
    """Write a batch: from here on it is spent, whatever becomes of it. A slot that was taken raises IntegrityError."""
    await tx.execute(insert_into(tx, batches), {
        "lane": lane, "slot": slot.start, "slot_ends": slot.end, "step": slot.step_start, "size": size,
        "allowance": allowance, "released_at": now,
    })
    insert = insert_into(tx, steps)
    await tx.execute(
        insert.on_conflict_do_update(
            index_elements=[steps.c.lane, steps.c.step],
            set_={"spent": steps.c.spent + insert.excluded.spent, "allowance": insert.excluded.allowance,
                  "step_ends": insert.excluded.step_ends, "last_at": insert.excluded.last_at},
        ),
        {"lane": lane, "step": slot.step_start, "step_ends": slot.step_end, "allowance": allowance, "spent": size,
         "unsent": 0, "accepted": 0, "deferred": 0, "rejected": 0, "in_doubt": 0, "last_at": now},
    )


async def count(tx: AsyncConnection, outcomes: Counter[tuple[str, int, str]]) -> None:
    """Add outcomes to the steps of their batches: (lane, slot, column of `steps`) -> how many."""
    for (lane, slot, column), number in sorted(outcomes.items()):
        await tx.execute(_count_one(column), {"its_lane": lane, "its_slot": slot, "number": number})


@cache
def _count_one(column: str) -> Update:
    lane, slot = bindparam("its_lane", type_=String()), bindparam("its_slot", type_=BigInteger())
    step = select(batches.c.step).where(batches.c.lane == lane, batches.c.slot == slot).scalar_subquery()
    return (
        update(steps).where(steps.c.lane == lane, steps.c.step == step)
        .values({column: steps.c[column] + bindparam("number")})
    )


async def lanes(tx: AsyncConnection) -> list[str]:
    """Every lane that has ever sent."""
    rows = await tx.execute(select(steps.c.lane).distinct().order_by(steps.c.lane))
    return [lane for (lane,) in rows]
