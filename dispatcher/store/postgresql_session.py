"""A session with PostgreSQL: dialled, told how to work, and holding the store's lock.

The lock is an advisory one of the session itself, so that whatever this session commits was committed while it held the
lock: there is no way to lose the lock and to go on writing. PostgreSQL gives it back when the session has ended, and
not before its last transaction has: whoever has the lock next sees all that came of it.
"""

import contextlib
import json
import os
import ssl
import uuid
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Any, Final

import asyncpg
from sqlalchemy import ExceptionContext, Integer, bindparam, event, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from config.postgresql import Postgresql, SslMode
from dispatcher.store.lock import StoreLockedError
from dispatcher.store.migrate import has_meta

OLDEST: Final = 130000
"""The least server: what became of a transaction whose answer was lost can be asked since PostgreSQL 13."""
DIAL_TAKES: Final = 10.0           # seconds
STATEMENT_TAKES: Final = 60.0
"""Seconds for one statement; each is bounded and takes milliseconds. The server ends what takes longer, and this side
gives up a little later on a server that says nothing at all."""
WORKING: Final = {
    "application_name": "dispatcher",
    "statement_timeout": str(round(STATEMENT_TAKES * 1000)),
    # A person's open transaction on the same rows: the turn fails, says so, and is tried again.
    "lock_timeout": "10000",
    # A daemon that was stopped in the middle of a transaction shall not keep its locks.
    "idle_in_transaction_session_timeout": "60000",
    # A plan for every statement: those for any parameter do not know how long a list is, and were seen to be very slow.
    "plan_cache_mode": "force_custom_plan",
    # Compiling pays for statements of seconds; ours would wait longer for it than they run.
    "jit": "off",
    "default_transaction_isolation": "read committed",
    # Half a minute after this machine has gone, and not hours, the server ends the session, and its lock with it.
    "tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
}
PATIENT: Final = WORKING | {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "lock_timeout": "0"}
"""For a migration, which takes as long as it takes."""
STATEMENTS: Final = 500             # statements kept prepared: all that the dispatcher has
_CLASS: Final = 0x64697370          # "disp": which of a database's advisory locks are the dispatcher's
_UNREACHABLE: Final = ("08", "53", "57P")     # classes of SQLSTATE: no connection, no more of them, not up

_ABOUT: Final = text("""
    SELECT pg_backend_pid() AS backend, current_setting('server_version_num')::int AS version,
           current_setting('server_encoding') AS encoding, current_schema() AS schema, current_user AS role,
           CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
""")
_TRY: Final = text("SELECT pg_try_advisory_lock(:class, hashtext(current_schema()))")
_WAIT: Final = text("SELECT pg_advisory_lock(:class, hashtext(current_schema()))")
_MIGRATE: Final = text("SELECT pg_advisory_xact_lock(:class + 1, hashtext(current_schema()))")
_OF_THE_LOCK: Final = """
    FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = :class
      AND objid::bigint = hashtext(current_schema())::bigint & 4294967295
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_WHO: Final = text(f"SELECT pid {_OF_THE_LOCK} AND granted")
_END_OURS: Final = text(f"SELECT pg_terminate_backend(pid) {_OF_THE_LOCK} AND pid = ANY (:ours) "
                        "AND pid <> pg_backend_pid()").bindparams(bindparam("ours", type_=ARRAY(Integer())))
_HURRY: Final = text("SET LOCAL lock_timeout = '2s'")
_READ_HOLDER: Final = text("SELECT value FROM meta WHERE name = 'holder'")
_WRITE_HOLDER: Final = text("INSERT INTO meta (name, value) VALUES ('holder', :value) "
                            "ON CONFLICT (name) DO UPDATE SET value = excluded.value")
_FATE: Final = text("SELECT pg_xact_status(CAST(CAST(:number AS text) AS xid8))")


@dataclass(frozen=True, slots=True)
class Address:
    """A database, and what it takes to be let in."""

    database: Postgresql
    password: str = field(default="", repr=False)
    ca_file: Path | None = None

    def __str__(self) -> str:
        """The address as ops write it; no secret."""
        return str(self.database)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who opened the store last, as it stands in the store."""

    role: str
    process: int
    machine: str
    backend: int            # the server's process for the session that opened it
    opening: str            # another one for each time that a store is opened


@dataclass(frozen=True, slots=True)
class Session:
    """A connection and the server's process behind it."""

    connection: AsyncConnection
    backend: int


class UnfitError(Exception):
    """The server is not one that a store can be kept on; the message says why."""


def make_engine(address: Address, settings: dict[str, str]) -> AsyncEngine:
    """An engine that keeps no connections by itself: which ones there are is the store's to know."""
    takes = STATEMENT_TAKES + DIAL_TAKES if settings["statement_timeout"] != "0" else None
    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, hide_parameters=True,
        connect_args={"async_creator_fn": lambda: _dial(address, settings, takes),
                      "prepared_statement_cache_size": STATEMENTS},
    )

    @event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        error = context.original_exception
        if _hush(error):
            raise InterfaceError(context.statement, None, error, hide_parameters=True)
        if isinstance(error, OSError):      # of the network, or a TimeoutError: SQLAlchemy has no name for them
            context.is_disconnect = True
            raise OperationalError(context.statement, None, error, hide_parameters=True)

    return engine


async def dial(engine: AsyncEngine) -> Session:
    """A session that works, and what it is with; DBAPIError, or UnfitError."""
    connection = await engine.connect()
    try:
        async with connection.begin():
            about = (await connection.execute(_ABOUT)).one()
        _check(about)
    except BaseException:
        await hang_up(connection)
        raise
    return Session(connection, about.backend)


def _check(about: Any) -> None:  # noqa: ANN401 -- a row of _ABOUT
    if about.version < OLDEST:
        raise UnfitError(f"it is PostgreSQL {about.version // 10000}; {OLDEST // 10000} or newer is needed")
    if about.encoding != "UTF8":
        raise UnfitError(f"its encoding is {about.encoding}; make the database with ENCODING 'UTF8'")
    if about.schema is None:
        raise UnfitError(f"its user has no schema; CREATE SCHEMA AUTHORIZATION {about.role} makes one")


async def hang_up(connection: AsyncConnection) -> None:
    """End a session, whatever state it is in. Its transaction, if it has one, is undone or done by the server alone."""
    if connection.closed:
        return
    try:
        await connection.invalidate()
        await connection.close()
    except (DBAPIError, OSError):
        pass    # it is gone, then


def is_open(session: Session) -> bool:
    """Whether a session still works, as far as this side knows."""
    connection = session.connection.sync_connection
    if connection is None or connection.closed or connection.invalidated:
        return False
    driver: Any = connection.connection.driver_connection
    return not driver.is_closed()


def unreachable(error: BaseException) -> bool:
    """Whether an error of dialling says that nobody is there, rather than that we are not let in."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, OSError) or (getattr(cause, "sqlstate", None) or "").startswith(_UNREACHABLE)


async def lock(session: Session, address: Address) -> None:
    """Take the store's lock, or raise StoreLockedError at once."""
    async with session.connection.begin():
        if (await session.connection.execute(_TRY, {"class": _CLASS})).scalar():
            return
        holder = await read_holder(session)
        found = await _locked_by(session)
    if holder is None or holder.backend != found:
        raise StoreLockedError(address, "", 0)      # it has only just come
    gone = holder.machine == gethostname() and not _runs(holder.process)
    raise StoreLockedError(address, holder.role, holder.process, holder.machine, gone=gone)


def _runs(process: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass        # somebody else's
    return True


async def lock_again(session: Session, ours: Collection[int]) -> None:
    """Take the lock back after our own sessions of before were lost.

    The server may not know yet that they are gone, so they are ended, and those too that only waited for the lock; it
    comes when the last transaction of them has ended. DBAPIError where that takes too long, or somebody else has it.
    """
    async with session.connection.begin():
        await session.connection.execute(_END_OURS, {"class": _CLASS, "ours": list(ours)})
        await session.connection.execute(_HURRY)
        await session.connection.execute(_WAIT, {"class": _CLASS})


async def lock_to_migrate(connection: AsyncConnection) -> None:
    """Keep others from changing the schema beside us, until the transaction ends."""
    await connection.execute(_MIGRATE, {"class": _CLASS})


async def read_holder(session: Session) -> Holder | None:
    """Who opened the store last; None where nobody has, or has written so."""
    async with _within(session):
        if not await session.connection.run_sync(has_meta):
            return None
        found = (await session.connection.execute(_READ_HOLDER)).scalar()
    return Holder(**json.loads(found)) if found is not None else None


async def write_holder(session: Session, role: str) -> Holder:
    """Write that we have opened the store."""
    holder = Holder(role, os.getpid(), gethostname(), session.backend, uuid.uuid4().hex)
    async with session.connection.begin():
        await session.connection.execute(_WRITE_HOLDER, {"value": json.dumps(asdict(holder))})
    return holder


async def fate(session: Session, number: str) -> str | None:
    """What became of a transaction: committed, aborted or in progress; None where the server does not know any more."""
    async with session.connection.begin():
        found: str | None = (await session.connection.execute(_FATE, {"number": number})).scalar()
    return found


@contextlib.asynccontextmanager
async def _within(session: Session) -> AsyncIterator[None]:
    """The transaction that there is, or one of its own."""
    if session.connection.in_transaction():
        yield
    else:
        async with session.connection.begin():
            yield


async def _locked_by(session: Session) -> int | None:
    found: int | None = (await session.connection.execute(_WHO, {"class": _CLASS})).scalar()
    return found


async def _dial(address: Address, settings: dict[str, str], takes: float | None) -> Any:  # noqa: ANN401 -- the driver's own, untyped
    """A connection, by what the configuration says: the driver would look around for what it is not told."""
    database = address.database
    ways: list[ssl.SSLContext | bool] = [_context(address)] if database.sslmode is not SslMode.DISABLE else [False]
    if database.sslmode is SslMode.PREFER:
        ways.append(False)
    while True:
        way = ways.pop(0)
        try:
            return await asyncpg.connect(
                host=database.host, port=database.port, user=database.user, database=database.database,
                password=address.password, ssl=way, server_settings=settings, timeout=DIAL_TAKES,
                command_timeout=takes, target_session_attrs="any",
            )
        except ConnectionError as error:
            if not ways or "rejected SSL" not in str(error):
                raise


def _context(address: Address) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=address.ca_file)
    mode = address.database.sslmode
    context.check_hostname = mode is SslMode.VERIFY_FULL
    if mode in {SslMode.PREFER, SslMode.REQUIRE}:
        context.verify_mode = ssl.CERT_NONE
    return context


def _hush(error: BaseException | None) -> bool:
    """What is stored is people's data: no error may quote it (promise P12), nor the one behind it in a trace.

    True where the message itself did, which is then another.
    """
    quoted = False
    while error is not None:
        if getattr(error, "detail", None) is not None:
            error.detail = None     # type: ignore[attr-defined] # both the driver's errors and SQLAlchemy's have it
        if error.args and "for query argument" in str(error.args[0]):
            error.args, quoted = ("a value is not what its column takes",), True
        error = error.__cause__
    return quoted
