"""What waits in the queue and when it is due, for plans: read so that nobody else waits for it.

Few are read with the rest of a plan. Many are read before it, page by page, each in a transaction of its own, with
room for releases, marks and holds in between. What moves meanwhile is put right by the tallies of the plan's own
transaction: every count is exact then, and only the minute of what moved in those seconds may not be.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store import tallies
from dispatcher.store.database import Database
from dispatcher.store.tallies import Spot
from dispatcher.store.waiting import Waiting, waiting_page, waiting_times

FEW: Final = 2_000
"""Waiting messages that are read at once: some 20 ms."""
GRAIN: Final = 60_000
"""Milliseconds: waiting messages are planned by the minute in which they become due."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What was read before the transaction of a plan."""

    waits: Mapping[Spot, Mapping[int, Waiting]]      # by the minute


async def read_ahead(database: Database, page: int = FEW) -> Ahead | None:
    """Read what waits, in pages; None where it is few enough to be read with the rest."""
    async with database.transaction() as tx:
        if sum((await tallies.waiting(tx)).values()) <= page:
            return None
    found: defaultdict[Spot, dict[int, Waiting]] = defaultdict(dict)
    after: tuple[int, int] | None = (-1, 0)
    while after is not None:
        async with database.transaction() as tx:
            rows, after = await waiting_page(tx, GRAIN, after, page)
        for row in rows:
            minutes, minute = found[row.spot], row.due // GRAIN
            before = minutes.get(minute)
            count = row.count + (before.count if before is not None else 0)
            minutes[minute] = Waiting(row.spot, row.due, count)      # pages come in the order of time
    return Ahead(found)


async def read_waits(tx: AsyncConnection, ahead: Ahead | None = None) -> list[Waiting]:
    """All that waits, by minutes, as of this transaction."""
    if ahead is None:
        return await waiting_times(tx, GRAIN)
    found: list[Waiting] = []
    for spot, count in (await tallies.waiting(tx)).items():
        found += put_right(spot, count, ahead.waits.get(spot, {}).values())
    return found


def put_right(spot: Spot, count: int, waits: Iterable[Waiting]) -> list[Waiting]:
    """So many wait where so many were seen: the soonest are those that have gone since, or have come."""
    left = Counter({wait.due: wait.count for wait in waits})
    more = count - left.total()
    for due in sorted(left) if more < 0 else ():
        gone = min(left[due], -more)
        left[due] -= gone
        more += gone
    if more > 0:
        left[min(left, default=0)] += more
    return [Waiting(spot, due, number) for due, number in sorted(left.items()) if number]
