"""The store in a SQLite file: one process, one connection that writes.

SQLite in WAL mode with synchronous=FULL: a commit that has returned survives a power cut. Every transaction begins
IMMEDIATE, so that nothing in it can fail for a lock half way through. Long reading is done beside it, on a connection
that can only read: in WAL mode it sees one moment, and neither waits nor is waited for.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from dispatcher.store import migrate
from dispatcher.store.database import Database, StoreError
from dispatcher.store.driver import Connect, connect, connect_to_read
from dispatcher.store.lock import StoreLock, acquire
from dispatcher.store.trouble import advise, is_damage, is_trouble, is_unsynced
from dispatcher.store.unfinished import Admit, refuse_unfinished

if TYPE_CHECKING:
    from dispatcher.store.in_place import SharedEngine

Open = Callable[[], Awaitable[Any]]
BEGIN: Final = "BEGIN IMMEDIATE"
READING: Final = ("query_only=ON", "busy_timeout=5000", "cache_size=-16384", "temp_store=FILE")
"""How a connection that only reads is set up. What it sorts may be larger than the memory that it should take."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a store is kept: for good, or, in a drill, until it is thrown away."""

    connect: Connect = connect
    synchronous: str = "FULL"                  # OFF: a power cut may lose it
    shared: "SharedEngine | None" = None       # for many stores, one after another


FOR_GOOD: Final = Keeping()


class SqliteStore(Database):
    """A store in a file."""

    def __init__(self, path: Path, engine: AsyncEngine, connection: AsyncConnection, lock: StoreLock) -> None:
        super().__init__(engine)
        self._path = path
        self._connection = connection
        self._process_lock = lock
        self._damage: BaseException | None = None
        self._unsynced = ""

    @classmethod
    async def open(cls, path: Path, role: str, keeping: Keeping = FOR_GOOD, *,
                   admit: Admit = refuse_unfinished) -> Self:
        """Lock, open and, where needed, make or migrate the store at this path; `admit` may refuse it before.

        Raises StoreLockedError where another process has it, StoreError where it cannot be used.
        """
        if not path.parent.is_dir():
            raise StoreError(f"the store's folder {path.parent} does not exist; make it, or correct [store] url")
        try:
            lock = acquire(path, role)
        except PermissionError as error:
            raise StoreError(f"the store {path} may not be written by this user: {error.strerror}") from error
        if keeping.shared is not None:
            engine = keeping.shared.at(path, keeping)
        else:
            engine = make_engine(partial(keeping.connect, path), pragmas_of(keeping.synchronous))
        try:
            # People's data: the file is its owner's alone, from its first moment.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = await engine.connect()
            await migrate.to_newest(connection, admit)
            # Last, as it stays with the file: nothing is done to a database that turns out not to be ours.
            await (await (await _driver(connection)).execute("PRAGMA journal_mode=WAL")).close()
        except (DBAPIError, sqlite3.Error, migrate.SchemaError, OSError) as error:
            await engine.dispose()
            lock.release()
            cause = error.orig if isinstance(error, DBAPIError) else error
            advise(cause)
            raise StoreError(f"the store {path} cannot be used: {cause}") from error
        except BaseException:       # interrupted: a driver's thread that is left would keep the program from ending
            await engine.dispose()
            lock.release()
            raise
        return cls(path, engine, connection, lock)

    @contextlib.asynccontextmanager
    async def _begun(self) -> AsyncIterator[AsyncConnection]:
        self._refuse()
        written = (await _driver(self._connection)).total_changes if self.trouble else 0
        try:
            async with self._connection.begin():
                yield self._connection
        except asyncio.CancelledError:
            # What the driver was told before it still does; this it does after that, and before anything else.
            await asyncio.shield((await _driver(self._connection)).rollback())
            raise
        except DBAPIError as error:
            self._meet(error)
            raise
        if self.trouble and (await _driver(self._connection)).total_changes != written:
            self.trouble = ""       # a full disk is read as ever: only who has written knows

    def _refuse(self) -> None:
        """Raise what keeps the store closed until the process starts anew, if anything does."""
        if self._unsynced:
            raise StoreError(self._unsynced)
        if self._damage is not None:
            raise DatabaseError(None, None, self._damage, hide_parameters=True)

    def _meet(self, error: DBAPIError) -> None:
        """Remember what an error says about disk and file."""
        if not is_trouble(error.orig):
            return
        self.trouble = str(error.orig)
        if is_damage(error.orig):
            self._damage = error.orig
        if is_unsynced(error.orig):
            self._unsynced = (f"the store {self._path} could not be brought to the disk ({error.orig}); "
                              "what it holds is known only after a new start")
            raise StoreError(self._unsynced) from error

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """One moment of the store, on a connection of its own that can only read."""
        engine = make_engine(partial(connect_to_read, self._path), READING, "BEGIN")
        try:
            async with engine.connect() as connection:
                driver = await _driver(connection)
                await connection.begin()
                try:
                    yield connection
                except asyncio.CancelledError:
                    await driver.interrupt()        # a count of millions: nobody waits for it any more
                    raise
                finally:
                    # There is nothing to commit, and of a damaged file SQLite would not.
                    with contextlib.suppress(DBAPIError):
                        await connection.rollback()
        finally:
            await asyncio.shield(engine.dispose())

    async def _end(self) -> None:
        await self._connection.close()
        await self._engine.dispose()
        self._process_lock.release()


async def _driver(connection: AsyncConnection) -> Any:  # noqa: ANN401 -- the driver's own, typed too widely
    return (await connection.get_raw_connection()).driver_connection


def pragmas_of(synchronous: str) -> tuple[str, ...]:
    """How a connection that writes is set up; `synchronous`: how long a commit waits."""
    return (f"synchronous={synchronous}", "foreign_keys=ON", "busy_timeout=5000", "cache_size=-16384",
            "temp_store=MEMORY", "wal_autocheckpoint=4000")


def make_engine(opened: Open, pragmas: Sequence[str], begin: str = BEGIN, *,
                module: object = None) -> AsyncEngine:
    """The engine of a store: by what it is opened, how it is set up, and the driver where it is another."""
    # What is stored is people's data: no error may quote it (promise P12).
    engine = create_async_engine(
        "sqlite+aiosqlite://", async_creator=opened, poolclass=StaticPool, hide_parameters=True, module=module,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 -- the driver's own, untyped
        connection.isolation_level = None   # the driver shall not begin transactions by itself
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        advise(context.original_exception)
        # A cancelled task says nothing about the connection; another one beside it would find the store locked.
        if isinstance(context.original_exception, asyncio.CancelledError):
            context.is_disconnect = False

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:  # noqa: ANN401 -- SQLAlchemy's own, typed too widely
        connection.exec_driver_sql(begin)

    return engine
