"""What a world has released, in the terms of a plan."""

from dataclasses import dataclass

from sqlalchemy import select
from support.world import World

from dispatcher.core.plan import Plan
from dispatcher.core.times import format_instant
from dispatcher.store import parts
from dispatcher.store.canaries import get
from dispatcher.store.tables import batches


@dataclass(frozen=True)
class Line:
    """One batch."""

    at: str
    lane: str
    size: int
    segments: dict[str, int]


async def released(one: World, after: int = 0) -> list[Line]:
    """The batches released after an instant, by time and lane."""
    async with one.database.transaction() as tx:
        rows = list(await tx.execute(select(batches.c.lane, batches.c.slot, batches.c.released_at, batches.c.size)))
        made = await parts.since(tx, after)
    found = []
    for row in sorted(rows, key=lambda row: (row.released_at, row.lane)):
        if row.released_at > after:
            segments: dict[str, int] = {}
            for part in made:
                if (part.lane, part.slot) == (row.lane, row.slot):
                    segments[part.segment] = segments.get(part.segment, 0) + part.size
            found.append(Line(format_instant(row.released_at), row.lane, row.size, segments))
    return found


def promised(plan: Plan) -> list[Line]:
    """A plan's batches."""
    return [Line(format_instant(one.at), one.lane, one.size, dict(one.segments)) for one in plan.batches]


async def by_instant(one: World, campaign: str = "") -> list[tuple[int, int]]:
    """(instant, messages) of every release, of one campaign where given."""
    async with one.database.transaction() as tx:
        return [(part.released_at, part.size) for part in await parts.since(tx, 0)
                if campaign in {"", part.campaign}]


def most_in_an_hour(releases: list[tuple[int, int]]) -> int:
    """The most that were released within any hour, both ends not included."""
    return max((sum(size for other, size in releases if instant - 3_600_000 < other <= instant)
                for instant, _ in releases), default=0)


async def canary_of(one: World, campaign: str = "delay") -> str:
    """The state of a campaign's canary."""
    async with one.database.transaction() as tx:
        row = await get(tx, campaign)
    return row.state if row is not None else ""
