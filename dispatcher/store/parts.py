"""What batches were made of, by campaign and segment: for bounds that cover lanes together, and for reports."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.rows import among, insert_into
from dispatcher.store.tables import batch_parts


@dataclass(frozen=True, slots=True)
class Part:
    """The messages of one campaign and segment in a batch."""

    lane: str
    slot: int
    campaign: str
    segment: str
    released_at: int
    size: int
    first: int              # of size: released for the first time


async def write(
    tx: AsyncConnection, lane: str, slot: int, released_at: int, messages: Sequence[tuple[str, str, bool]]
) -> None:
    """Write a batch's parts: (campaign, segment, released for the first time) of each of its messages."""
    sizes = Counter((campaign, segment) for campaign, segment, _ in messages)
    firsts = Counter((campaign, segment) for campaign, segment, first in messages if first)
    await tx.execute(insert_into(tx, batch_parts), [
        {"lane": lane, "slot": slot, "campaign": campaign, "segment": segment, "released_at": released_at,
         "size": size, "first": firsts[campaign, segment]}
        for (campaign, segment), size in sizes.items()
    ])


async def since(tx: AsyncConnection, released_at: int, campaigns: Collection[str] | None = None) -> list[Part]:
    """The parts of all batches released after an instant, oldest first; of these campaigns only, where given."""
    b = batch_parts.c
    query = _SELECTED.where(b.released_at > released_at)
    if campaigns is not None:
        query = query.where(among(b.campaign, sorted(campaigns)))
    return [Part(*row) for row in await tx.execute(query.order_by(b.released_at, b.lane))]


async def of_campaign(tx: AsyncConnection, campaign: str, after: int, limit: int) -> list[Part]:
    """A campaign's parts of batches with a slot later than `after`, in order of slots."""
    b = batch_parts.c
    rows = await tx.execute(
        _SELECTED.where(b.campaign == campaign, b.slot > after).order_by(b.slot, b.lane, b.segment).limit(limit)
    )
    return [Part(*row) for row in rows]


_SELECTED = select(
    batch_parts.c.lane, batch_parts.c.slot, batch_parts.c.campaign, batch_parts.c.segment, batch_parts.c.released_at,
    batch_parts.c.size, batch_parts.c.first,
)
