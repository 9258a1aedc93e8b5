"""What people ask the store: bounded looks at campaigns, messages and batches. Nothing here changes anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Message
from dispatcher.store.campaigns import Expansion
from dispatcher.store.controls import Suppression
from dispatcher.store.queue import MESSAGE_COLUMNS, message_of
from dispatcher.store.tables import WAITING, attempts, batches, expansions, messages, suppressions, tallies

SOONEST: Final = 2_000
"""Waiting messages that are looked at for when each lane goes on."""

m = messages.c
_LISTED: Final = (m.id, m.campaign, m.customer, m.segment, m.lane, m.state, m.reason)


@dataclass(frozen=True, slots=True)
class Listed:
    """A message as a list shows it."""

    id: int
    campaign: str
    customer: str
    segment: str
    lane: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages a list is about; empty fields leave nothing out."""

    campaign: str = ""
    state: str = ""
    reason: str = ""
    customer: str = ""
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """One message with all that the store says about it."""

    message: Message
    state: str
    reason: str
    waiting: bool
    not_before: int
    created_at: int
    finished_at: int | None
    slot: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt."""

    number: int
    at: int
    outcome: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class BatchRow:
    """What one slot of a lane released."""

    lane: str
    slot: int
    slot_ends: int
    size: int
    allowance: int
    released_at: int


async def counts(tx: AsyncConnection) -> list[tuple[str, str, int]]:
    """(campaign, state in tallies, count) of all campaigns."""
    t = tallies.c
    rows = await tx.execute(
        select(t.campaign, t.state, func.sum(t.count)).group_by(t.campaign, t.state).having(func.sum(t.count) > 0)
    )
    return [(campaign, state, int(count)) for campaign, state, count in rows]


async def counts_of(tx: AsyncConnection, campaign: str) -> list[tuple[str, str, str, int]]:
    """(segment, state in tallies, reason, count) of one campaign."""
    t = tallies.c
    rows = await tx.execute(
        select(t.segment, t.state, t.reason, func.sum(t.count)).where(t.campaign == campaign)
        .group_by(t.rank, t.segment, t.state, t.reason).having(func.sum(t.count) > 0).order_by(t.rank)
    )
    return [(segment, state, reason, int(count)) for segment, state, reason, count in rows]


async def expansion(tx: AsyncConnection, number: int) -> tuple[Expansion, bool] | None:
    """An expansion, and whether it has finished."""
    e = expansions.c
    row = (await tx.execute(
        select(e.id, e.campaign, e.cursor, e.accepted, e.duplicate, e.finished_at).where(e.id == number)
    )).first()
    if row is None:
        return None
    *values, finished_at = row
    return Expansion(*values), finished_at is not None


async def soonest_waiting(tx: AsyncConnection) -> dict[str, int]:
    """When each lane's first waiting message is due, as far as the first 2,000 of all of them tell."""
    first = select(m.lane, m.not_before).where(WAITING).order_by(m.not_before).limit(SOONEST).subquery()
    rows = await tx.execute(select(first.c.lane, func.min(first.c.not_before)).group_by(first.c.lane))
    return {lane: instant for lane, instant in rows}  # noqa: C416 -- dict() of rows is not typed


async def last_message(tx: AsyncConnection) -> int:
    """The id of the newest message, 0 where there is none."""
    return (await tx.execute(select(func.max(m.id)))).scalar() or 0


async def listed(tx: AsyncConnection, wanted: Wanted, after: int, upto: int, limit: int) -> list[Listed]:
    """Messages with an id in (after, upto], in order of ids: a caller who looks at many goes in steps of some ids."""
    query = select(*_LISTED).where(m.id > after, m.id <= upto)
    for column in (m.campaign, m.state, m.reason, m.customer, m.lane):
        value = getattr(wanted, column.name)
        if value:
            query = query.where(column == value)
    return [Listed(*row) for row in await tx.execute(query.order_by(m.id).limit(limit))]


async def latest_of(tx: AsyncConnection, customer: str, limit: int) -> list[Listed]:
    """A customer's newest messages, newest first."""
    rows = await tx.execute(select(*_LISTED).where(m.customer == customer).order_by(m.id.desc()).limit(limit))
    return [Listed(*row) for row in rows]


async def message(tx: AsyncConnection, number: int) -> Stored | None:
    """One message."""
    row = (await tx.execute(
        select(*MESSAGE_COLUMNS, m.state, m.reason, m.waiting, m.not_before, m.created_at, m.finished_at, m.slot)
        .where(m.id == number)
    )).first()
    if row is None:
        return None
    state, reason, waiting, not_before, created_at, finished_at, slot = row[len(MESSAGE_COLUMNS):]
    return Stored(message_of(row), state, reason, bool(waiting), not_before, created_at, finished_at, slot)


async def attempts_of(tx: AsyncConnection, number: int) -> list[Attempt]:
    """A message's attempts, first to last."""
    a = attempts.c
    rows = await tx.execute(
        select(a.number, a.at, a.outcome, a.code, a.detail).where(a.message == number).order_by(a.number)
    )
    return [Attempt(*row) for row in rows]


async def batch(tx: AsyncConnection, lane: str, slot: int) -> BatchRow | None:
    """The batch of a lane's slot."""
    b = batches.c
    row = (await tx.execute(_BATCH.where(b.lane == lane, b.slot == slot))).first()
    return BatchRow(*row) if row is not None else None


async def last_batch(tx: AsyncConnection, lane: str) -> BatchRow | None:
    """A lane's latest batch."""
    b = batches.c
    row = (await tx.execute(_BATCH.where(b.lane == lane).order_by(b.slot.desc()).limit(1))).first()
    return BatchRow(*row) if row is not None else None


async def suppressions_of(tx: AsyncConnection, addresses: Sequence[str]) -> list[Suppression]:
    """The suppressions of these normalised addresses."""
    rows = await tx.execute(
        select(suppressions).where(suppressions.c.address.in_(addresses))
        .order_by(suppressions.c.address, suppressions.c.category)
    )
    return [Suppression(*row) for row in rows]


_BATCH: Final = select(
    batches.c.lane, batches.c.slot, batches.c.slot_ends, batches.c.size, batches.c.allowance, batches.c.released_at
)
