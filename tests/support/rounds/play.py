"""One round of one row on one store, from nothing to its figures."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.cluster import Cluster, Pair, cluster, pair
from support.postgresql import new_database
from support.rounds.judge import Figures, judge
from support.rounds.round import Round, Row
from support.rounds.stage import Stage
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
    with tempfile.TemporaryDirectory(prefix="round-") as name:
        async with SmtpServer() as server, _place(store, row.server) as (address, own):
            stage = Stage(Path(name), _url(address), server, seed, size.allowance)
            stage.flaws = row.flaws
            done = await row.play(Round(stage, size.messages // 2, min(size.breaks, row.most), address, own))
            database = await _opened(Path(name), address)
            try:
                return judge(await stage.record(database), done)
            finally:
                await database.close()


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
