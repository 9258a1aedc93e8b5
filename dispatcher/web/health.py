"""Whether the daemon can do its work: its store takes a write, its settings are loaded, it is not stopping."""

import asyncio

from sqlalchemy.exc import DBAPIError

from dispatcher.engine.works import Works
from dispatcher.store import probe
from dispatcher.store.database import StoreError

PATIENCE = 2.0   # seconds for one write


class Health:
    """Answers /readyz; a write that hangs is not tried beside itself."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._probe: asyncio.Task[str] | None = None

    async def unready(self) -> str:
        """Why the daemon is not ready, "" if it is."""
        if self._works.closing:
            return "the daemon is stopping"
        if self._works.journal.failing:
            return f"the store cannot be written: {self._works.journal.failing}"
        if self._probe is None:
            self._probe = asyncio.create_task(self._write())
            self._probe.add_done_callback(self._ended)
        done, _ = await asyncio.wait({self._probe}, timeout=PATIENCE)
        if not done:
            return f"the store did not take a write within {PATIENCE:.0f} seconds"
        return next(iter(done)).result()

    async def _write(self) -> str:
        try:
            async with self._works.database.transaction() as tx:
                await probe.write(tx, self._works.clock.now())
        except DBAPIError as error:
            return f"the store cannot be written: {error.orig}"
        except StoreError as error:
            return str(error)
        return ""

    def _ended(self, _task: asyncio.Task[str]) -> None:
        self._probe = None
