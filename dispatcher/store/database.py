"""The open store: one connection, one transaction at a time, durable before anyone is told.

SQLite in WAL mode with synchronous=FULL: a commit that has returned survives a power cut. Every transaction begins
IMMEDIATE, so that nothing in it can fail for a lock half way through. Whoever needs the store waits in line for it,
so transactions are kept short and large work is done in chunks.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from dispatcher.store import migrate
from dispatcher.store.driver import connect
from dispatcher.store.lock import StoreLock, acquire

CHUNK = 500
"""Rows of one statement or one chunk of long work: enough to make the commit cheap, few enough to be brief."""


class StoreError(Exception):
    """The store cannot be used as it is; the message says what to do."""


class Database:
    """The open store. `async with database.transaction() as tx` is the only way in."""

    def __init__(self, engine: AsyncEngine, connection: AsyncConnection, lock: StoreLock) -> None:
        self._engine = engine
        self._connection = connection
        self._process_lock = lock
        self._line = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path, role: str) -> Self:
        """Lock, open and, where needed, make or migrate the store at this path.

        Raises StoreLockedError where another process has it, StoreError where it cannot be used.
        """
        if not path.parent.is_dir():
            raise StoreError(f"the store's folder {path.parent} does not exist; make it, or correct [store] url")
        try:
            lock = acquire(path, role)
        except PermissionError as error:
            raise StoreError(f"the store {path} may not be written by this user: {error.strerror}") from error
        engine = _engine(path)
        try:
            # People's data: the file is its owner's alone, from its first moment.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = await engine.connect()
            await migrate.to_newest(connection)
            # Last, as it stays with the file: nothing is done to a database that turns out not to be ours.
            await (await (await _driver(connection)).execute("PRAGMA journal_mode=WAL")).close()
        except (DBAPIError, migrate.SchemaError, OSError) as error:
            await engine.dispose()
            lock.release()
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise StoreError(f"the store {path} cannot be used: {cause}") from error
        return cls(engine, connection, lock)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One durable transaction: committed when the block ends, rolled back when it raises."""
        async with self._line:
            try:
                async with self._connection.begin():
                    yield self._connection
            except asyncio.CancelledError:
                # What the driver was told before it still does; this it does after that, and before anything else.
                await asyncio.shield((await _driver(self._connection)).rollback())
                raise

    async def close(self) -> None:
        """Close the store, after what is under way has ended."""
        async with self._line:
            await self._connection.close()
            await self._engine.dispose()
            self._process_lock.release()


async def _driver(connection: AsyncConnection) -> Any:  # noqa: ANN401 -- the driver's own, typed too widely
    return (await connection.get_raw_connection()).driver_connection


def _engine(path: Path) -> AsyncEngine:
    # What is stored is people's data: no error may quote it (promise P12).
    engine = create_async_engine(
        "sqlite+aiosqlite://", async_creator=lambda: connect(path), poolclass=StaticPool, hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 -- the driver's own, untyped
        connection.isolation_level = None   # the driver shall not begin transactions by itself
        cursor = connection.cursor()
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000",
                       "cache_size=-16384", "temp_store=MEMORY", "wal_autocheckpoint=4000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        # A cancelled task says nothing about the connection; another one beside it would find the store locked.
        if isinstance(context.original_exception, asyncio.CancelledError):
            context.is_disconnect = False

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:  # noqa: ANN401 -- SQLAlchemy's own, typed too widely
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
