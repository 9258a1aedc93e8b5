"""Whether the machine itself stood still while the demo ran: then a plan in slots of a second cannot be kept.

A thread that wants only to wake up every few hundredths of a second finds out what the daemon could not help: how late
it wakes, and how much of the processors the kernel says was taken away from this machine (steal, of virtual ones).
What is slow in the daemon it does not see, so that no fault of ours is excused by it.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dispatcher.clock import SystemClock

NAP: Final = 0.05       # seconds
SHARE: Final = 0.5
"""Of a slot: from there on the slot cannot be relied on to have been released in time."""
_STAT: Final = Path("/proc/stat")
_STEAL: Final = 8       # the column of /proc/stat, in ticks, of all processors together


class Stillness:
    """How much of each slot the machine took away."""

    def __init__(self, slot: int, monotonic: Callable[[], float], stolen: Callable[[], float]) -> None:
        self._slot = slot / 1000
        self._monotonic = monotonic
        self._stolen = stolen
        self._lost: Counter[int] = Counter()    # milliseconds, by number of slots since the machine started
        self._before = monotonic(), stolen()

    def look(self) -> None:
        """Note what was lost since the last look, which should have been a nap ago."""
        (at, stolen), self._before = self._before, (self._monotonic(), self._stolen())
        now, taken = self._before
        late = now - at - NAP
        lost = round(1000 * max(late, taken - stolen))
        if lost > 0:
            self._lost[int((at + NAP) / self._slot)] += lost

    def standstills(self) -> list[int]:
        """The milliseconds of each time that the machine stood still for long enough to cost a slot."""
        least = SHARE * self._slot * 1000
        return [lost for _, lost in sorted(self._lost.items()) if lost >= least]


@contextmanager
def watch(slot: int) -> Iterator[Stillness]:
    """Watch the machine until the block ends; `slot` in milliseconds."""
    stillness = Stillness(slot, SystemClock().monotonic, stolen_seconds)
    over = threading.Event()

    def keep_looking() -> None:
        while not over.wait(NAP):
            stillness.look()

    watcher = threading.Thread(target=keep_looking, name="stillness", daemon=True)
    watcher.start()
    try:
        yield stillness
    finally:
        over.set()
        watcher.join()


def stolen_seconds(stat: Path = _STAT) -> float:
    """Seconds that each processor was taken away since the machine started, on the average; 0.0 if nobody says."""
    try:
        first = stat.read_text(encoding="ascii").split("\n", 1)[0].split()
        return int(first[_STEAL]) / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)
    except (OSError, ValueError, LookupError):
        return 0.0
