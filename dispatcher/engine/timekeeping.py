"""The wall clock against what the store has seen, and the daemon's own life: since when it was away, started, stopped.

Every release reads the mark for itself (standing.py): nothing leaves by a clock that cannot be true. Here it is noticed
while nothing is released, told to people once, and what is on its way is taken back: its planned starts mean nothing
by such a clock. Looked at by the monotonic clock, as sleepers by the other one may sleep for a day too long.
"""

from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError

from dispatcher.core import clocks
from dispatcher.engine import outcomes
from dispatcher.engine.works import Works
from dispatcher.store import events, instances, life
from dispatcher.store.events import Event, Kind

log = structlog.get_logger()


class Timekeeper:
    """The loop that keeps the mark, and watches the clock by it."""

    def __init__(self, works: Works) -> None:
        self._works = works

    async def run(self) -> None:
        """Look, sleep; the mark of a running daemon is never much older than `works.mark_every`."""
        works = self._works
        while not works.closing:
            try:
                await self.look()
            except DBAPIError as error:
                log.error("mark_unwritten", why=str(error.orig), effect="tried again soon")  # noqa: TRY400 -- the store's trouble, not a fault to trace
            await works.clock.pause(works.mark_every)

    async def look(self) -> None:
        """Note that the daemon runs; or, by a clock that cannot be true, hold what is on its way."""
        works = self._works
        now = works.clock.now()
        before = works.clock_behind
        async with works.database.transaction() as tx:
            seen_at = await life.seen_at(tx)
            works.clock_behind = behind = clocks.behind(seen_at, now)
            if behind and not before:
                await events.note(tx, Event(now, Kind.CLOCK_BEHIND, cause=behind, data={"seen_at": seen_at}))
            elif not behind and now - seen_at >= works.mark_every // 2:     # else something was stored just now
                await life.mark(tx, now)
        if behind and not before:
            log.error("clock_behind", why=behind, effect="nothing is sent until the clock has come up to it",
                      do="set the clock; or `dispatcher resume`, where it is right and ran ahead before")
            await outcomes.give_back(works, works.underway.stop(lambda _: True))
        elif before and not behind:
            log.warning("clock_right", effect="sending goes on")
            works.changed()


@dataclass(frozen=True, slots=True)
class Before:
    """What the store knows of the run before this one."""

    seen_at: int        # 0: there was none
    cause: str
    beside: int = 0     # other daemons run


async def look_back(works: Works) -> Before:
    """How the last run ended, and until when it is known to have run; to be asked before anything is stored."""
    async with works.database.transaction() as tx:
        seen_at = await life.seen_at(tx)
        last = await events.last_of(tx, Kind.STARTED, Kind.STOPPED)
        beside = await instances.living_beside(tx, works.database.instance)
    if beside:
        return Before(0, f"beside {beside} other{'s' if beside > 1 else ''}", beside)
    if last is None:
        return Before(seen_at, "for the first time")
    return Before(seen_at, "after a stop" if last.kind is Kind.STOPPED else "after a crash")


async def started(works: Works, before: Before) -> None:
    """Note the start of the daemon."""
    async with works.database.transaction() as tx:
        await events.note(tx, Event(works.clock.now(), Kind.STARTED, cause=before.cause,
                                    data={"away_since": before.seen_at or None, "beside": before.beside}))


async def stopped(works: Works, cause: str) -> None:
    """Note the end of the daemon in good order; a store that does not take it leaves the run as one that crashed."""
    try:
        async with works.database.transaction() as tx:
            beside = await instances.living_beside(tx, works.database.instance)
            await events.note(tx, Event(works.clock.now(), Kind.STOPPED, cause=cause, data={"beside": beside}))
    except DBAPIError as error:
        log.error("stop_unwritten", why=str(error.orig), effect="the next start says that there was a crash")  # noqa: TRY400 -- the store's trouble, not a fault to trace
