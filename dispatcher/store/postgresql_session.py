"""A session with PostgreSQL: dialled, told how to work, and let into the store, one transaction at a time.

The store's lock is an advisory one of the transaction, so that whatever is committed was committed while its session
held the lock: there is no way to lose the lock and to go on writing. PostgreSQL gives it back when the transaction has
ended, however it did: whoever has the lock next sees all that came of it.
"""

import ssl
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import ExceptionContext, Integer, bindparam, event, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from config.postgresql import Postgresql, SslMode
from dispatcher.store.migrate import NEWEST, current, has_instances
from dispatcher.store.postgresql_trouble import advise, hush

OLDEST: Final = 130000
"""The least server: what became of a transaction whose answer was lost can be asked since PostgreSQL 13."""
DIAL_TAKES: Final = 10.0           # seconds
STATEMENT_TAKES: Final = 60.0
"""Seconds for one statement; each is bounded and takes milliseconds. The server ends what takes longer, and this side
gives up a little later on a server that says nothing at all."""
WORKING: Final = {
    "application_name": "dispatcher",
    "statement_timeout": str(round(STATEMENT_TAKES * 1000)),
    # A person's open transaction on the same rows, or a daemon that has the store and does not go on: the turn fails,
    # says so, and is tried again.
    "lock_timeout": "10000",
    # A daemon that was stopped in the middle of a transaction shall not keep the store from all others.
    "idle_in_transaction_session_timeout": "5000",
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
BRIEF: Final = WORKING | {"statement_timeout": "2000", "lock_timeout": "1000"}
"""For heartbeats and looks, which are of no use any more when they are late."""
STATEMENTS: Final = 500             # statements kept prepared: all that the dispatcher has
_CLASS: Final = 0x64697370          # "disp": which of a database's advisory locks are the dispatcher's
_NO_LOCK: Final = "55P03"           # SQLSTATE: it was waited for too long
_SPENT: Final = "BEGIN; SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_xact_id() END; ROLLBACK;" * 16
"""Numbers of transactions that are undone, before a session does anything. A server that has crashed gives numbers anew
whose transactions never came to its disk. Who asks for one of these shall not hear that it was committed because a
heartbeat has got its number meanwhile."""
_FUTURE: Final = "22023"            # SQLSTATE: a transaction's number that was not given yet
_UNREACHABLE: Final = ("08", "53", "57P")     # classes of SQLSTATE: no connection, no more of them, not up

_ABOUT: Final = text("""
    SELECT pg_backend_pid() AS backend, current_setting('server_version_num')::int AS version,
           current_setting('server_encoding') AS encoding, current_schema() AS schema, current_user AS role,
           CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
""")
# The clock is asked once the lock is there, but the snapshot of a statement that waits is older: a lease may seem to
# have lapsed that was renewed meanwhile. Then it is asked for again (_LASTS).
_ENTER: Final = text("""
    WITH taken AS MATERIALIZED (SELECT pg_advisory_xact_lock(:class, hashtext(current_schema())))
    SELECT CASE WHEN lease_until > extract(epoch FROM clock_timestamp()) * 1000 THEN 'lasts' END
    FROM taken LEFT JOIN instances ON id = CAST(:instance AS bigint)
""")
_LASTS: Final = text("""
    SELECT CASE WHEN lease_until > extract(epoch FROM clock_timestamp()) * 1000 THEN 'lasts'
                WHEN lease_until > 0 THEN 'lapsed' END
    FROM instances WHERE id = CAST(:instance AS bigint)
""")
_LOCK: Final = text("SELECT pg_advisory_xact_lock(:class, hashtext(current_schema()))")
_MIGRATE: Final = text("SELECT pg_advisory_xact_lock(:class + 1, hashtext(current_schema()))")
_END_OURS: Final = text("""
    SELECT pg_terminate_backend(pid)
    FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = :class
      AND objid::bigint = hashtext(current_schema())::bigint & 4294967295
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND pid = ANY (:ours) AND pid <> pg_backend_pid()
""").bindparams(bindparam("ours", type_=ARRAY(Integer())))
_PATIENTLY: Final = text("SET LOCAL lock_timeout = '10s'")
_AT_LEISURE: Final = text("SET LOCAL lock_timeout = 0")
_LIVING: Final = text("SELECT machine FROM instances "
                      "WHERE lease_until > extract(epoch FROM clock_timestamp()) * 1000 ORDER BY id")
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
class Session:
    """A connection and the server's process behind it."""

    connection: AsyncConnection
    backend: int


class LapsedError(Exception):
    """A lease is not renewed at the moment."""


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
        advise(error)
        if hush(error):
            raise InterfaceError(context.statement, None, error, hide_parameters=True)
        if isinstance(error, OSError):      # of the network, or a TimeoutError: SQLAlchemy has no name for them
            context.is_disconnect = True
            raise OperationalError(context.statement, None, error, hide_parameters=True)

    return engine


async def dial(engine: AsyncEngine) -> Session:
    """A session that works, and what it is with; DBAPIError, or UnfitError."""
    try:
        connection = await engine.connect()
    except (OSError, asyncpg.PostgresError) as error:
        # Nobody answers, or lets us in as yet: the pool passes these on as they are, and everybody goes by DBAPIError.
        raise OperationalError(None, None, error, hide_parameters=True) from error
    try:
        await _spend(connection)
        async with connection.begin():
            about = (await connection.execute(_ABOUT)).one()
        _check(about)
    except BaseException:
        await hang_up(connection)
        raise
    return Session(connection, about.backend)


async def _spend(connection: AsyncConnection) -> None:
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        await driver.execute(_SPENT)        # many statements at once, which SQLAlchemy does not know
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise OperationalError(None, None, error, hide_parameters=True) from error


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


async def enter(session: Session, instance: int) -> bool:
    """Be let into the store, at the beginning of a transaction and until its end.

    First come, first served, over all daemons. `instance`: the one whose lease must last; 0: none. False where others
    have taken over from it; DBAPIError where it has lapsed, and nobody has: a heartbeat may renew it.
    """
    found = (await session.connection.execute(_ENTER, {"class": _CLASS, "instance": instance})).scalar()
    if not found and instance:
        found = (await session.connection.execute(_LASTS, {"instance": instance})).scalar()
    if found == "lapsed":
        raise OperationalError(None, None, LapsedError("the lease of this daemon has lapsed, and is to be renewed"))
    return bool(found) or not instance


async def end_former(session: Session, ours: Collection[int]) -> None:
    """End our own sessions of before, which we have lost, as far as they have the store or wait for it.

    The server may not know yet that they are gone, and nobody would get in before it does.
    """
    async with session.connection.begin():
        await session.connection.execute(_END_OURS, {"class": _CLASS, "ours": list(ours)})


async def enter_to_migrate(connection: AsyncConnection) -> None:
    """Have the store alone, for a transaction that changes its schema; UnfitError where daemons are at work in it.

    One of a release that had the store for itself holds the same lock for as long as it lives.
    """
    await connection.execute(_MIGRATE, {"class": _CLASS})
    await connection.execute(_PATIENTLY)
    try:
        await connection.execute(_LOCK, {"class": _CLASS})
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") != _NO_LOCK:
            raise
        raise UnfitError("a dispatcher of an earlier version is at work in it; end that first") from error
    await connection.execute(_AT_LEISURE)
    if await connection.run_sync(has_instances):
        living = [machine for (machine,) in await connection.execute(_LIVING)]
        if living and await connection.run_sync(current) != NEWEST:
            raise UnfitError(f"daemons of an earlier version are at work in it, on {', '.join(living)}; end them first")


async def fate(session: Session, number: str) -> str | None:
    """What became of a transaction: committed, aborted or in progress; None where the server does not know any more."""
    try:
        async with session.connection.begin():
            # Once we are in, the session that had the store before has ended its transaction.
            await session.connection.execute(_LOCK, {"class": _CLASS})
            found: str | None = (await session.connection.execute(_FATE, {"number": number})).scalar()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") != _FUTURE:
            raise
        # It went with the server's crash before it was on the disk. Now, not later: the number will be another's.
        return "aborted"
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
