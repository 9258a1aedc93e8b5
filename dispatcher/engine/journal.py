"""The journal: marks before hand-overs and outcomes after them, committed in groups.

A message is marked as begun, durably, before its hand-over may start; so after a crash every message is either surely
not handed over, or in doubt. Outcomes follow in groups: what waits while one transaction is being written goes into
the next. When the store cannot be written nothing is lost: outcomes wait here, marks do not come, so nothing more is
handed over (promise P10), and it is tried again until it works.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.clock import Clock
from dispatcher.core.states import State
from dispatcher.store import journal, owners, queue
from dispatcher.store.database import CHUNK, Database
from dispatcher.store.journal import Finding
from dispatcher.store.tallies import Deltas, apply

LINGER: Final = 50
"""Milliseconds that a group waits for company: it bounds both the commits a second and what a crash leaves in doubt."""
FULL: Final = 400
"""Outcomes that are enough for a group of their own."""
CROWD: Final = 2_000
"""Outcomes that may wait for the store before hand-overs wait for them."""
AGAIN_AFTER: Final = 1_000
"""Milliseconds after which a store that could not be written is tried again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Marks:
    """Messages to be marked as begun, and who waits for it."""

    ids: Sequence[int]
    done: asyncio.Future[Collection[int]]


class Journal:
    """The one writer of marks and outcomes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._marks: deque[_Marks] = deque()
        self._findings: deque[Finding] = deque()
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()    # somebody waits for a mark
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._written_at = 0.0   # by the monotonic clock: when outcomes were last written
        self.expect: Callable[[int], None] = lambda _instant: None   # told of messages that will be tried again
        self.failing = ""        # why the store could not be written, while it cannot

    async def begin(self, ids: Sequence[int]) -> Collection[int]:
        """Return when these messages are durably marked as perhaps handed over: those that are ours to hand over still.

        Where several daemons share the store, one that was taken from us is not marked.
        """
        done: asyncio.Future[Collection[int]] = asyncio.get_running_loop().create_future()
        self._marks.append(_Marks(ids, done))
        self._work.set()
        self._hurry.set()
        return await done

    async def put(self, finding: Finding) -> None:
        """Take an outcome; returns at once unless the store is far behind."""
        self._findings.append(finding)
        self._work.set()
        if len(self._findings) >= CROWD:
            self._room.clear()
            await self._room.wait()

    async def run(self) -> None:
        """Write until closed and empty."""
        while not (self._closing and not self._marks and not self._findings):
            await self._work.wait()
            self._work.clear()
            await self._linger()
            await self._write_all()
            if self._findings:
                self._work.set()    # they gather a little longer

    def close(self) -> None:
        """Let `run` end once all is written."""
        self._closing = True
        self._work.set()
        self._hurry.set()

    async def _linger(self) -> None:
        """Let outcomes gather for a moment; nobody waits for them, but whoever waits for a mark is served at once."""
        await self._clock.pause(LINGER, self._hurry)
        if not self._closing:
            self._hurry.clear()

    async def _write_all(self) -> None:
        while self._marks or self._findings_are_due():
            # One or the other: whoever waits for a mark has no time for outcomes.
            marks = [self._marks.popleft() for _ in range(len(self._marks))]
            due = min(len(self._findings), CHUNK) if not marks and self._findings_are_due() else 0
            findings = [self._findings.popleft() for _ in range(due)]
            try:
                marked = await self._write(marks, findings)
            except DBAPIError as error:
                self._marks.extendleft(reversed(marks))
                self._findings.extendleft(reversed(findings))
                self._fail(str(error.orig))
                await self._clock.pause(AGAIN_AFTER)
                continue
            self.failing = ""
            if findings:
                self._written_at = self._clock.monotonic()
            again = [one.following.not_before for one in findings if one.following.state is State.QUEUED]
            if again:
                self.expect(min(again))
            for mark in marks:
                if not mark.done.done():
                    mark.done.set_result(marked)
            if len(self._findings) < CROWD:
                self._room.set()

    def _findings_are_due(self) -> bool:
        """Whether outcomes have gathered long enough, so that a mark in a hurry does not break up their group."""
        waited = (self._clock.monotonic() - self._written_at) * 1000
        return bool(self._findings) and (self._closing or len(self._findings) >= FULL or waited >= LINGER)

    async def _write(self, marks: Sequence[_Marks], findings: Sequence[Finding]) -> Collection[int]:
        """Write them; the messages that are marked."""
        ids = [number for mark in marks for number in mark.ids]
        marked: set[int] = set()
        async with self._database.transaction(urgent=bool(marks)) as tx:
            for start in range(0, len(ids), CHUNK):
                marked.update(await self._mark(tx, ids[start:start + CHUNK]))
            if findings:
                deltas = Deltas()
                await journal.write(tx, findings, self._clock.now(), deltas)
                await apply(tx, deltas)
        return marked

    async def _mark(self, tx: AsyncConnection, ids: Sequence[int]) -> Collection[int]:
        me = self._database.instance
        if me:
            return await owners.begin(tx, ids, me)
        await queue.begin(tx, ids)
        return ids

    def _fail(self, why: str) -> None:
        if not self.failing:
            log.error("store_unwritable", why=why, effect="nothing is sent until it can be written again")
        self.failing = why
