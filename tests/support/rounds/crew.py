"""Four daemons on one database, as if each had a machine of its own; whoever ends is started again, as by systemd."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from support.daemons import Daemon
from support.rounds.round import kill
from support.rounds.stage import LEASE, MACHINES, Stage

VAIN: Final = 5     # starts one after the other that came to nothing, after which somebody should look at it


class Crew:
    """The four, as they come and go."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._living: dict[str, Daemon] = {}
        self._all = asyncio.Event()
        self._over = False
        self.ends = 0           # of lives before they were told to end

    async def ready(self) -> None:
        """Return when all four are."""
        await self._all.wait()

    @property
    def complete(self) -> bool:
        """Whether all four are ready."""
        return self._all.is_set()

    @property
    def anyone(self) -> Daemon:
        """One that is ready."""
        return next(iter(self._living.values()))

    def kill(self, machine: str) -> bool:
        """kill -9; False where it has ended by itself and is not back yet."""
        if machine not in self._living:
            return False
        kill(self._gone(machine))
        return True

    async def stop(self, machine: str) -> None:
        """Stop it for longer than its lease, and let it go on: it ends by itself."""
        one = self._gone(machine)
        one.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE * 1.5)        # past its lease: this is what is tried
        one.process.send_signal(signal.SIGCONT)
        assert await one.ended() != 0

    def end(self) -> None:
        """Tell all of them to end, in good order."""
        self._over = True
        for one in self._living.values():
            one.process.send_signal(signal.SIGTERM)

    async def live(self, machine: str) -> None:
        """Life after life on a machine."""
        vain = 0
        while not self._over:
            try:
                async with self._stage.life(machine=machine) as one:
                    vain = 0
                    self._born(machine, one)
                    code = await one.ended()
            except AssertionError:      # it ended before it was ready: its server has just been killed, perhaps
                vain += 1
                if vain == VAIN:
                    raise
            else:
                assert code == 0 or not self._over, one.logged
            self.ends += not self._over
            if machine in self._living:
                self._gone(machine)

    def _born(self, machine: str, one: Daemon) -> None:
        if one.process.returncode is None:
            self._living[machine] = one
        if len(self._living) == len(MACHINES):
            self._all.set()

    def _gone(self, machine: str) -> Daemon:
        self._all.clear()
        return self._living.pop(machine)


@asynccontextmanager
async def crew(stage: Stage) -> AsyncIterator[Crew]:
    """Four that are ready; told to end when the block has gone well."""
    four = Crew(stage)
    async with asyncio.TaskGroup() as tasks:
        for machine in MACHINES:
            tasks.create_task(four.live(machine))
        await four.ready()
        yield four
        await four.ready()
        four.end()
