"""Two daemons on one PostgreSQL database and in one virtual time: either may end, or be stopped, and the other goes on.

Each has a clock of its own, which stands still while its daemon is stopped, as a process that is not run. Heartbeats
and looks come by hand instead of by real time: everybody who is not stopped looks before time goes on, and a lease is
ended by a statement in the database, as if the time had gone by on the database's clock, LEASE after whoever has it was
last alive. Everything else is the daemon's own: leases, take-overs, portions, and what one hears of the other.

No deadline of real time is left (`unhurried`): on a machine that stands still everything takes longer, and comes to the
same.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from support import world as worlds
from support.post import Post
from support.postgresql import need_postgresql, tell
from support.world import DAY, World

from dispatcher.clock import VirtualClock, since_boot
from dispatcher.drill import stage
from dispatcher.drill.stage import Stage
from dispatcher.engine import watch
from dispatcher.engine.watch import Watch
from dispatcher.engine.works import Works
from dispatcher.store import postgresql, postgresql_session
from dispatcher.store.database import SharedDatabase, StoreLostError

LEASE = 10_000      # milliseconds
WITHOUT_END = DAY / 1000    # seconds: no test takes so long


def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep worlds in PostgreSQL, and wait for it as long as it takes: looks, heartbeats, statements, last outcomes."""
    need_postgresql()
    monkeypatch.setattr(worlds, "KEPT_IN", "postgresql")
    monkeypatch.setattr(watch, "PATIENCE", None)
    monkeypatch.setattr(stage, "WRITING", WITHOUT_END)
    monkeypatch.setattr(postgresql_session, "DIAL_TAKES", WITHOUT_END)
    for settings in ("WORKING", "BRIEF"):
        monkeypatch.setattr(postgresql, settings, postgresql_session.PATIENT)


class HandWatch(Watch):
    """A watch that beats and looks when it is told to."""

    def __init__(self, database: SharedDatabase) -> None:
        super().__init__(database, DAY)     # of real time: no test takes so long
        self._stopped = 0.0                 # when it was last stopped; a look from before is good for nothing
        self.lapsed = False                 # past its lease, as it counts that itself, and not renewed since

    @property
    def may_begin(self) -> bool:
        return not self.lapsed and self._abreast > self._stopped

    async def beat(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def look_on(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def look(self) -> bool:
        """Look; whether there was anything to hear or to tell."""
        before, told = dict(self._heard), self._news and self.living > 1
        await self._look()
        return told or before != self._heard

    def stood_still(self, *, lapsed: bool) -> None:
        """It was stopped until now, perhaps past its lease, as it counts that itself."""
        self._stopped, self.lapsed = since_boot(), lapsed

    async def renew(self) -> None:
        """Its first heartbeat since then; StoreLostError where others have taken over."""
        await self._renew()
        self.lapsed = False


class Clocks(VirtualClock):
    """The time of both, and the clocks that go by it."""

    def __init__(self, now: int) -> None:
        super().__init__(now)
        self.going: list[VirtualClock] = []
        self.leases: dict[int, int] = {}    # of instances that do not beat -> when they end, of the time that passes

    def lapses(self, number: int) -> None:
        """Nobody renews this lease from here on."""
        self.leases[number] = self._passed + LEASE

    def lapsed(self) -> list[int]:
        """Those whose lease has ended, once."""
        ended = [number for number, end in self.leases.items() if end <= self._passed]
        for number in ended:
            del self.leases[number]
        return ended

    def set(self, instant: int) -> None:
        for clock in self.going:
            clock.set(instant)
        super().set(instant)

    def jump(self, instant: int) -> None:
        for clock in self.going:
            clock.jump(instant)
        super().jump(instant)

    def next_wake(self) -> int | None:
        found = [super().next_wake(), *(clock.next_wake() for clock in self.going),
                 *(self._now + end - self._passed for end in self.leases.values())]
        return min((one for one in found if one is not None), default=None)


class Twin(World):
    """One of the two."""

    def __init__(self, folder: Path, settings: str, both: "Twins") -> None:
        folder.mkdir()
        super().__init__(folder, settings, both.now)
        self._both = both
        self.stopped = False
        both.clock.going.append(self.clock)

    @property
    def watch(self) -> HandWatch:
        """What it knows of itself and the other."""
        assert isinstance(self.works.watch, HandWatch)
        return self.works.watch

    def make_works(self) -> Works:
        works = super().make_works()
        assert isinstance(self.database, SharedDatabase)
        works.watch = HandWatch(self.database)
        return works

    async def settle(self) -> None:
        await self._both.settle()

    async def run_until(self, instant: int) -> None:
        await self._both.run_until(instant)

    async def crash(self) -> None:
        self.running = False
        if not self.stopped and not self.watch.lapsed:      # else its lease ends, or has ended, as it is
            self._both.clock.lapses(self.watch.me)
        await super().crash()
        if self.stopped:        # not before: who is killed while he stands still does nothing more
            self.moves()

    async def abandon(self) -> None:
        await self.engine._end_watch()
        await super().abandon()

    def stop(self) -> None:
        """It stands still from here on, as by SIGSTOP."""
        self.stopped = True
        self._both.clock.going.remove(self.clock)
        self._both.clock.lapses(self.watch.me)

    def moves(self) -> None:
        """Its time goes on."""
        self.stopped = False
        self._both.clock.going.append(self.clock)
        self.clock.set(self._both.now)

    async def may_write(self) -> bool:
        """Whether it is let into the store."""
        try:
            async with self.database.transaction():
                return True
        except (DBAPIError, StoreLostError):
            return False

    async def go_on(self) -> bool:
        """It moves again, as far as it can before it has looked at anything; False where it was taken over from."""
        leases = self._both.clock.leases
        self.watch.stood_still(lapsed=self.watch.me not in leases)
        self.moves()
        await self._both.quiet()
        assert not (self.watch.lapsed and await self.may_write())
        try:
            await self.watch.renew()
        except StoreLostError:
            failed = self.engine.failed
            assert not failed.done() or isinstance(failed.exception(), StoreLostError)
            return False
        leases.pop(self.watch.me, None)
        await self.settle()
        return True


class Twins(Stage):
    """Both of them, and their time."""

    def __init__(self, folder: Path, settings: str, now: int) -> None:
        super().__init__(folder, now)
        self.clock: Clocks = Clocks(now)
        self.first, self.second = (Twin(folder / name, settings, self) for name in ("first", "second"))
        self.second.post = Post(self.second.clock, handed=self.first.post.handed)
        self.second.build = self.second.post.channel

    @property
    def going(self) -> Sequence[Twin]:
        """Those that do something."""
        return [one for one in (self.first, self.second) if one.running and not one.stopped]

    def other(self, one: Twin) -> Twin:
        return self.second if one is self.first else self.first

    async def settle(self) -> None:
        """Let everything run that can, with all that each hears of the other."""
        heard = True
        while heard:
            await self._end_leases()
            heard = False
            for one in self.going:
                heard |= await one.watch.look()
            await self.quiet()
            for one in self.going:      # tried again each second for ever, in a time that is soon gone
                assert not one.works.journal.failing

    async def run_to(self, there: Callable[[], bool], within: int) -> None:
        """Let time pass until it is so, for so many milliseconds at most."""
        until = self.now + within
        while True:
            await self.settle()
            following = self.clock.next_wake()
            if there() or following is None or following > until:
                return
            self.clock.set(max(following, self.now))

    async def quiet(self) -> None:
        """Let everything run that can."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)
            busy = [one.database for one in (self.first, self.second) if one.running and one.database.busy]
            if busy:
                await busy[0].quiet()
            elif not loop._ready:   # type: ignore[attr-defined] # nothing else says that no task can run
                return

    async def _end_leases(self) -> None:
        for number in self.clock.lapsed():
            await tell(f"UPDATE instances SET lease_until = 1 WHERE id = {number} AND lease_until > 0",  # noqa: S608 -- a number
                       address=self.first.address)

    def check(self) -> None:
        for one in self.going:
            one.check()
