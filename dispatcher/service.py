"""The daemon's life as a service: opened when the store is free, watched, reloaded, stopped in good order.

Signals: SIGTERM and SIGINT stop (once more does no harm), SIGHUP reloads; a thousand of them reload as often as there
is time for. systemd's watchdog is fed from the dispatch loop itself, and no longer when one of its parts has failed.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from config.model import Store
from dispatcher import logs, systemd
from dispatcher.engine.daemon import Engine
from dispatcher.operations.office import OperationError, Result
from dispatcher.operations.reload import Reloader
from dispatcher.store.database import Database, StoreError, StoreUnreachableError
from dispatcher.store.lock import StoreLockedError
from dispatcher.store.opening import open_database

ROLE: Final = "run"
COMMAND_TAKES: Final = 60.0
"""Seconds that a daemon waits for a command which has the store, or for the server to let go of a dead process."""
SERVER_TAKES: Final = 240.0
"""Seconds that a daemon waits for a database server that does not answer: at boot it may come up later, and systemd
gives up on a service that ends too often. Below the unit's TimeoutStartSec."""
AGAIN_AFTER: Final = 0.2
BEAT: Final = 10.0
"""Seconds between two lines of status, where no watchdog asks for more."""
WRITING_TAKES: Final = 10.0
"""Seconds beyond `stop_within` for writing down what came of it all."""

log = structlog.get_logger()


class Signals:
    """What the process was told to do. Made within the loop."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)


async def open_store(store: Store, stop: asyncio.Event) -> Database:
    """Open the store; wait a while for its server, or for a command that has it, and not at all for another daemon."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    told: set[str] = set()
    while True:
        try:
            return await open_database(store, ROLE)
        except StoreLockedError as error:
            if (error.role == ROLE and not error.gone) or loop.time() >= began + COMMAND_TAKES or stop.is_set():
                raise
            if error.role and "busy" not in told:
                effect = "waiting for the server to notice that it has ended" if error.gone else "waiting for it to end"
                log.warning("store_busy", process=error.process, role=error.role, effect=effect)
                told.add("busy")
        except StoreUnreachableError as error:
            if loop.time() >= began + SERVER_TAKES or stop.is_set():
                raise
            if "unreachable" not in told:
                log.warning("store_unreachable", why=str(error), effect="tried again")
                told.add("unreachable")
        try:
            async with asyncio.timeout(AGAIN_AFTER):
                await stop.wait()
        except TimeoutError:
            continue


def with_notice(reloader: Reloader) -> Callable[[], Awaitable[Result]]:
    """A reload of which systemd is told."""
    async def reload() -> Result:
        systemd.notify("RELOADING=1", f"MONOTONIC_USEC={int(reloader.works.clock.monotonic() * 1_000_000)}")
        try:
            result = await reloader.reload()
            logs.set_level(reloader.works.policy.settings.log.level)
            return result
        finally:
            systemd.notify("READY=1")

    return reload


async def run(engine: Engine, signals: Signals, reload: Callable[[], Awaitable[Result]]) -> bool:
    """Live until told to stop; False where the engine failed before."""
    others = [asyncio.create_task(_reload_when_told(signals, reload)), asyncio.create_task(_beat(engine))]
    stopping = asyncio.create_task(signals.stop.wait())
    _end_where_too_late(engine)
    systemd.notify("READY=1", "STATUS=sending")
    log.info("ready")
    try:
        ends: set[asyncio.Future[Any]] = {stopping, engine.failed}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        failed = engine.failed.exception() if engine.failed.done() else None
        if failed is not None:
            log.error("engine_failed", error=type(failed).__name__, exc_info=failed, effect="the daemon ends")
        systemd.notify("STOPPING=1", "STATUS=finishing what is in flight")
        drained = await _drain(engine)
    finally:
        for task in (stopping, *others):
            task.cancel()
        await asyncio.gather(stopping, *others, return_exceptions=True)
    log.info("stopped")
    return failed is None and drained


def _end_where_too_late(engine: Engine) -> None:
    """From now on, where the process was stopped past its lease and goes on, it ends, before anything else moves.

    Others have taken over what it had under way by then: not even what it had begun to hand over may go on.
    """
    watch = engine.works.watch

    def look(*_: object) -> None:
        if watch is not None and watch.ended_by_now:
            log.error("stood_still", why="the process was stopped for longer than its lease",
                      effect="the daemon ends at once: others have taken over what it had under way")
            os._exit(1)

    signal.signal(signal.SIGCONT, look)


async def _drain(engine: Engine) -> bool:
    """Let what is in flight finish; False where that could not be written down."""
    within = engine.works.policy.settings.service.stop_within / 1000
    try:
        async with asyncio.timeout(within + WRITING_TAKES):
            await engine.drain(within)
    except TimeoutError:
        log.error("not_written", why=engine.works.journal.failing,  # noqa: TRY400 -- the store's trouble, not a fault to trace
                  effect="what was handed over last is in doubt at the next start")
        return False
    except StoreError as error:
        log.error("not_written", why=str(error), effect="at the next start it is in doubt")  # noqa: TRY400 -- as above
        return False
    return True


async def _reload_when_told(signals: Signals, reload: Callable[[], Awaitable[Result]]) -> None:
    while True:
        await signals.reload.wait()
        signals.reload.clear()
        try:
            await reload()
        except OperationError:
            continue   # logged with every fault
        except Exception:
            log.exception("reload_broke", effect="the settings in force stay")


async def _beat(engine: Engine) -> None:
    """Tell systemd that the loop still turns and the engine still works."""
    patience = systemd.watchdog()
    pause = min(BEAT, patience / 2) if patience is not None else BEAT
    while True:
        if not engine.failed.done():
            systemd.notify("WATCHDOG=1", f"STATUS={status_line(engine)}")
        await asyncio.sleep(pause)


def status_line(engine: Engine) -> str:
    """How the daemon is, in the line that systemd shows."""
    works = engine.works
    if works.store_trouble:
        return f"nothing is sent, the store cannot be used: {works.store_trouble}"
    if works.closing:
        return "finishing what is in flight"
    if works.clock_behind:
        return works.clock_behind
    if works.store_distance:
        return f"sending late: {works.store_distance}"
    return f"{len(engine.lanes)} lanes, {len(works.underway)} messages under way"
