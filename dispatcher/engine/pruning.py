"""The details of what finished longer ago than `[store] keep` are removed, beside all other work and behind it.

A few chunks a minute, each a transaction of its own, and none while anybody uses the store: nothing waits for it that
matters. From the oldest message to the newest that is old enough, then a day's rest. A stop cuts it short at once;
what it was at is done again. Without `keep` it sleeps.
"""

import asyncio
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from config.units import DAY
from dispatcher.core.times import format_instant
from dispatcher.engine.works import Works
from dispatcher.store import pruning
from dispatcher.store.database import CHUNK
from dispatcher.store.pruning import Pruned

PAUSE: Final = 15_000
"""Milliseconds between two chunks."""
SETTLING: Final = 600_000
"""Milliseconds after the start before it begins: a clock that says a year to come when the machine starts has been set
by then, and what is pruned does not come back."""
YIELDING: Final = 1_000
"""Milliseconds that it stands back for where somebody uses the store."""
REST: Final = DAY

log = structlog.get_logger()


class Pruner:
    """The loop that prunes."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._messages = 0       # of this round
        self._attempts = 0
        self.wake = asyncio.Event()     # there are other settings

    async def run(self) -> None:
        """Begin a while after the daemon has."""
        await self._works.clock.pause(SETTLING)
        await self.go_on()

    async def go_on(self) -> None:
        """Prune a chunk, wait, go on."""
        clock = self._works.clock
        while not self._works.closing:
            self.wake.clear()
            keep = self._works.policy.settings.store.keep
            if keep is None:
                await self.wake.wait()
            elif self._works.database.busy:
                await clock.pause(YIELDING)
            else:
                await clock.pause(await self._turn(clock.now() - keep), self.wake)

    async def _turn(self, before: int) -> int:
        """Prune one chunk of what finished before an instant; how long to wait then."""
        try:
            async with self._works.database.transaction() as tx:
                pruned = await pruning.prune(tx, before, CHUNK)
        except DBAPIError as error:
            log.error("pruning_failed", why=str(error.orig), effect="tried again in a while")  # noqa: TRY400 -- the store's trouble, not a fault to trace
            return PAUSE
        self._count(pruned, before)
        return REST if pruned.ended else PAUSE

    def _count(self, pruned: Pruned, before: int) -> None:
        """Tell how much it was: to the metric at once, to the log once a round."""
        self._works.pruned += pruned.messages
        self._messages += pruned.messages
        self._attempts += pruned.attempts
        if pruned.ended and self._messages:
            log.info("pruned", messages=self._messages, attempts=self._attempts, finished_before=format_instant(before))
            self._messages = self._attempts = 0
