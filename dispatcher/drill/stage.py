"""A daemon on a clock that is moved by hand: real engine, real store, channels that somebody brings.

Time moves from one sleeper to the next: at each instant everything that can run does run, until all that is left waits
for the clock. So weeks pass as fast as their work is done, nothing is waited for, and nothing depends on the machine.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from channels.contract import Channel
from config.model import Sender
from dispatcher.clock import VirtualClock
from dispatcher.engine.daemon import Engine
from dispatcher.engine.journal import Journal
from dispatcher.engine.ways import Ways
from dispatcher.engine.works import Works
from dispatcher.policy import Policy
from dispatcher.store.database import Database
from dispatcher.store.sqlite import SqliteStore

ROLE: Final = "run"
MOST_TURNS: Final = 100_000
"""Times that something may happen without time moving on, before that is taken for a fault."""

WRITING: Final = 5.0
"""Seconds, real ones, that a store may take for the last outcomes: no drill depends on the machine's speed."""

_HOUR: Final = 3_600_000

Build = Callable[[Sender], Channel]


class StageError(AssertionError):
    """Something of the engine ended, failed unheard, or keeps time from passing."""


class Stage:
    """A daemon, its store and its clock. Real channels (`real`) take real time, which is then waited for."""

    def __init__(self, folder: Path, now: int, build: Build | None = None) -> None:
        self.folder = folder
        self.clock = VirtualClock(now)
        self.build = build
        self.path = folder / "store.db"
        self.policy: Policy
        self.running = False
        self.real = False         # channels are real, so that hand-overs take real time
        self.crashes = 0
        self.mark_every = 3_600_000     # milliseconds: a daemon marks every minute that it runs, too often for weeks
        self.troubles: list[Mapping[str, Any]] = []     # of tasks that nobody waited for

    @property
    def now(self) -> int:
        """The instant it is."""
        return self.clock.now()

    # The daemon's life

    async def open(self) -> None:
        """Open the store; nothing runs yet."""
        self.database = await self.open_store()
        self.works = self.make_works()
        self.works.mark_every = self.works.look_every = self.mark_every

    async def open_store(self) -> Database:
        """The store, opened."""
        return await SqliteStore.open(self.path, ROLE)

    def make_works(self) -> Works:
        """The engine's tools, with the channels that were brought."""
        journal = Journal(self.database, self.clock)
        if self.build is None or self.real:
            return Works(self.database, self.clock, self.policy, journal)
        return Works(self.database, self.clock, self.policy, journal, ways=Ways(self.build))

    async def start(self) -> None:
        """Start the engine."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.troubles.append(context))
        self.engine = Engine(self.works)
        self.running = True
        await self.engine.join()
        await self.engine.start()
        await self.settle()

    async def drain(self, within: float = 0.05) -> None:
        """End as at SIGTERM."""
        await self.engine.drain(within, WRITING)
        await self._ended()

    async def crash(self) -> None:
        """End as by kill -9: what is on disk now is all that remains."""
        self.crashes += 1
        disk = self.folder / f"store{self.crashes}.db"
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{self.path}{suffix}", f"{disk}{suffix}")
        await self.abandon()    # what they do now does not reach that disk
        await self._ended()
        self.path = disk

    async def abandon(self) -> None:
        """Cut everything short that runs."""
        tasks = [*self.engine._tasks, *self.works.in_flight]  # noqa: SLF001 -- as nothing else could cut them short
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.settle()

    async def restart(self) -> None:
        """Open and start anew."""
        await self.open()
        await self.start()

    async def _ended(self) -> None:
        self.running = False
        if not self.engine.failed.done():
            self.engine.failed.cancel()
        await self.database.close()

    # Time

    async def settle(self) -> None:
        """Let everything run that can; what is left waits for the clock, or for something that never comes."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)
            if self.database.busy:
                await self.database.quiet()
            elif self.real and self.works.in_flight and not loop._ready:    # type: ignore[attr-defined]  # noqa: SLF001 -- as below
                await asyncio.wait(set(self.works.in_flight), return_when=asyncio.FIRST_COMPLETED)
            elif not loop._ready:   # type: ignore[attr-defined]  # noqa: SLF001 -- nothing else says that no task can run
                return

    async def run_until(self, instant: int) -> None:
        """Let time pass, from one sleeper's instant to the next, as if it were real."""
        turns = 0
        while turns < MOST_TURNS:
            await self.settle()
            following = self.clock.next_wake()
            if following is None or following > instant:
                self.clock.set(max(instant, self.now))
                await self.settle()
                self.check()
                return
            turns = turns + 1 if following <= self.now else 0
            self.clock.set(max(following, self.now))
        raise StageError("time stands still: somebody looks again and again without sleeping")

    async def run_into(self, turns: int, begun: Callable[[], bool] | None = None) -> None:
        """Go to the next instant at which anything happens, and stop so many turns of the loop after that: halfway.

        With `begun`, go on until it says that what is waited for has begun, for an hour at most.
        """
        until = self.now + _HOUR
        while True:
            await self.settle()
            following = self.clock.next_wake()
            if following is None or following > until:
                break
            self.clock.set(max(following, self.now))
            if begun is None:
                break
            while not begun() and (self.database.busy or asyncio.get_running_loop()._ready):  # type: ignore[attr-defined]  # noqa: ASYNC110, SLF001 -- as in settle
                await asyncio.sleep(0)
            if begun():
                break
        for _ in range(turns):
            await asyncio.sleep(0)

    async def jump(self, milliseconds: int) -> None:
        """Put the wall clock; a daemon looks at its clocks every second, too often for weeks, so it looks now."""
        self.clock.jump(self.now + milliseconds)
        if self.running:
            await self.engine.timekeeper.notice()
            await self.settle()

    async def run_for(self, milliseconds: int) -> None:
        """Let so much time pass."""
        await self.run_until(self.now + milliseconds)

    def check(self) -> None:
        """No loop of the engine has ended, no task has failed unheard; StageError if one has."""
        if self.engine.failed.done() and not self.engine.failed.cancelled():
            self.engine.failed.result()
        if self.troubles:
            raise StageError(f"a task failed and nobody heard of it: {self.troubles}")
