"""One round of one row on one store, from nothing to its figures."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.cluster import Cluster, Pair, cluster, pair
from support.postgresql import new_database
from support.rounds.judge import Figures, Record, judge
from support.rounds.round import Round, Row
from support.rounds.stage import Pace, Stage
from support.smtp_server import SmtpServer

from dispatcher.store.database import Database
from dispatcher.store.postgresql import Address, PostgresqlStore
from dispatcher.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class Size:
    """How long a round is."""

    messages: int       # in all
    breaks: int
    allowance: int      # of a step of five seconds, of each of the two lanes


async def play(row: Row, store: str, size: Size, seed: int) -> Figures:
    """Play it; its figures."""
    async with staged(store, row.server, seed, Pace(size.allowance)) as set_up:
        set_up.stage.flaws = row.flaws
        done = await row.play(Round(set_up.stage, size.messages // 2, min(size.breaks, row.most), set_up.address,
                                    set_up.server))
        return judge(await set_up.record(), done)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is there before anything is played."""

    stage: Stage
    address: Address | None                 # of its store in PostgreSQL
    server: Cluster | Pair | None           # the server of it that is its own

    async def record(self) -> Record:
        """All that is known when all is over."""
        database = await _opened(self.stage.folder, self.address)
        try:
            return await self.stage.record(database)
        finally:
            await database.close()


@asynccontextmanager
async def staged(store: str, own: str, seed: int, pace: Pace) -> AsyncIterator[Setting]:
    """A stage on a kind of store, for as long as the block takes; `own`: as in a row."""
    with tempfile.TemporaryDirectory(prefix="round-") as name:
        async with SmtpServer() as server, _place(store, own) as (address, cluster_of_it):
            yield Setting(Stage(Path(name), _url(address), server, seed, pace), address, cluster_of_it)


@asynccontextmanager
async def _place(store: str, server: str) -> AsyncIterator[tuple[Address | None, Cluster | Pair | None]]:
    if store == "sqlite":
        yield None, None
    elif server:
        async with (pair() if server == "pair" else cluster()) as own:
            yield own.address, own
    else:
        async with new_database() as address:
            yield address, None


def _url(address: Address | None) -> str:
    return "sqlite:///store.db" if address is None else str(address)


async def _opened(folder: Path, address: Address | None) -> Database:
    if address is None:
        return await SqliteStore.open(folder / "store.db", "test")
    return await PostgresqlStore.open(address, "test")
