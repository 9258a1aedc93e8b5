"""Requests of a file onto the queue, against the bare insertion of the rows that they come to, in one run.

`dispatcher send CAMPAIGN --file F` reads and checks every line, knows every customer, gives every message its place,
answers for each, and is durable at each 32,000; bare is one executemany (SQLite) or one COPY (PostgreSQL) of the same
rows, ready in memory, into a store with the same tables and indexes. Twice as long with a million is what is wanted,
and `make long` asks for it (seen: 1.6 to 1.9 times in SQLite, 1.95 to 2.03 in PostgreSQL, where server, reader and
sender share two cores); `make test` guards, with fewer and the program's own start among them, against work for each
message that could be done for many (seen: 3 times).
"""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import time

import asyncpg
import pytest
from support.bulk import project, requests_file, settle_in, works_on
from support.commands import DISPATCHER
from support.postgresql import SERVER, make, need_postgresql
from support.postgresql import drop as drop_database

from dispatcher.store.postgresql import PostgresqlStore
from dispatcher.store.sqlite import pragmas_of
from dispatcher.store.tables import messages

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1_800)]
NAMES = tuple(column.name for column in messages.c if column.name != "id")


def enqueue(folder, count):
    """Seconds of the whole command."""
    began = time.perf_counter()
    words = ["--config", str(folder / "dispatcher.toml"), "send", "wide", "--file", str(folder / "orders.ndjson")]
    done = subprocess.run([DISPATCHER, *words, "--json"], capture_output=True, text=True, check=False)  # noqa: S603 -- our own command
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["queued"] == count
    return took


def bare_executemany(place, rows):
    """Seconds of one executemany and its commit, on a connection that is set up as the store's is."""
    store = sqlite3.connect(place, isolation_level=None)
    for pragma in pragmas_of("FULL"):
        store.execute(f"PRAGMA {pragma}")
    began = time.perf_counter()
    store.execute("BEGIN IMMEDIATE")
    store.executemany(f"INSERT INTO messages ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})", rows)  # noqa: S608 -- names of our columns
    store.execute("COMMIT")
    took = time.perf_counter() - began
    store.close()
    return took


def on_sqlite(folder, count):
    """Seconds of both."""
    project(folder, f"sqlite:///{folder}/store.db")
    requests_file(folder / "orders.ndjson", count)

    async def fill():
        works = await works_on(folder)
        await settle_in(folder, works, count)
        await works.database.close()

    asyncio.run(fill())
    shutil.copy(folder / "store.db", folder / "bare.db")
    ours = enqueue(folder, count)
    with sqlite3.connect(folder / "store.db") as store:
        rows = store.execute(f"SELECT {', '.join(NAMES)} FROM messages ORDER BY id").fetchall()  # noqa: S608 -- as above
    assert len(rows) == count
    return ours, bare_executemany(folder / "bare.db", rows)


def on_postgresql(folder, count):
    """Seconds of both."""
    async def prepare():
        address = await make()
        project(folder, str(address))
        works = await works_on(folder, await PostgresqlStore.open(address, "run"))
        await settle_in(folder, works, count)
        await works.database.close()
        return address

    async def bare(address):
        session = await asyncpg.connect(host=address.database.host, port=address.database.port, user=SERVER.user,
                                        database=address.database.database, ssl=False)
        rows = [tuple(row) for row in await session.fetch(f"SELECT {', '.join(NAMES)} FROM messages ORDER BY id")]  # noqa: S608 -- as above
        assert len(rows) == count
        await session.execute("TRUNCATE messages, attempts")
        began = time.perf_counter()
        await session.copy_records_to_table("messages", records=rows, columns=NAMES)
        took = time.perf_counter() - began
        await session.close()
        return took

    requests_file(folder / "orders.ndjson", count)
    address = asyncio.run(prepare())
    try:
        return enqueue(folder, count), asyncio.run(bare(address))
    finally:
        asyncio.run(drop_database(address))


WAYS = {"sqlite": on_sqlite, "postgresql": on_postgresql}


def at(folder, kind, count):
    if kind == "postgresql":
        need_postgresql()
    ours, bare = WAYS[kind](folder, count)
    print(f"{kind}: {count:,} by file in {ours:.1f} s, bare in {bare:.1f} s: {ours / bare:.2f} times")
    return ours / bare


@pytest.mark.parametrize(("kind", "times"), [("sqlite", 6), ("postgresql", 6)])
def test_a_file_of_requests_takes_a_few_times_as_long_as_the_bare_rows(tmp_path, kind, times):
    assert at(tmp_path, kind, 100_000) < times


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(WAYS))
def test_a_million_requests_take_at_most_twice_as_long_as_the_bare_rows(tmp_path, kind):
    assert at(tmp_path, kind, 1_000_000) <= 2
