"""What must hold of a daemon on a virtual clock, or of several, after whatever has befallen them (promises P1 to P8).

Counted anew after every step, from the store and from what the provider saw. What befalls them is in machine.py.
"""

import asyncio
import tempfile
from collections import Counter, defaultdict
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import select
from structlog.testing import capture_logs
from support.world import DAY, MINUTE, World

from dispatcher.core.states import FINAL, State
from dispatcher.store.tables import attempts, batches, messages

Result = TypeVar("Result")
GIVE_UP_AFTER = 2 * DAY         # of the configuration, with the longest delay
LONGEST_DELAY = 22 * MINUTE


class Promises(RuleBasedStateMachine):
    """Daemons on a store, and what must hold of them: `world` is the one that is spoken to, `worlds` are all."""

    world: World
    worlds: Sequence[World]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.quiet = capture_logs()
        self.quiet.__enter__()
        self.final: dict[int, tuple[object, ...]] = {}
        self.keys: set[tuple[str, str]] = set()
        self.covered: dict[str, int] = {}          # what is stopped -> how many hand-overs had begun by then

    def run(self, work: Awaitable[Result]) -> Result:
        return self.loop.run_until_complete(work)

    def going(self) -> Sequence[World]:
        """The daemons that do something."""
        return self.worlds

    def cover(self, what: str) -> None:
        """From here on nothing is handed over that this covers."""
        self.covered.setdefault(what, len(self.world.post.handed))

    def clear_up(self) -> None:
        """Leave nothing behind."""
        self.quiet.__exit__(None, None, None)
        left = asyncio.all_tasks(self.loop)
        for task in left:       # of a run that failed
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left))
        self.loop.close()
        self.folder.cleanup()

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
            assert self.is_under_way(row)

    async def left(self) -> list[tuple[object, ...]]:
        """What has not come to rest."""
        return [(row.campaign, row.key, row.state, row.reason) for row in await self.world.rows() if not at_rest(row)]

    def is_under_way(self, row: messages) -> bool:
        """Whether somebody has it in hand."""
        return any(row.id in world.works.underway._items or row.id in unwritten(world) for world in self.going())


def unwritten(world: World) -> set[int]:
    """The messages of outcomes that a daemon has not written down yet."""
    return {finding.message.id for finding in world.works.journal._findings}


def at_rest(row: messages) -> bool:
    """Whether nothing will be done about a message: it has ended, or it was perhaps sent and may not be tried again."""
    if row.state != State.IN_DOUBT:
        return row.state in FINAL
    gave_up = row.released_at + GIVE_UP_AFTER - LONGEST_DELAY
    return row.doubts > 0 and (bool(row.reason) or row.expires_at is not None or row.finished_at > gave_up)


def message_of(body: bytes) -> tuple[str, str]:
    """Campaign and key of the message that a body is of."""
    campaign, key = body.decode().rpartition("[")[2].partition("]")[0].split()
    return campaign, key
