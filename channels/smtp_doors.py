"""What a direct sender remembers of strangers' servers: which cannot be reached just now, and who stands at their door.

A server that could not be reached is left alone for a while, longer each time, so that a batch to it does not wait for
it message by message. In the lane of everyone else no host gets more than a part of the connections: one that hangs
leaves room for the others.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from channels.contract import Outcome

FIRST: Final = 30.0
LONGEST: Final = 300.0
"""Seconds that a server which could not be reached is left alone: at first, doubling, and at most."""
REMEMBERED: Final = 2_000
"""Servers that are remembered; beyond them the longest known go."""


@dataclass(frozen=True, slots=True)
class _Down:
    until: float
    failures: int
    outcome: Outcome


class Doors:
    """Strangers' servers, by name."""

    def __init__(self) -> None:
        self._down: dict[str, _Down] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        self._guests: Counter[str] = Counter()

    def down(self, host: str) -> Outcome | None:
        """What became of the last try, where it is too early for another."""
        known = self._down.get(host)
        return known.outcome if known is not None and known.until > asyncio.get_running_loop().time() else None

    def unreached(self, host: str, outcome: Outcome) -> None:
        """No connection came about."""
        before = self._down.pop(host, None)
        failures = before.failures + 1 if before is not None else 1
        pause = min(FIRST * 2 ** min(failures - 1, 10), LONGEST)
        self._down[host] = _Down(asyncio.get_running_loop().time() + pause, failures, outcome)
        while len(self._down) > REMEMBERED:
            del self._down[next(iter(self._down))]

    def reached(self, host: str) -> None:
        """A message was handed to it."""
        self._down.pop(host, None)

    @asynccontextmanager
    async def place(self, host: str, most: int) -> AsyncIterator[None]:
        """One of so many places at a host; who waits is served in the order of asking."""
        places = self._places.setdefault(host, asyncio.Semaphore(most))
        self._guests[host] += 1
        try:
            async with places:
                yield
        finally:
            self._guests[host] -= 1
            if not self._guests[host]:
                del self._guests[host], self._places[host]
