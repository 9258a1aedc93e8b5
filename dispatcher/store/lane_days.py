"""A lane's days as people look at them: its steps with what came of them, and what was imported."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.history import Day
from dispatcher.store.record_tables import history
from dispatcher.store.rows import fields
from dispatcher.store.tables import steps


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step that has sent something, as it stands in the ledger."""

    start: int
    end: int
    allowance: int
    spent: int
    unsent: int
    accepted: int
    deferred: int
    rejected: int
    in_doubt: int
    complaints: int
    unhealthy: int
    state: str


async def steps_since(tx: AsyncConnection, lane: str, since: int, limit: int) -> list[StepRow]:
    """A lane's newest steps that began at an instant or later, oldest first."""
    s = steps.c
    rows = await tx.execute(
        select(s.step, s.step_ends, s.allowance, s.spent, s.unsent, s.accepted, s.deferred, s.rejected, s.in_doubt,
               s.complaints, s.unhealthy, s.state)
        .where(s.lane == lane, s.step >= since, s.spent > 0).order_by(s.step.desc()).limit(limit)
    )
    return [StepRow(*fields(row)) for row in rows][::-1]


async def imported_since(tx: AsyncConnection, lane: str, day: str, limit: int) -> Sequence[Day]:
    """A lane's newest imported days from a day on, oldest first."""
    h = history.c
    rows = await tx.execute(
        select(h.lane, h.day, h.sent).where(h.lane == lane, h.day >= day).order_by(h.day.desc()).limit(limit)
    )
    return [Day(*row) for row in rows][::-1]
