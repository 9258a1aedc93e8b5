"""The store in PostgreSQL: several daemons, and one transaction at a time over all of them.

Isolation is READ COMMITTED, and each transaction begins with the store's lock, an advisory one that it has until its
end (postgresql_session.py). So whatever is right for the interleaved transactions of one daemon is right for several: a
release reads the ledger that its batch will stand in, a stop (hold, cancel, suppression) excludes releases, so that
after its commit none is still taking messages without having seen it, and nobody waits for anybody in a circle.
Narrower locks, one for each lane, would let two releases run beside each other; but transactions are short, the disk
takes commits one after another all the same, and what a lane's release reads belongs to all lanes: holds, the bounds
over several lanes, what a customer was sent. What really takes time, the hand-over, happens outside.

Under READ COMMITTED each statement sees what was committed before it began, so whoever waited for the lock sees what
the one before has done. Under REPEATABLE READ or SERIALIZABLE the snapshot would be older than the lock: who waited
could only fail and begin again, with all that a release has told others meanwhile.

With the lock a daemon learns whether its lease lasts (instances.py). Past it the daemon writes nothing: DBAPIError
until it is renewed, or, once others have taken over, StoreLostError. How long a process that stands still can keep the
others out is bounded by the server: it ends a session that does nothing in a transaction, which is undone then.

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
from dispatcher.store.database import SharedDatabase, StoreError, StoreLostError, StoreUnreachableError
from dispatcher.store.postgresql_session import (
    BRIEF,
    DIAL_TAKES,
    PATIENT,
    WORKING,
    Address,
    Session,
    UnfitError,
    dial,
    end_former,
    enter,
    enter_to_migrate,
    fate,
    hang_up,
    is_open,
    make_engine,
    unreachable,
)
from dispatcher.store.postgresql_trouble import unwritable
from dispatcher.store.unfinished import Admit, refuse_unfinished

ASKED_FOR: Final = 30.0         # seconds that the fate of a commit is asked for
ASKED_EVERY: Final = 0.5
_NUMBER: Final = text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)")

__all__ = ["Address", "PostgresqlStore", "StoreLostError"]


class PostgresqlStore(SharedDatabase):
    """A store in a schema of a PostgreSQL database."""

    def __init__(self, address: Address, engine: AsyncEngine, session: Session) -> None:
        super().__init__(engine)
        self._address = address
        self._session = session
        self._ours = {session.backend}      # the server's processes for our sessions, those that may still be there
        self._lost = ""
        self._full = ""         # why nothing can be written, until something has been
        self._brief = make_engine(address, BRIEF)
        self._beside: Session | None = None     # for what waits for no transaction
        self._beside_taken = asyncio.Lock()

    @classmethod
    async def open(cls, address: Address, _role: str, *, admit: Admit = refuse_unfinished) -> Self:
        """Open and, where needed, make or migrate the store, whoever else has it open; `admit` may refuse it before.

        Raises StoreUnreachableError where the server does not answer, StoreError where it cannot be used.
        """
        engine = make_engine(address, WORKING)
        session: Session | None = None
        try:
            session = await dial(engine)
            async with session.connection.begin():
                await session.connection.run_sync(admit)
                version = await session.connection.run_sync(migrate.current)
            if version != migrate.NEWEST:
                await _migrate(address)
            return cls(address, engine, session)
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
        try:
            async with self._transaction() as tx:
                yield tx
        except DBAPIError as error:
            self._full = unwritable(error.orig) or self._full
            gone = f"the database server does not answer: {error.orig or 'in time'}" if unreachable(error) else ""
            self.trouble = self._full or gone
            raise

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        session = await self._working()
        number: str | None = None
        committing = False
        try:
            begun = await session.connection.begin()
            await self._enter(session)
            yield session.connection
            if not begun.is_active:     # undone by whoever had it
                await begun.close()
                return
            number = (await session.connection.execute(_NUMBER)).scalar()    # none: only read, so that all is well
            committing = True
            await begun.commit()
            self._full = "" if number is not None else self._full       # it is read as ever: only who has written knows
            self.trouble = self._full
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

    async def _enter(self, session: Session) -> None:
        """Have the store to ourselves until the transaction ends, as long as our lease lasts."""
        if not await enter(session, self.instance):
            self._lost = (f"the lease of this daemon on {self._address} has lapsed, as it stood still or could not "
                          "reach it, and others have taken over what it had under way")
            raise StoreLostError(self._lost)

    @contextlib.asynccontextmanager
    async def aside(self) -> AsyncIterator[AsyncConnection]:
        """A session of its own, in which each statement is a transaction of its own and takes no lock of the store."""
        async with self._beside_taken:
            if self._lost:
                raise StoreLostError(self._lost)
            if self._beside is not None and not is_open(self._beside):
                await hang_up(self._beside.connection)
                self._beside = None
            if self._beside is None:
                async with asyncio.timeout(DIAL_TAKES):
                    self._beside = session = await dial(self._brief)
                await session.connection.execution_options(isolation_level="AUTOCOMMIT")
            session = self._beside
            try:
                async with session.connection.begin():
                    yield session.connection
            except BaseException:       # whatever state it is in: the next has another
                self._beside = None
                await asyncio.shield(hang_up(session.connection))
                raise

    async def _working(self) -> Session:
        """The session; a new one where it has ended meanwhile."""
        if self._lost:
            raise StoreLostError(self._lost)
        if not is_open(self._session):
            await hang_up(self._session.connection)
            session = await dial(self._engine)
            self._ours.add(session.backend)
            try:
                await end_former(session, self._ours)
            except BaseException:
                await asyncio.shield(hang_up(session.connection))
                raise
            self._session, self._ours = session, {session.backend}
        return self._session

    async def _fate(self, number: str) -> str:
        """What became of a transaction whose commit was not answered."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ASKED_FOR
        while True:
            try:
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
        if self._beside is not None:
            await hang_up(self._beside.connection)
        await self._engine.dispose()
        await self._brief.dispose()


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
            await enter_to_migrate(connection)
            await connection.run_sync(migrate.upgrade)
    finally:
        await asyncio.shield(hang_up(connection))
