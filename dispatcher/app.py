"""The composition root: where the parts become a daemon, or an office for one command. It builds, it does not think."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from sqlalchemy.exc import DBAPIError

from config.faults import ConfigFaults
from config.load import Loaded, load
from config.model import Settings
from dispatcher import collector, logs, packages, service
from dispatcher.clock import SystemClock
from dispatcher.engine import resolver
from dispatcher.engine.daemon import Engine
from dispatcher.engine.journal import Journal
from dispatcher.engine.watch import Watch
from dispatcher.engine.ways import Ways
from dispatcher.engine.works import Works
from dispatcher.operations.aside import Aside
from dispatcher.operations.office import Office
from dispatcher.operations.reload import Reloader, apply_folder, follow_all
from dispatcher.policy import policy_of
from dispatcher.store.database import Database, SharedDatabase, StoreError
from dispatcher.store.lock import StoreLockedError
from dispatcher.store.opening import open_database
from dispatcher.web.admin import build_admin, build_runner
from dispatcher.web.admin_socket import SocketError, check_folder, identity, listen, remove
from dispatcher.web.health import Health
from dispatcher.web.metrics import Metrics

DONE: Final = 0
FAILED: Final = 1
WRONG: Final = 2
SWITCH: Final = 0.0005
"""Seconds after which Python lets another thread run. The store works in one of its own, and with the usual 5 ms every
answer of it would come up to 5 ms late while the loop is busy: later than messages are apart."""
ANSWERING_TAKES: Final = 5.0     # seconds that requests under way get at the end

log = structlog.get_logger()


def run_daemon(config_path: Path) -> int:
    """Run the daemon until it is told to stop; its exit code (2: the configuration is wrong)."""
    trouble = packages.foreign()
    if trouble:
        sys.stderr.write(f"{trouble}\n")
        return FAILED
    try:
        loaded = load(config_path)
    except ConfigFaults as error:
        sys.stderr.write(f"{error}\n")
        return WRONG
    logs.configure(loaded.settings.log.level)
    for warning in loaded.warnings:
        log.warning("config_warning", text=str(warning))
    sys.setswitchinterval(SWITCH)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_run(config_path, loaded))


@contextlib.asynccontextmanager
async def open_office(settings: Settings, role: str) -> AsyncIterator[Office]:
    """The store opened for one command, without a daemon here. StoreLockedError says who has it."""
    database, aside = await open_database(settings.store, role), Aside(process=True)
    try:
        works = _works(database, settings)
        await resolver.load(works)
        office = Office(works, aside=aside)
        yield office
        with contextlib.suppress(DBAPIError):       # what was done is done; they hear of it with the next change
            await office.tell_others()
    finally:
        aside.close()
        await database.close()


async def _run(config_path: Path, loaded: Loaded) -> int:
    """The daemon, from the store's lock to its release."""
    settings = loaded.settings
    signals = service.Signals()
    try:
        check_folder(settings.http.socket)
        database = await service.open_store(settings.store, signals.stop)
    except (StoreLockedError, StoreError, SocketError) as error:
        log.error("not_started", why=str(error))  # noqa: TRY400 -- the message says what to do
        return FAILED
    try:
        works = _works(database, settings)
        works.watch = _watch(database, settings)
        return await _serve(config_path, works, signals)
    except (SocketError, StoreError, DBAPIError, TimeoutError) as error:
        why = error.orig if isinstance(error, DBAPIError) else error
        log.error("not_started", why=str(why))  # noqa: TRY400 -- the message says what to do
        return FAILED
    finally:
        await database.close()


async def _serve(config_path: Path, works: Works, signals: service.Signals) -> int:
    engine = Engine(works)
    office = Office(works, engine, since=works.clock.now())
    reloader = Reloader(works, engine, office, config_path)
    reloader.counted.last_at = office.since
    await engine.join()
    await engine.look_back()
    office.reload = service.with_notice(reloader)
    applied, office.faults = await apply_folder(works)
    for fault in office.faults:
        log.error("campaign_not_applied", fault=fault)
    try:
        await engine.start()
    except ValueError as error:
        log.error("not_started", why=f"a sender cannot be: {error}")  # noqa: TRY400 -- the message says what to do
        return WRONG
    following = asyncio.create_task(_follow(works, applied))
    try:
        async with _admin(office, reloader):
            collector.spare(collector.DAEMON)
            went_well = await service.run(engine, signals, office.reload)
            following.cancel()
            await asyncio.gather(following, reloader.settle(), return_exceptions=True)
    except BaseException:
        await engine.drain(0)
        raise
    return DONE if went_well else FAILED


async def _follow(works: Works, applied: Sequence[str]) -> None:
    """Beside the daemon's work: a long queue must not delay its start."""
    try:
        await follow_all(works, applied)
    except DBAPIError as error:
        log.error("queue_not_moved", why=str(error.orig), effect="each message is moved when its slot looks at it")  # noqa: TRY400 -- the store's trouble, not a fault to trace


@contextlib.asynccontextmanager
async def _admin(office: Office, reloader: Reloader) -> AsyncIterator[None]:
    """The admin listener: there when everything else is, gone before the store is closed."""
    path = office.works.policy.settings.http.socket
    app = build_admin(office, Health(office.works), Metrics(office, reloader.counted))
    runner = build_runner(app, ANSWERING_TAKES)
    await runner.setup()
    try:
        opened = listen(path)
        made = identity(path)
        await web.SockSite(runner, opened).start()
        try:
            yield
        finally:
            remove(path, made)
    finally:
        await runner.cleanup()


def _watch(database: Database, settings: Settings) -> Watch | None:
    """What a daemon shares its store by, where the store can be shared."""
    return Watch(database, settings.store.lease) if isinstance(database, SharedDatabase) else None


def _works(database: Database, settings: Settings) -> Works:
    clock = SystemClock()
    ways = Ways()
    return Works(
        database=database, clock=clock, policy=policy_of(settings), journal=Journal(database, clock), ways=ways,
        ask=lambda mx, domain: ways.names(mx).mail_hosts(domain),
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The uvloop extra's loop where it is installed."""
    if find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415 -- an extra

    return uvloop.new_event_loop
