"""The store in PostgreSQL: one process, one session, one transaction at a time.

Isolation is READ COMMITTED, and what must not happen at once is kept apart by locks: today by the one lock of the
store, which the session holds for as long as it lives (postgresql_session.py). Several daemons on one database will
share that lock and take narrower ones, in this order: a transaction takes its locks first, and reads after that. Under
READ COMMITTED each statement sees what was committed before it began, so whoever waited for a lock sees what the one
before has done. Under REPEATABLE READ or SERIALIZABLE the snapshot would be older than the lock: who waited could only
fail and begin again, with all that a release has told others meanwhile; and a queue whose head everybody reads would
make serializable transactions fail each other without need. So:

- a release locks its lane, then reads the ledger: the sums that it adds to are those that its batch will stand in;
- a stop (hold, cancel, suppression) excludes the releases of what it covers, so that after its commit no release is
  still taking messages without having seen it;
- tallies are counters that everybody adds to, in the order of their keys and last of all, which keeps transactions from
  waiting for each other in a circle.

A connection that breaks takes its transaction with it: DBAPIError, as for any statement that failed, and the next
transaction has a new session. Only where it broke in the commit itself nobody knows yet: then the server is asked, and
the block ends as what really came of it. Where it cannot be asked, StoreLostError ends the process, for the next start
to go by what is stored: nothing is done on a guess.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Self

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher.store import migrate
from dispatcher.store.database import Database, StoreError, StoreUnreachableError
from dispatcher.store.postgresql_session import (
    PATIENT,
    WORKING,
    Address,
    Holder,
    Session,
    UnfitError,
    dial,
    fate,
    hang_up,
    is_open,
    lock,
    lock_again,
    lock_to_migrate,
    make_engine,
    read_holder,
    unreachable,
    write_holder,
)
from dispatcher.store.unfinished import Admit, refuse_unfinished

ASKED_FOR: Final = 30.0         # seconds that the fate of a commit is asked for
ASKED_EVERY: Final = 0.5
_NUMBER: Final = text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)")

__all__ = ["Address", "PostgresqlStore", "StoreLostError"]


class StoreLostError(StoreError):
    """The store is not ours any more, or nobody can say what it holds: the process must end, and start anew."""


class PostgresqlStore(Database):
    """A store in a schema of a PostgreSQL database."""

    def __init__(self, address: Address, engine: AsyncEngine, session: Session, holder: Holder) -> None:
        super().__init__(engine)
        self._address = address
        self._session = session
        self._holder = holder
        self._ours = {session.backend}      # the server's processes for our sessions, those that may still be there
        self._lost = ""

    @classmethod
    async def open(cls, address: Address, role: str, *, admit: Admit = refuse_unfinished) -> Self:
        """Lock, open and, where needed, make or migrate the store; `admit` may refuse it before.

        Raises StoreLockedError where another process has it, StoreUnreachableError where the server does not answer,
        StoreError where it cannot be used.
        """
        engine = make_engine(address, WORKING)
        session: Session | None = None
        try:
            session = await dial(engine)
            await lock(session, address)
            async with session.connection.begin():
                await session.connection.run_sync(admit)
                version = await session.connection.run_sync(migrate.current)
            if version != migrate.NEWEST:
                await _migrate(address)
            return cls(address, engine, session, await write_holder(session, role))
        except BaseException as error:
            if session is not None:
                await asyncio.shield(hang_up(session.connection))
            if isinstance(error, (DBAPIError, OSError, UnfitError, migrate.SchemaError)):
                cause = error.orig if isinstance(error, DBAPIError) else error
                kind = StoreUnreachableError if session is None and unreachable(error) else StoreError
                raise kind(f"the store {address} cannot be used: {cause}") from error
            raise

    @contextlib.asynccontextmanager
    async def _begun(self) -> AsyncIterator[AsyncConnection]:
        session = await self._working()
        number: str | None = None
        committing = False
        try:
            begun = await session.connection.begin()
            yield session.connection
            if not begun.is_active:     # undone by whoever had it
                await begun.close()
                return
            number = (await session.connection.execute(_NUMBER)).scalar()    # none: only read, so that all is well
            committing = True
            await begun.commit()
        except BaseException as error:
            await asyncio.shield(_undo(session, whole=isinstance(error, Exception)))
            if not committing or not isinstance(error, DBAPIError) or is_open(session):
                raise
            if number is not None and await self._fate(number) != "committed":
                raise

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """One moment of the store, in a session of its own that can only read, and may take its time."""
        engine = make_engine(self._address, PATIENT)
        connection = (await dial(engine)).connection
        try:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                yield connection
        finally:
            await asyncio.shield(hang_up(connection))

    async def _working(self) -> Session:
        """The session; a new one where it has ended meanwhile."""
        if self._lost:
            raise StoreLostError(self._lost)
        if not is_open(self._session):
            await hang_up(self._session.connection)
            session = await dial(self._engine)
            self._ours.add(session.backend)
            try:
                await self._take_back(session)
            except BaseException:
                await asyncio.shield(hang_up(session.connection))
                raise
            self._session = session
        return self._session

    async def _take_back(self, session: Session) -> None:
        """Have the store again, as nobody else had it meanwhile: what we know of it would not be true any more."""
        found = await read_holder(session)
        if found == self._holder:
            await lock_again(session, self._ours)
            found = await read_holder(session)
            if found == self._holder:
                self._ours = {session.backend}
                return
        who = f"process {found.process} (dispatcher {found.role}) on {found.machine}" if found else "somebody"
        self._lost = f"the connection to {self._address} was lost, and {who} has opened the store meanwhile"
        raise StoreLostError(self._lost)

    async def _fate(self, number: str) -> str:
        """What became of a transaction whose commit was not answered."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ASKED_FOR
        while True:
            try:
                # Once the lock is ours again, the former session has ended, and its transaction with it.
                found = await fate(await self._working(), number)
            except DBAPIError as error:
                found, why = None, str(error.orig)
            else:
                if found in {"committed", "aborted"}:
                    return found
                why = f"the server says {found}"
            if loop.time() >= until:
                self._lost = f"nobody can say whether {self._address} has taken the last transaction: {why}"
                raise StoreLostError(self._lost)
            await asyncio.sleep(ASKED_EVERY)

    async def _end(self) -> None:
        await hang_up(self._session.connection)
        await self._engine.dispose()


async def _undo(session: Session, *, whole: bool) -> None:
    """Undo a transaction, and keep its session where that has surely worked.

    One that was cut short in the middle of a statement (not `whole`) takes its session with it.
    """
    connection = session.connection
    begun = connection.get_transaction()
    try:
        if whole and is_open(session):
            if begun is not None:
                await begun.rollback()
            return
    except (DBAPIError, OSError):
        pass
    await hang_up(connection)


async def _migrate(address: Address) -> None:
    """Make or migrate the schema, on a connection that may take its time over it."""
    engine = make_engine(address, PATIENT)
    connection = (await dial(engine)).connection
    try:
        async with connection.begin():
            await lock_to_migrate(connection)
            await connection.run_sync(migrate.upgrade)
    finally:
        await asyncio.shield(hang_up(connection))
