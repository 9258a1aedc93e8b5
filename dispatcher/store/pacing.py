"""What bounds over several lanes are measured against: due messages, and who has released in the last hour."""

from collections.abc import Collection

from sqlalchemy import and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.quotas import PUNCTUAL, Place
from dispatcher.store.rows import among
from dispatcher.store.tables import LIVE, batch_parts, tallies

_PLACES = (
    select(tallies.c.lane, tallies.c.campaign, tallies.c.segment,
           func.sum(case((tallies.c.state == "queued", tallies.c.count), else_=0)))
    .where(LIVE).group_by(tallies.c.lane, tallies.c.campaign, tallies.c.segment)
)


async def places(tx: AsyncConnection) -> dict[Place, int]:
    """(lane, campaign, segment) of all that is queued -> due messages; 0 where all of them wait."""
    rows = await tx.execute(_PLACES)
    return {(lane, campaign, segment): int(count) for lane, campaign, segment, count in rows}


async def released(
    tx: AsyncConnection, after: int, campaigns: Collection[str], summed: int | None = None
) -> list[tuple[Place, int, int]]:
    """((lane, campaign, segment), instant, messages) of what these campaigns released after an instant.

    Where given, all from behind the instant `summed` is one sum for each place, at the first instant of it.
    """
    b = batch_parts.c
    late = b.released_at - b.slot
    counted = case((and_(late >= 0, late < PUNCTUAL), b.slot), else_=b.released_at)    # quotas.counted_at
    instant = counted if summed is None else case((counted > summed, None), else_=counted)
    rows = await tx.execute(
        select(b.lane, b.campaign, b.segment, func.min(counted), func.sum(b.size))
        .where(b.released_at > after, among(b.campaign, sorted(campaigns)))
        .group_by(b.lane, b.campaign, b.segment, instant)
    )
    return [((lane, campaign, segment), int(at), int(size)) for lane, campaign, segment, at, size in rows]


async def released_campaigns(tx: AsyncConnection, after: int) -> list[str]:
    """The campaigns of batches released after an instant."""
    b = batch_parts.c
    rows = await tx.execute(select(b.campaign).distinct().where(b.released_at > after))
    return [campaign for (campaign,) in rows]
