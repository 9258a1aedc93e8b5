"""The wall clock against what the store has seen, and the daemon's own life: since when it was away, started, stopped.

Every release reads the mark for itself (standing.py): nothing leaves by a clock that cannot be true. Here it is noticed
while nothing is released, told to people once, and what is on its way is taken back: its planned starts mean nothing
by such a clock. Looked at by the monotonic clock, as sleepers by the other one may sleep for a day too long.

Slots also go by unused where somebody puts the clock forward, or where the daemon stands still, as it was halted or its
machine was. Nothing can be done about either; both are seen within a second, by a look at two clocks, and written down.
"""

from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError

from dispatcher.core import clocks
from dispatcher.engine import outcomes
from dispatcher.engine.works import Works
from dispatcher.store import events, instances, life
from dispatcher.store.events import Event, Kind

CRASHED = "after a crash"
"""How a daemon started whose run before had no end."""
log = structlog.get_logger()


class Timekeeper:
    """The loop that keeps the mark, and watches the clock by it."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._last = self._clocks()
        self._unnoted: list[Event] = []

    async def run(self) -> None:
        """Look, sleep; the mark of a running daemon is never much older than `works.mark_every`."""
        works = self._works
        while not works.closing:
            try:
                await self.look()
                await self._write_down()
            except DBAPIError as error:
                log.error("mark_unwritten", why=str(error.orig), effect="tried again soon")  # noqa: TRY400 -- the store's trouble, not a fault to trace
            await self._watch(works.mark_every)

    async def _watch(self, milliseconds: int) -> None:
        """Sleep for so long, in naps after which both clocks are looked at."""
        clock, works = self._works.clock, self._works
        until = self._clocks().passed + milliseconds
        while not works.closing and (left := until - self._clocks().passed) > 0:
            nap, began = min(left, works.look_every), self._clocks().passed
            await clock.pause(nap)
            try:
                await self.notice(began + nap)
            except DBAPIError as error:
                log.error("event_unwritten", why=str(error.orig), effect="tried again with the next mark")  # noqa: TRY400 -- the store's trouble, not a fault to trace

    async def notice(self, due: int | None = None) -> None:
        """Note whether the clock was put since the last look, and how long all stood still; `due`: the time of this."""
        before, self._last = self._last, self._clocks()
        asked = due - before.passed if due is not None else self._last.passed - before.passed
        found = clocks.parted(before, self._last, asked)
        if found.put:
            words = clocks.put_in_words(found.put)
            log.warning("clock_put", why=words, effect="slots that it left out go by unused" if found.put > 0 else
                        "slots that were released are not released again")
            self._unnoted.append(Event(self._last.wall, Kind.CLOCK_PUT, cause=words, data={
                "by": found.put, "from": self._last.wall - max(found.put, 0)}))
        if found.still:
            words = clocks.still_in_words(found.still)
            log.warning("stood_still", why=words, effect="slots in that time may have gone by unused")
            self._unnoted.append(Event(self._last.wall, Kind.STOOD_STILL, cause=words, data={
                "from": self._last.wall - found.still}))
        if found.put or found.still:
            await self._write_down()

    async def _write_down(self) -> None:
        if self._unnoted:
            async with self._works.database.transaction() as tx:
                await events.write(tx, *self._unnoted)      # not a mark: who put the clock may put it right again
            self._unnoted.clear()

    def _clocks(self) -> clocks.Look:
        clock = self._works.clock
        return clocks.Look(clock.now(), round(clock.monotonic() * 1000))

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
            elif not behind:
                if now - seen_at >= works.mark_every // 2:      # else something was stored just now
                    await life.mark(tx, now)
                await life.mark(tx, now, life.RAN_AT)
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
    return Before(seen_at, "after a stop" if last.kind is Kind.STOPPED else CRASHED)


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
