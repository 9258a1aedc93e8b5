"""The only reader of time and of chance.

Steps and slots go by the wall clock, deadlines by the monotonic one. Everything else is told `now`. Tests use a
VirtualClock: its time stands still until it is moved, so that a day of slots takes no time, and nothing is waited for.
"""

import asyncio
import heapq
import random
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

EARLY: Final = 0.0005
"""Seconds. The loop wakes by whole milliseconds, up to one late: aiming so much earlier puts the error around zero."""
LONGEST_SLEEP: Final = 30.0
"""Seconds. A wall clock may be set: nobody sleeps longer than this without looking at it again."""


Result = TypeVar("Result")


def since_boot() -> float:
    """Seconds that only ever grow, also while the machine sleeps: what leases are counted by, whatever a Clock says."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock(Protocol):
    """What the shell asks a clock."""

    def now(self) -> int:
        """Milliseconds since the epoch, by the wall clock."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        ...

    def chance(self) -> float:
        """A number from -1 to 1."""
        ...

    async def sleep_until(self, instant: int, wake: asyncio.Event | None = None) -> None:
        """Return at an instant (milliseconds) or soon after, or as soon as `wake` is set."""
        ...

    async def pause(self, milliseconds: int, wake: asyncio.Event | None = None) -> None:
        """Return after so many milliseconds, whatever the wall clock is set to, or as soon as `wake` is set."""
        ...

    async def aside(self, work: Callable[[], Result]) -> Result:
        """What a longer piece of work comes to, done so that nobody who waits for an instant waits for it."""
        ...


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        self._chance = random.Random()   # noqa: S311 -- spreads retries, guards nothing

    def now(self) -> int:
        """Milliseconds since the epoch, by the wall clock: the nearest, as sleepers wake around their instant."""
        return (time.time_ns() + 500_000) // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def chance(self) -> float:
        """A number from -1 to 1."""
        return self._chance.uniform(-1, 1)

    async def sleep_until(self, instant: int, wake: asyncio.Event | None = None) -> None:
        """Sleep by the loop's own deadline, looking at the wall clock again at least every LONGEST_SLEEP."""
        while True:
            remaining = instant / 1000 - EARLY - time.time()
            if remaining <= 0 or (wake is not None and wake.is_set()):
                return
            await _wait(wake, min(remaining, LONGEST_SLEEP))

    async def pause(self, milliseconds: int, wake: asyncio.Event | None = None) -> None:
        """Sleep by the loop's own deadline alone."""
        await _wait(wake, milliseconds / 1000)

    async def aside(self, work: Callable[[], Result]) -> Result:
        """What a longer piece of work comes to, in a thread of its own."""
        return await asyncio.to_thread(work)


class VirtualClock:
    """A clock that stands still until it is moved: time passes by `set`, the wall clock alone is changed by `jump`."""

    def __init__(self, now: int = 0, seed: int = 0) -> None:
        self._now = now
        self._passed = 0         # milliseconds that have gone by, whatever the wall clock was set to
        self._chance = random.Random(seed)   # noqa: S311 -- the same run from the same seed
        self._sleepers: _Sleepers = []       # until an instant of the wall clock
        self._pausing: _Sleepers = []        # until so much time has passed
        self._number = 0

    def now(self) -> int:
        """The instant it stands at."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that have passed."""
        return self._passed / 1000

    def chance(self) -> float:
        """A number from -1 to 1, the same sequence for the same seed."""
        return self._chance.uniform(-1, 1)

    def set(self, instant: int) -> None:
        """Let time pass until an instant, and wake whoever slept until then. An earlier instant: see jump."""
        self._passed += max(instant - self._now, 0)
        self.jump(instant)
        _wake(self._pausing, self._passed)

    def jump(self, instant: int) -> None:
        """Put the wall clock forward or back, as an administrator may, without any time passing."""
        self._now = instant
        _wake(self._sleepers, instant)

    def next_wake(self) -> int | None:
        """The earliest instant that somebody sleeps until."""
        instants = [_first(self._sleepers)]
        pause = _first(self._pausing)
        if pause is not None:
            instants.append(self._now + pause - self._passed)
        return min((one for one in instants if one is not None), default=None)

    async def sleep_until(self, instant: int, wake: asyncio.Event | None = None) -> None:
        """Sleep until the clock is moved there."""
        if instant > self._now:
            await self._sleep(self._sleepers, instant, wake)

    async def pause(self, milliseconds: int, wake: asyncio.Event | None = None) -> None:
        """Sleep until so much time has passed."""
        await self._sleep(self._pausing, self._passed + milliseconds, wake)

    async def aside(self, work: Callable[[], Result]) -> Result:
        """What a longer piece of work comes to, at once: no time passes while it is done."""
        return work()

    async def _sleep(self, sleepers: "_Sleepers", until: int, wake: asyncio.Event | None) -> None:
        if wake is not None and wake.is_set():
            return
        future = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(sleepers, (until, self._number, future))
        if wake is None:
            await future
            return
        waker = asyncio.ensure_future(wake.wait())
        try:
            await asyncio.wait({future, waker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waker.cancel()
            future.cancel()


_Sleepers = list[tuple[int, int, asyncio.Future[None]]]


def _wake(sleepers: _Sleepers, until: int) -> None:
    while sleepers and sleepers[0][0] <= until:
        future = heapq.heappop(sleepers)[2]
        if not future.done():
            future.set_result(None)


def _first(sleepers: _Sleepers) -> int | None:
    while sleepers and sleepers[0][2].done():
        heapq.heappop(sleepers)
    return sleepers[0][0] if sleepers else None


async def _wait(wake: asyncio.Event | None, seconds: float) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
