"""Every store, for the suite that all stores pass, and short ways to put things into one."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from support.fresh import new_store
from support.postgresql import emptied, need_postgresql, ours

from dispatcher.core.calendar import Slot
from dispatcher.core.model import Customer, Message
from dispatcher.store import arrivals, campaigns, customers, ledger, queue, tallies
from dispatcher.store.arrivals import Arrival, Stand
from dispatcher.store.campaigns import Heading
from dispatcher.store.database import Database
from dispatcher.store.postgresql import PostgresqlStore
from dispatcher.store.sqlite import SqliteStore
from dispatcher.store.tables import messages
from dispatcher.store.tallies import Deltas

NOW = 1_772_438_400_000     # 2026-03-02 08:00 UTC
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LANE = "support/other"


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Database]:
    """SQLite in a file."""
    database = await SqliteStore.open(new_store(folder / "store.db"), "run")
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def postgresql(folder: Path) -> AsyncIterator[Database]:
    """PostgreSQL, where there is a server; for each folder, the first time, with nothing in it."""
    need_postgresql()
    known = folder / "postgresql"
    address = await emptied() if not known.exists() else ours()
    known.touch()
    database = await PostgresqlStore.open(address, "run")
    try:
        yield database
    finally:
        await database.close()


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[Database]]] = {
    "sqlite": sqlite, "postgresql": postgresql,
}


@dataclass(frozen=True, slots=True)
class New:
    """A message that is to be queued, and how it is to stand."""

    campaign: str
    arrival: Arrival
    stand: Stand


def new(customer: str, campaign: str = "delay", key: str = "", **fields: Any) -> New:
    """A message that is to be queued."""
    arrival = {"key": key or customer, "customer": customer, "digest": "d", "data": "{}", "not_before": 0, "stand": 0}
    stand = {"segment": "*", "rank": 0, "lane": LANE, "priority": 2, "expires_at": None, "skipped": ""}
    assert fields.keys() <= arrival.keys() | stand.keys()
    return New(campaign, Arrival(**arrival | {name: fields[name] for name in fields.keys() & arrival}),
               Stand(**stand | {name: fields[name] for name in fields.keys() & stand}))


async def put(tx: AsyncConnection, some: Sequence[New], now: int, deltas: Deltas) -> None:
    """Queue messages, in their order."""
    for name, group in groupby(some, key=attrgetter("campaign")):
        mine = list(group)
        some = [one.arrival._replace(stand=place) for place, one in enumerate(mine)]
        added = await arrivals.add(tx, name, some, [one.stand for one in mine], now)
        await arrivals.count(tx, name, added, deltas)


async def campaign(tx: AsyncConnection, name: str = "delay", **fields: Any) -> None:
    """A campaign without words."""
    heading = Heading(**{"id": name, "category": "service", "incident": "", "sequence": 0} | fields)
    await campaigns.apply(tx, heading, "{}", "digest", NOW)


async def add(tx: AsyncConnection, *some: New, now: int = NOW) -> list[Message]:
    """Queue messages; as they then are."""
    deltas = Deltas()
    await put(tx, some, now, deltas)
    await tallies.apply(tx, deltas)
    found = [queue.message_of(row) for row in await tx.execute(select(*queue.MESSAGE_COLUMNS).order_by(messages.c.id))]
    return found[-len(some):]


async def people(tx: AsyncConnection, *ids: str, **fields: Any) -> None:
    """Customers with an address each."""
    await customers.put(tx, [Customer(**{"id": one, "email": f"{one}@mail.example"} | fields) for one in ids], NOW)


def slot(start: int, length: int = 5 * MINUTE, step: tuple[int, int] = (NOW, NOW + DAY)) -> Slot:
    """A slot of a step."""
    return Slot(step[0], step[1], 0, 1, start, start + length)


async def batch(tx: AsyncConnection, taken: Sequence[Message], start: int = NOW, now: int = NOW) -> list[Message]:
    """Release messages, as the engine does."""
    deltas = Deltas()
    await ledger.reserve(tx, taken[0].lane, slot(start), len(taken), 100, now)
    await queue.take(tx, taken, 1, start, now)
    for one in taken:
        deltas.move(queue.place(one, "queued"), queue.place(one, "sending"))
    await tallies.apply(tx, deltas)
    return list(taken)


async def states(tx: AsyncConnection) -> list[tuple[str, str]]:
    """(state, reason) of every message, in order."""
    return [tuple(row) for row in await tx.execute(select(messages.c.state, messages.c.reason).order_by(messages.c.id))]
