"""How many messages stand where: kept by every transaction that moves one, read by status, plan and release.

Nobody counts a queue of millions. A test counts them all the same, and compares.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import Insert, Select, String, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store import changes
from dispatcher.store.changes import Change
from dispatcher.store.rows import among, insert_into
from dispatcher.store.tables import LIVE, tallies

WAITING = "waiting"
"""The state in tallies of a message that is queued but not yet due."""

QUEUED: Final = "queued"

_NAMES: Final = [column.name for column in tallies.c]

Place = tuple[str, str, int, int, str, str, str]
"""campaign, lane, priority, rank, segment, state, reason of a skip"""


Spot = tuple[str, str, int, int, str]
"""lane, campaign, priority, rank, segment"""


class Deltas(Counter[Place]):
    """The changes that one transaction makes to the tallies."""

    def move(self, before: Place | None, after: Place, count: int = 1) -> None:
        """So many messages leave one place (None: they are new) for another."""
        if before is not None:
            self[before] -= count
        self[after] += count


@dataclass(frozen=True, slots=True)
class Run:
    """So many messages of one lane that follow one another in a batch's order."""

    campaign: str
    priority: int
    rank: int
    segment: str
    state: str
    count: int


async def apply(tx: AsyncConnection, deltas: Deltas) -> None:
    """Write a transaction's changes; always the last that it does but the commit, so that the rows are held briefly."""
    changed = [(*place, change) for place, change in sorted(deltas.items()) if change]
    if not changed:
        return
    await tx.execute(_addition(tx.dialect.name), [dict(zip(_NAMES, row, strict=True)) for row in changed])
    if any(state == QUEUED and change > 0 for *_, state, _reason, change in changed):
        await changes.tell(tx, Change.NEWS)


@cache
def _addition(dialect: str) -> Insert:
    insert = insert_into(dialect, tallies)
    return insert.on_conflict_do_update(
        index_elements=list(tallies.primary_key), set_={"count": tallies.c.count + insert.excluded.count}
    )


async def runs(tx: AsyncConnection, lane: str, *states: str) -> list[Run]:
    """A lane's messages in these states (queued, waiting), grouped, in a batch's order."""
    return [Run(*row) for row in await tx.execute(_runs(states), {"its_lane": lane})]


@cache
def _runs(states: tuple[str, ...]) -> Select[Any]:
    return (
        select(tallies.c.campaign, tallies.c.priority, tallies.c.rank, tallies.c.segment, tallies.c.state,
               tallies.c.count)
        .where(LIVE, tallies.c.lane == bindparam("its_lane", type_=String()), tallies.c.state.in_(states))
        .order_by(tallies.c.priority, tallies.c.rank, tallies.c.campaign)
    )


async def totals(tx: AsyncConnection, campaign: str | None = None) -> list[tuple[str, str, str, int]]:
    """(lane, state, reason, count) of everything, or of one campaign."""
    query = select(tallies.c.lane, tallies.c.state, tallies.c.reason, func.sum(tallies.c.count))
    if campaign is not None:
        query = query.where(tallies.c.campaign == campaign)
    rows = await tx.execute(
        query.group_by(tallies.c.lane, tallies.c.state, tallies.c.reason).having(func.sum(tallies.c.count) > 0)
    )
    return [(lane, state, reason, int(count)) for lane, state, reason, count in rows]


async def queued_lanes(tx: AsyncConnection) -> list[str]:
    """Lanes that have messages queued, due or not."""
    rows = await tx.execute(
        select(tallies.c.lane).distinct().where(LIVE).order_by(tallies.c.lane)
    )
    return [lane for (lane,) in rows]


async def lanes_of(tx: AsyncConnection, campaigns: Collection[str]) -> dict[str, set[str]]:
    """The lanes in which these campaigns have something queued, due or not."""
    found: dict[str, set[str]] = {}
    rows = await tx.execute(
        select(tallies.c.campaign, tallies.c.lane).distinct().where(LIVE, among(tallies.c.campaign, sorted(campaigns)))
    )
    for campaign, lane in rows:
        found.setdefault(campaign, set()).add(lane)
    return found


async def waiting(tx: AsyncConnection) -> dict[Spot, int]:
    """How many are queued and not yet due, by where they stand."""
    t = tallies.c
    rows = await tx.execute(
        select(t.lane, t.campaign, t.priority, t.rank, t.segment, t.count).where(LIVE, t.state == WAITING)
    )
    return {(lane, campaign, priority, rank, segment): count for lane, campaign, priority, rank, segment, count in rows}


async def queued(tx: AsyncConnection) -> dict[str, int]:
    """Lane -> messages queued, due or not."""
    rows = await tx.execute(select(tallies.c.lane, func.sum(tallies.c.count)).where(LIVE).group_by(tallies.c.lane))
    return {lane: int(count) for lane, count in rows}
