"""What waits for its time, as a plan reads it: by where and when, never message by message."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.tables import WAITING, messages
from dispatcher.store.tallies import Spot

m = messages.c


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many messages that wait where others like them wait, the last of them until `due`."""

    spot: Spot
    due: int
    count: int


async def waiting_times(tx: AsyncConnection, grain: int) -> list[Waiting]:
    """Waiting messages by when they are due, in grains."""
    return await _waiting(tx, grain)


async def waiting_page(
    tx: AsyncConnection, grain: int, after: tuple[int, int], limit: int
) -> tuple[list[Waiting], tuple[int, int] | None]:
    """So many of them that are due behind (instant, message id), soonest first; and where the next page begins."""
    beyond = tuple_(m.not_before, m.id) > tuple_(*after)
    last = (await tx.execute(
        select(m.not_before, m.id).where(WAITING, beyond).order_by(m.not_before, m.id).offset(limit - 1).limit(1)
    )).first()
    if last is None:
        return await _waiting(tx, grain, beyond), None
    end = (last.not_before, last.id)
    return await _waiting(tx, grain, beyond, tuple_(m.not_before, m.id) <= tuple_(*end)), end


async def _waiting(tx: AsyncConnection, grain: int, *conditions: ColumnElement[bool]) -> list[Waiting]:
    keys = (m.lane, m.campaign, m.priority, m.rank, m.segment)
    rows = await tx.execute(
        select(*keys, func.max(m.not_before), func.count()).where(WAITING, *conditions)
        .group_by(*keys, m.not_before // grain)
    )
    return [Waiting((lane, campaign, priority, rank, segment), due, count)
            for lane, campaign, priority, rank, segment, due, count in rows]
