"""Two daemons on one PostgreSQL database, and everything that can befall them, in any order (promises P1 to P8).

The state machine of test_state_machine.py with a second daemon: what that one does to its only daemon is done here to
one of the two, now this one, now that; and the other may end, come back, or be stopped, also past its lease, also in
the middle of a hand-over. Some orders, the same each time, are tried here; many more, others each time, by `make long`.

In which order two sessions get the server's lock is the server's to say. So one that failed may come out otherwise when
Hypothesis plays it once more, and is called flaky then: it has failed all the same, and its first trace says by what.

Bugs that were planted to see whether it bites, one at a time, and what said so: a lease that is not asked for in a
transaction (a daemon is let into the store past its lease); a take-over that takes what a living daemon owns (the
outcomes of that one cannot be written); a take-over that forgets what was perhaps handed over (P5: more copies than
doubts); a slot that both release, the second time past the ledger (the sums of the store are untrue); a stop that only
its own daemon heeds (P6); a daemon that looks no more at what others have told it (P7: a lane that it does not know).

Not caught: a second release of a slot whose size is added to its batch (the step's allowance holds, the pace does
not); a daemon that takes over only from the first that ends.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from support.machine import START, Machine
from support.twins import LEASE, Twin, Twins, unhurried
from support.world import MINUTE, World

from dispatcher.store.tables import messages

pytestmark = pytest.mark.timeout(900)    # half a minute, where nothing else runs; only one that hangs needs an end
SOON = 10 * MINUTE


@pytest.fixture(autouse=True)
def in_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    unhurried(monkeypatch)


class TwoDaemons(Machine):
    """What may befall two daemons: `world` is the one that is spoken to, and always there."""

    world: Twin
    twins: Twins

    def make_worlds(self, folder: Path, settings: str) -> Sequence[World]:
        self.twins = Twins(folder, settings, START)
        return [self.twins.first, self.twins.second]

    def going(self) -> Sequence[World]:
        return self.twins.going

    async def begin_all(self) -> None:
        await self.world.start()
        self.other.address = self.world.address
        await self.other.restart()

    @property
    def other(self) -> Twin:
        return self.twins.other(self.world)

    @precondition(lambda self: self.other in self.twins.going)
    @rule()
    def the_other_is_spoken_to(self) -> None:
        self.world = self.other

    @precondition(lambda self: self.other in self.twins.going)
    @rule()
    def somebody_hands_over(self) -> None:
        """Until one of them is in the middle of that, where one soon is: it is the other one from here on."""
        acts, self.acts = self.acts, ["slow"]
        self.run(self.twins.run_to(lambda: any(one.works.in_flight for one in self.going()), SOON))
        self.acts = acts
        if self.world.works.in_flight:
            self.world = self.other

    @precondition(lambda self: self.other.running)
    @rule(busy=st.booleans())
    def the_other_crashes(self, *, busy: bool) -> None:
        if busy and not self.other.stopped:
            self.somebody_hands_over()
        self.run(self.other.crash())

    @precondition(lambda self: not self.other.running)
    @rule()
    def the_other_comes_back(self) -> None:
        self.run(self.comes_back())

    @precondition(lambda self: self.other in self.twins.going)
    @rule(milliseconds=st.sampled_from([0, LEASE // 2, LEASE, MINUTE, SOON]), busy=st.booleans())
    def the_other_is_stopped(self, milliseconds: int, *, busy: bool) -> None:
        if busy:
            self.somebody_hands_over()
        self.other.stop()
        self.run(self.world.run_for(milliseconds))

    @precondition(lambda self: self.other.stopped)
    @rule()
    def the_other_goes_on(self) -> None:
        """As after a pause of its whole machine, of which nobody tells it; a signal would have ended it at once."""
        self.run(self.goes_on())

    async def goes_on(self) -> None:
        before = len(self.world.post.handed)
        if not await self.other.go_on():
            assert self.other.watch.lapsed      # else it was taken over from while it lived
            assert len(self.world.post.handed) == before
            await self.other.crash()

    async def comes_back(self) -> None:
        self.other.write((self.world.folder / "dispatcher.toml").read_text())
        await self.other.restart()

    async def all_are_back(self) -> None:
        if self.other.stopped:
            await self.goes_on()
        if not self.other.running:
            await self.comes_back()

    def put_clocks(self, instant: int) -> None:
        self.twins.clock.jump(instant)

    def is_under_way(self, row: messages) -> bool:
        """Either has it, or it is nobody's yet, or of one whose lease is still to end."""
        return row.owner is None or row.owner in self.twins.clock.leases or super().is_under_way(row)


class AtLength(TwoDaemons):
    """The same for longer, and in other orders each time."""


TwoDaemons.TestCase.settings = settings(
    max_examples=6, stateful_step_count=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
TestTwoDaemons = TwoDaemons.TestCase
AtLength.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, derandomize=False, print_blob=True,
    suppress_health_check=list(HealthCheck))
TestTwoDaemonsAtLength = pytest.mark.long(pytest.mark.timeout(7_200)(AtLength.TestCase))
