"""A daemon for weeks in a second, and everything that can befall it, in any order (promises P2, P3, P5, P6, P7, P8).

The real engine over the real store, on a virtual clock, with a provider that does as chance says. Hypothesis chooses
what happens; after every step what must always hold is counted anew, from the store and from what the provider saw.

Bugs that were planted to see whether the harness bites, one at a time, and what caught them. Here: a batch that is not
reserved in the ledger; a budget that does not know what the step has spent; what had begun at a crash taken as not
handed over; a stop that does not reach what is released; another attempt in the words of today; a released slot
released again after a restart; moves that forget the tallies; a hold that the release does not look at; a doubt that
is not counted. In test_every_commit.py: hand-overs that begin before their mark is durable; a deferred message that
nobody looks at in time. In tests/engine: a customer who changes while a message of his is out; lanes that are not
told of messages that moved to them; a late slot of full size; two readers of one run, which send twice.
"""

import asyncio
import tempfile
from collections import Counter, defaultdict
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select
from structlog.testing import capture_logs
from support.post import Act, accepted, busy, deferred, in_doubt, rejected, unreachable
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, MINUTE, World, changed

from dispatcher.core.states import FINAL
from dispatcher.store import life
from dispatcher.store.tables import attempts, batches, messages

START = at("2026-03-02 07:58")
pytestmark = pytest.mark.timeout(300)    # a minute of one core, where nothing else runs
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
Result = TypeVar("Result")
configurations = st.fixed_dictionaries({
    "timezone": st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]),
    "start": st.sampled_from([3, 12, 60, 500]), "ceiling": st.just(600),
    "every": st.sampled_from(["1m", "5m", "15m"]), "step": st.sampled_from(["1h", "6h", "1d"]),
})


class Daemon(RuleBasedStateMachine):
    """What may befall a daemon."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.quiet = capture_logs()
        self.quiet.__enter__()
        self.final: dict[int, tuple[object, ...]] = {}
        self.keys: set[tuple[str, str]] = set()
        self.covered: dict[str, int] = {}          # what is stopped -> how many hand-overs had begun by then
        self.acts: list[str] = ["accepted"]
        self.number = 0
        self.farthest = START                      # that the clock ever said
        self.world = World(Path(self.folder.name), CONFIGURATION.format(
            timezone="UTC", start=60, ceiling=600, every="5m", step="1h"), START)
        self.world.post.script = self.chosen
        self.world.post.width = 3

    def run(self, work: Awaitable[Result]) -> Result:
        return self.loop.run_until_complete(work)

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
            await self.world.start()
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
        self.run(self.world.reload(CONFIGURATION.format(**configuration)))

    @rule(start=st.integers(4, 20))
    def brake(self, start: int) -> None:
        """A rate far below what the step may have spent."""
        self.run(self.world.reload(CONFIGURATION.format(
            timezone="UTC", start=start, ceiling=start, every="15m", step="1h")))
        self.run(self.world.run_for(20 * MINUTE))

    @rule(by=st.sampled_from([-DAY, -HOUR, -MINUTE, MINUTE, HOUR, DAY]))
    def clock_jumps(self, by: int) -> None:
        self.farthest = max(self.farthest, self.world.now)
        self.world.clock.jump(self.world.now + by)
        self.run(self.world.run_for(0))

    @rule()
    def clock_is_taken_as_right(self) -> None:
        """A person says so, whatever was seen before."""
        self.run(self.trust_the_clock())

    async def trust_the_clock(self) -> None:
        async with self.world.database.transaction() as tx:
            await life.trust(tx, self.world.now)
        await self.world.engine.timekeeper.look()
        self.world.works.changed()
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

    def cover(self, what: str) -> None:
        self.covered.setdefault(what, len(self.world.post.handed))

    @invariant()
    def all_promises_hold(self) -> None:
        if hasattr(self.world, "engine"):
            self.run(self.world.settle())
            self.world.check()
            self.run(self.look())

    async def look(self) -> None:
        await self.world.states()                     # the tallies are true, no batch above its allowance (P3)
        async with self.world.database.transaction() as tx:
            rows = list(await tx.execute(select(messages).order_by(messages.c.id)))
            sizes = sum(row.size for row in await tx.execute(select(batches.c.size)))
            doubts: Counter[int] = Counter()
            for row in await tx.execute(select(attempts.c.message).where(attempts.c.outcome == "in_doubt")):
                doubts[row.message] += 1
        handed = self.world.post.handed
        assert len(handed) <= sizes                                                                  # P3, P4
        assert {(row.campaign, row.key) for row in rows} == self.keys                                # P1, P2
        assert len(rows) == len(self.keys)
        self.look_at_copies(rows, doubts)
        self.look_at_stops()
        for row in rows:
            self.look_at_ends(row)

    def look_at_copies(self, rows: list[messages], doubts: Counter[int]) -> None:
        """P5: the copies of a message are bounded by its doubts, and the same to the byte."""
        bodies: defaultdict[tuple[str, str], set[bytes]] = defaultdict(set)
        copies: Counter[tuple[str, str]] = Counter()
        for one in self.world.post.handed:
            bodies[message_of(one.body)].add(one.body)
            copies[message_of(one.body)] += one.act.took
        for row in rows:
            place = (row.campaign, row.key)
            assert len(bodies[place]) <= 1
            assert row.doubts == doubts[row.id]
            begun = row.state == "sending"     # its doubt, if it comes to one, is not yet known
            assert copies[place] <= (row.state == "accepted") + doubts[row.id] + begun

    def look_at_stops(self) -> None:
        """P6: nothing is handed over that a stop covers, once it has committed."""
        for what, begun in self.covered.items():
            for one in self.world.post.handed[begun:]:
                assert what != "everything"
                assert one.recipient != what
                assert what != message_of(one.body)[0]

    def look_at_ends(self, row: messages) -> None:
        """P7: what has not ended will be looked at; P8: what has ended stays as it is."""
        seen = (row.state, row.reason, row.attempts, row.finished_at)
        assert self.final.setdefault(row.id, seen) == seen if row.state in FINAL else row.id not in self.final
        if row.state == "queued":
            assert row.lane in self.world.engine.lanes
        if row.state == "sending":
            assert row.id in self.world.works.underway._items or row.id in self.unwritten()

    def unwritten(self) -> set[int]:
        return {finding.message.id for finding in self.world.works.journal._findings}

    def teardown(self) -> None:
        """In the end everything comes to rest: nothing was forgotten (P7)."""
        async def end() -> None:
            if not hasattr(self.world, "engine"):
                return
            self.acts = ["accepted"]
            for kind, name in (("everything", ""), ("sender", "support"), ("lane", "support/other"),
                               ("category", "service")):
                await self.world.resume(kind, name)
            self.covered.pop("everything", None)
            await self.trust_the_clock()
            await self.world.people(1)      # facts are fresh
            await self.world.reload(CONFIGURATION.format(
                timezone="UTC", start=500, ceiling=600, every="15m", step="1h"))
            await self.world.run_until(max(self.world.now, self.farthest) + 3 * DAY)
            await self.look()
            left = set(await self.world.states()) - {"accepted", "rejected", "skipped"}
            await self.world.crash()
            assert not left, left
        try:
            self.run(end())
        finally:
            self.quiet.__exit__(None, None, None)
            self.loop.close()
            self.folder.cleanup()


def message_of(body: bytes) -> tuple[str, str]:
    """Campaign and key of the message that a body is of."""
    campaign, key = body.decode().rpartition("[")[2].partition("]")[0].split()
    return campaign, key


Daemon.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
TestDaemon = Daemon.TestCase
