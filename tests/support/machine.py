"""A daemon for weeks in a second, and everything that can befall it, in any order: a Hypothesis state machine.

The real engine over the real store, on a virtual clock, with a provider that does as chance says. Hypothesis chooses
what happens; what must hold after every step is in machine_promises.py.
"""

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from support.machine_promises import Promises
from support.post import Act, accepted, busy, deferred, in_doubt, rejected, unreachable
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, MINUTE, World, changed

from dispatcher.store import life

START = at("2026-03-02 07:58")
CUSTOMERS = 12
CAMPAIGNS = ("delay", "other")
MARK = "{{ segment }}. [{{ campaign.id }} {{ data.mark }}]"     # says in the body which message it is
ACTS = {
    "accepted": accepted(), "slow": accepted(takes=40_000), "hangs": accepted(takes=20 * MINUTE),
    "deferred": deferred(), "rejected": rejected(), "bad": rejected(bad_address=True), "doubt": in_doubt(),
    "doubt_lost": in_doubt(took=False), "unreachable": unreachable(), "busy": busy(),
}
CONFIGURATION = """\
[ramps.careful]
timezone = "{timezone}"
start = {start}
ceiling = {ceiling}
every = "{every}"
hours = "00:00-24:00"
step = "{step}"
offset = "0s"
largest_batch = 20
[senders.support]
from = "Acme <support@acme.example>"
ramp = "careful"
[retry]
delays = ["5m", "20m"]
give_up_after = "2d"
"""
configurations = st.fixed_dictionaries({
    "timezone": st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]),
    "start": st.sampled_from([3, 12, 60, 500]), "ceiling": st.just(600),
    "every": st.sampled_from(["1m", "5m", "15m"]), "step": st.sampled_from(["1h", "6h", "1d"]),
})


class Machine(Promises):
    """What may befall a daemon: `world`, and all that there is of them are `worlds`."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[str] = ["accepted"]
        self.number = 0
        self.farthest = START                      # that the clock ever said
        self.world, *_ = self.worlds = self.make_worlds(Path(self.folder.name), CONFIGURATION.format(
            timezone="UTC", start=60, ceiling=600, every="5m", step="1h"))
        for world in self.worlds:
            world.post.script = self.chosen
            world.post.width = 3

    def make_worlds(self, folder: Path, settings: str) -> Sequence[World]:
        """One daemon, unless there are to be more; the first is opened first."""
        return [World(folder, settings, START)]

    async def begin_all(self) -> None:
        """Start them; there is a store, and in it campaigns and people."""
        await self.world.start()

    def chosen(self, _recipient: str, _attempt: int) -> Act:
        self.number += 1
        return ACTS[self.acts[self.number % len(self.acts)]]

    @initialize()
    def begin(self) -> None:
        async def go() -> None:
            await self.world.open()
            for name in CAMPAIGNS:
                await self.world.apply(changed(CAMPAIGN, ('"delay"', f'"{name}"'), ("{{ segment }}.", MARK)))
            await self.world.people(CUSTOMERS // 2)
            await self.world.people(CUSTOMERS // 2, first=CUSTOMERS // 2, location="FR")
            await self.begin_all()
        self.run(go())
        for key in range(2):
            self.enqueue("delay", list(range(CUSTOMERS)), key, None, None)

    @rule(campaign=st.sampled_from(CAMPAIGNS), customers=st.lists(st.integers(0, CUSTOMERS), min_size=1, max_size=15),
          key=st.integers(0, 3), later=st.sampled_from([None, "2026-03-02T09:00:00Z"]),
          expires=st.sampled_from([None, None, "2026-03-02T12:00:00Z"]))
    def enqueue(self, campaign: str, customers: list[int], key: int, later: str | None, expires: str | None) -> None:
        rows = [{"campaign": campaign, "customer": f"c{number}", "key": f"{number}-{key}", "not_before": later,
                 "expires_at": expires, "data": {"mark": f"{number}-{key}"}} for number in customers]
        receipts = self.run(self.world.send(*rows))
        for row, receipt in zip(rows, receipts, strict=True):
            place = (campaign, str(row["key"]))
            if receipt.answer in ("queued", "skipped"):
                assert place not in self.keys
                self.keys.add(place)
            elif receipt.answer in ("duplicate", "conflict"):
                assert place in self.keys

    @rule(acts=st.lists(st.sampled_from(sorted(ACTS)), min_size=1, max_size=5))
    def provider(self, acts: list[str]) -> None:
        self.acts = [*acts, "accepted"]

    @rule(milliseconds=st.one_of(
        st.integers(1, 2_000), st.integers(1, 10 * MINUTE), st.sampled_from([MINUTE, 5 * MINUTE, HOUR, 7 * HOUR])))
    def advance(self, milliseconds: int) -> None:
        self.run(self.world.run_for(milliseconds))

    @rule()
    def crash(self) -> None:
        self.run(self.world.crash())
        self.run(self.world.restart())

    @rule()
    def stop(self) -> None:
        self.run(self.world.drain(0.001))
        self.run(self.world.restart())

    @rule(configuration=configurations)
    def reload(self, configuration: dict[str, object]) -> None:
        self.run(self.go_by(**configuration))

    async def go_by(self, **configuration: object) -> None:
        """All read another configuration."""
        for world in self.going():
            await world.reload(CONFIGURATION.format(**configuration))

    @rule(start=st.integers(4, 20))
    def brake(self, start: int) -> None:
        """A rate far below what the step may have spent."""
        self.run(self.go_by(timezone="UTC", start=start, ceiling=start, every="15m", step="1h"))
        self.run(self.world.run_for(20 * MINUTE))

    @rule(by=st.sampled_from([-DAY, -HOUR, -MINUTE, MINUTE, HOUR, DAY]))
    def clock_jumps(self, by: int) -> None:
        self.farthest = max(self.farthest, self.world.now)
        self.put_clocks(self.world.now + by)
        self.run(self.world.run_for(0))

    def put_clocks(self, instant: int) -> None:
        """All say something else."""
        self.world.clock.jump(instant)

    @rule()
    def clock_is_taken_as_right(self) -> None:
        """A person says so, whatever was seen before."""
        self.run(self.trust_the_clock())

    async def trust_the_clock(self) -> None:
        async with self.world.database.transaction() as tx:
            await life.trust(tx, self.world.now)
        for world in self.going():
            await world.engine.timekeeper.look()
            world.works.changed()
        await self.world.settle()

    @rule(number=st.integers(0, CUSTOMERS - 1))
    def suppress(self, number: int) -> None:
        self.run(self.world.suppress(f"c{number}@mail.example"))
        self.cover(f"c{number}@mail.example")
        self.run(self.world.run_for(5 * MINUTE))

    @rule(kind=st.sampled_from(["everything", "sender", "lane", "category"]))
    def hold(self, kind: str) -> None:
        name = {"everything": "", "sender": "support", "lane": "support/other", "category": "service"}[kind]
        self.run(self.world.hold(kind, name))
        self.cover("everything")
        self.run(self.world.run_for(5 * MINUTE))

    @precondition(lambda self: "everything" in self.covered)
    @rule()
    def resume(self) -> None:
        for kind, name in (("everything", ""), ("sender", "support"), ("lane", "support/other"),
                           ("category", "service")):
            self.run(self.world.resume(kind, name))
        del self.covered["everything"]

    @rule(number=st.integers(0, CUSTOMERS - 1), place=st.sampled_from(["DE/Berlin", "FR", "IT"]))
    def customer_changes(self, number: int, place: str) -> None:
        row = {"id": f"c{number}", "location": place, "name": place, "last_active_at": "2026-03-02"}
        self.run(self.world.customers([row]))

    @rule(order=st.permutations(["DE/Berlin", "FR", "*"]))
    def another_order(self, order: list[str]) -> None:
        segments = ", ".join(f'"{name}"' for name in order)
        self.run(self.world.apply(changed(CAMPAIGN, ('"DE/Berlin", "*"', segments), ("{{ segment }}.", MARK))))

    @rule()
    def other_is_canceled(self) -> None:
        self.run(self.world.cancel("other"))
        self.cover("other")

    async def all_are_back(self) -> None:
        """For the end: who is away comes back."""

    def teardown(self) -> None:
        """In the end everything comes to rest: nothing was forgotten (P7)."""
        async def end() -> None:
            if not hasattr(self.world, "engine"):
                return
            self.acts = ["accepted"]
            await self.all_are_back()
            for kind, name in (("everything", ""), ("sender", "support"), ("lane", "support/other"),
                               ("category", "service")):
                await self.world.resume(kind, name)
            self.covered.pop("everything", None)
            await self.trust_the_clock()
            await self.world.people(1)      # facts are fresh
            await self.go_by(timezone="UTC", start=500, ceiling=600, every="15m", step="1h")
            until = max(self.world.now, self.farthest) + 3 * DAY
            while self.world.now < until and await self.left():
                await self.world.run_for(3 * HOUR)
            await self.world.run_for(HOUR)
            await self.look()
            left = await self.left()
            for world in self.going():
                await world.crash()
            assert not left, left
        try:
            self.run(end())
        finally:
            self.clear_up()
