"""The only reader of time and of chance.

Steps and slots go by the wall clock, deadlines by the monotonic one. Everything else is told `now`. Tests use a
VirtualClock: its time stands still until it is moved, so that a day of slots takes no time, and nothing is waited for.
"""

import asyncio
import heapq
import random
import time
from typing import Final, Protocol

LONGEST_SLEEP: Final = 30.0
"""Seconds. A wall clock may be set: nobody sleeps longer than this without looking at it again."""


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


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        self._chance = random.Random()   # noqa: S311 -- spreads retries, guards nothing

    def now(self) -> int:
        """Milliseconds since the epoch, by the wall clock."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def chance(self) -> float:
        """A number from -1 to 1."""
        return self._chance.uniform(-1, 1)

    async def sleep_until(self, instant: int, wake: asyncio.Event | None = None) -> None:
        """Sleep by the loop's own deadline, looking at the wall clock again at least every LONGEST_SLEEP."""
        while True:
            remaining = instant / 1000 - time.time()
            if remaining <= 0 or (wake is not None and wake.is_set()):
                return
            if wake is None:
                await asyncio.sleep(min(remaining, LONGEST_SLEEP))
            else:
                await _wait(wake, min(remaining, LONGEST_SLEEP))


class VirtualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: int = 0, seed: int = 0) -> None:
        self._now = now
        self._chance = random.Random(seed)   # noqa: S311 -- the same run from the same seed
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = 0

    def now(self) -> int:
        """The instant it stands at."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the epoch it stands at."""
        return self._now / 1000

    def chance(self) -> float:
        """A number from -1 to 1, the same sequence for the same seed."""
        return self._chance.uniform(-1, 1)

    def set(self, instant: int) -> None:
        """Put the clock forward or back, and wake whoever slept until then."""
        self._now = instant
        while self._sleepers and self._sleepers[0][0] <= instant:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)

    def next_wake(self) -> int | None:
        """The earliest instant that somebody sleeps until."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def sleep_until(self, instant: int, wake: asyncio.Event | None = None) -> None:
        """Sleep until the clock is moved there."""
        if instant <= self._now or (wake is not None and wake.is_set()):
            return
        future = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._sleepers, (instant, self._number, future))
        if wake is None:
            await future
            return
        waker = asyncio.ensure_future(wake.wait())
        try:
            await asyncio.wait({future, waker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waker.cancel()
            future.cancel()


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
