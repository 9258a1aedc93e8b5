"""Databases of PostgreSQL for tests: one for each process, emptied for each test, or a new one where that matters.

The server is the one that TEST_POSTGRESQL_URL names, whose user may make databases; without it, the one on this machine
that lets `postgres` in. Every database that is made here begins with `dispatcher_test_` and is dropped again.
"""

import asyncio
import atexit
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection
from support.needs import missing

from config.postgresql import parse_postgresql
from dispatcher.store import campaigns
from dispatcher.store.database import Database
from dispatcher.store.postgresql import Address, PostgresqlStore
from dispatcher.store.record_tables import metadata  # by way of these, so that all tables are known

VARIABLE = "TEST_POSTGRESQL_URL"
URL = os.environ.get(VARIABLE, "postgresql://postgres@127.0.0.1:5432/postgres?sslmode=disable")
SERVER = parse_postgresql(URL)
PASSWORD = os.environ.get("TEST_POSTGRESQL_PASSWORD", "")

_numbers = itertools.count(1)
_ours: list[Address] = []


async def connect(address: Address | None = None) -> Any:
    """A connection of a test's own."""
    database = address.database if address is not None else SERVER
    return await asyncpg.connect(host=database.host, port=database.port, user=SERVER.user, database=database.database,
                                 password=PASSWORD, ssl=False)


@cache
def trouble() -> str:
    """Why there is no server for tests, "" if there is one."""
    async def look() -> None:
        await (await connect()).close()

    try:
        with asyncio.Runner() as runner:
            runner.run(look())
    except (OSError, asyncpg.PostgresError) as error:
        return f"{URL}: {error}"
    return ""


def need_postgresql() -> None:
    """Leave the test out where there is no server; on the build server, fail."""
    if why := _in_a_thread(trouble):
        missing(f"a PostgreSQL server ({VARIABLE}; {why})")


async def tell(*statements: str, address: Address | None = None) -> None:
    """Run statements, each by itself."""
    connection = await connect(address)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def make(options: str = "") -> Address:
    """A new database with nothing in it."""
    need_postgresql()
    name = f"dispatcher_test_{os.getpid()}_{next(_numbers)}"
    await tell(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {options}")
    return Address(replace(SERVER, database=name), PASSWORD)


async def drop(address: Address) -> None:
    """Take it away, whoever is in it."""
    await tell(f"DROP DATABASE {address.database.database} WITH (FORCE)")


@asynccontextmanager
async def new_database(options: str = "") -> AsyncIterator[Address]:
    """A new database with nothing in it, for as long as the block takes."""
    address = await make(options)
    try:
        yield address
    finally:
        await drop(address)


async def emptied() -> Address:
    """This process's database, with the newest schema and nothing in it: a new one takes longer than most tests."""
    if not _ours:
        # In another order than that of bytes, as many databases are: ours must be the same in each.
        address = await make("LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'")
        _ours.append(address)
        atexit.register(_drop_ours)
        await (await PostgresqlStore.open(address, "test")).close()
    await tell(_EMPTY, address=_ours[0])
    return _ours[0]


def ours() -> Address:
    """The same once more, with what is in it."""
    return _ours[0]


def cut_off(store: Database) -> None:
    """Nothing that is done from here on reaches the store, as if its process had been killed."""
    assert isinstance(store, PostgresqlStore)
    store._lost = "killed by a test"
    connection = store._session.connection.sync_connection
    if connection is not None and not connection.closed and not connection.invalidated:
        connection.connection.driver_connection.terminate()


@asynccontextmanager
async def opened(address: Address | None = None) -> AsyncIterator[PostgresqlStore]:
    """A store that is open for as long as the block takes; this process's, emptied, unless another is named."""
    store = await PostgresqlStore.open(address or await emptied(), "run")
    try:
        yield store
    finally:
        await store.close()


opened_too = opened
"""The same for a second one beside it."""


async def named(store: PostgresqlStore) -> list[str]:
    """The campaigns in it: the least that there is to ask."""
    async with store.transaction() as tx:
        return await named_in(tx)


async def named_in(tx: AsyncConnection) -> list[str]:
    """The same in a transaction that there is."""
    return [one.id for one in await campaigns.every(tx)]


async def until_somebody_waits(address: Address) -> None:
    """Return once a transaction waits for its turn."""
    one = await connect(address)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not await one.fetchval(waiting):  # noqa: ASYNC110 -- the server does not tell
        await asyncio.sleep(0.005)
    await one.close()


def _drop_ours() -> None:
    with asyncio.Runner() as runner:
        runner.run(drop(_ours[0]))


def _in_a_thread(look: Any) -> Any:
    """What it says, from where a loop may run already."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 -- once

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(look).result()


_EMPTY = ";".join([
    # Of the test before, if it was cut short.
    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'dispatcher'""",
    *(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)),  # noqa: S608 -- names of our tables
    *(f"SELECT setval('{name}_id_seq', 1, false)" for name in ("messages", "events", "expansions")),
])
