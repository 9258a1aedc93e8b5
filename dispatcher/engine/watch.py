"""One daemon among those that share a store: its lease, and what it hears of the others.

Two loops, by real time whatever clock the engine goes by. One renews the lease (its heartbeat). The other looks a few
times a second whether anybody has told of a change (store/changes.py), waits for no transaction, and works it in: stops
first. A hand-over may begin only within the lease, as counted here from before each heartbeat was sent, and within
STALE of a look after which every stop has been worked in. So what has been stopped anywhere for a second reaches nobody
(promise P6), whoever stopped it and however this daemon, its machine or the network stood still meanwhile; where the
store cannot be looked at, nothing is sent (P10).

Past its lease a daemon writes nothing. Where others have taken over what it had under way (recovery.py), it ends, and
systemd starts it anew; where nobody has, because nobody could reach the store, it goes on when the store is back. A
process that was stopped may not even finish what it had begun to hand over: where it goes on past its lease, it ends
before anything else moves (`ended_by_now`).
"""

import asyncio
import contextlib
import os
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from socket import gethostname
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from dispatcher.clock import since_boot
from dispatcher.core import distance
from dispatcher.store import changes, instances
from dispatcher.store.changes import Change
from dispatcher.store.database import SharedDatabase, StoreLostError
from dispatcher.store.instances import Who

EVERY: Final = 0.3
"""Seconds between two looks."""
STALE: Final = 1.0
"""Seconds that a look is good for: promise P6."""
BEATS: Final = 3
"""Heartbeats within a lease."""
MARGIN: Final = 0.1
"""Of the lease, by which we are careful: what a hand-over takes to begin, and how much clocks may run apart."""
GRACE: Final = 2.0
"""Seconds after our own lease had lapsed in which we take over from nobody: the store was away for all, perhaps."""
PATIENCE: Final = 3.0
"""Seconds after which a look that is not answered is given up; a session to look by may take longer to begin."""

_MACHINE: Final = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
_NUMBERS: Final = Path("/proc/self/ns/pid")     # within which processes have their numbers
TAKEN: Final = "the lease of this daemon has lapsed, and others have taken over what it had under way"

log = structlog.get_logger()
Work = Callable[[], Awaitable[None]]


def whoami() -> Who:
    """This process, as other machines and containers may tell it from theirs."""
    machine = gethostname()
    known = [machine]
    for file in _MACHINE:       # a hardened unit hides one of them
        with contextlib.suppress(OSError):
            known.append(file.read_text(encoding="ascii").strip())
    if len(known) == 1:
        known.append(uuid.uuid4().hex)      # nobody can tell who is of our place, so nobody is
    return Who(machine, "/".join([*known, str(_NUMBERS.stat().st_ino)]), os.getpid())


def _runs(process: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass        # somebody else's
    return True


async def _nothing() -> None:
    """There is nothing to work in."""


class Watch:
    """What a daemon knows of itself among others."""

    def __init__(self, database: SharedDatabase, lease: int) -> None:
        self._database = database
        self._lease = lease                 # milliseconds
        self._ends = 0.0                    # of the lease, as we count it; seconds since boot
        self._regained = -GRACE             # when we had it again, after it had lapsed
        self._abreast = -STALE              # when the last look was sent whose stops have been worked in
        self._looked = asyncio.Event()
        self._failing: dict[str, str] = {}      # what has failed and was told -> why
        self._trips: deque[int] = deque(maxlen=distance.LOOKS)      # milliseconds that the latest looks took
        self._far = False                   # whether the store answers too slowly for hand-overs
        self._heard: dict[Change, int] = {}     # how far changes have been worked in
        self._news = False                  # others are to be told that something may leave
        self.living = 1                     # daemons, as of the last look
        self.shared = False                 # whether there have ever been others
        self.on: dict[Change, Work] = dict.fromkeys(Change, _nothing)     # what works each change in
        self.take_over: Work = _nothing     # what takes over from those whose lease has lapsed
        self.somebody_left: Work = _nothing     # what goes on with what they had begun, whichever way they ended

    @property
    def me(self) -> int:
        """Our number."""
        return self._database.instance

    async def join(self) -> None:
        """Become one of those that share the store."""
        sent, who = since_boot(), whoami()
        async with self._database.transaction() as tx:
            for number, process in (await instances.of_place(tx, who.place)).items():
                if not _runs(process):      # it was killed here: nobody need wait for its lease to lapse
                    await instances.leave(tx, number)
            number = await instances.join(tx, who, self._lease)
        self._database.instance = number
        self._renewed(sent)
        await self._look()
        log.info("joined", instance=number, living=self.living)

    async def leave(self) -> None:
        """What we still have under way is anybody's from here on."""
        number, self._database.instance = self.me, 0
        async with self._database.transaction() as tx:
            await instances.leave(tx, number)

    def tell(self) -> None:
        """Something may leave that could not: the others hear of it with our next look."""
        self._news = True

    @property
    def trouble(self) -> str:
        """Why nothing may begin, while the store cannot be looked at or our lease not be renewed."""
        return "".join(f"it is not heard from: {why}" for why in list(self._failing.values())[:1])

    @property
    def distance(self) -> str:
        """Why hand-overs wait, while the store answers so slowly that they do."""
        return distance.in_words(self._trips) if self._far else ""

    @property
    def may_begin(self) -> bool:
        """Whether a hand-over may begin."""
        now = since_boot()
        return now < self._ends and now - self._abreast < STALE

    async def until_it_may(self) -> None:
        """Return when a hand-over may begin."""
        while not self.may_begin:
            self._looked.clear()
            await self._looked.wait()

    @property
    def ended_by_now(self) -> bool:
        """Whether our lease has run out, as far as we can tell by ourselves."""
        return bool(self.me) and since_boot() >= self._ends

    async def beat(self) -> None:
        """Renew the lease until cancelled; StoreLostError where others have taken over."""
        while True:
            renewed = await self._patiently(self._renew, "heartbeat_failed")
            await asyncio.sleep(self._lease / 1000 / BEATS if renewed else EVERY)

    async def look_on(self) -> None:
        """Look, and work in what has changed, until cancelled."""
        while True:
            await self._patiently(self._look, "look_failed")
            await asyncio.sleep(EVERY)

    async def _patiently(self, do: Work, event: str) -> bool:
        """Do it, and say whether it was done; a store that does not answer is asked again with the next turn."""
        try:
            await do()
            self._failing.pop(event, None)
        except (DBAPIError, TimeoutError) as error:
            why = str(error.orig) if isinstance(error, DBAPIError) else "no answer in time"
            if event not in self._failing:      # once is enough
                log.error(event, why=why, effect="nothing is sent until the store answers")  # noqa: TRY400 -- the store's trouble, not a fault to trace
            self._failing[event] = why
        return event not in self._failing

    async def _renew(self) -> None:
        async with self._database.aside() as store, asyncio.timeout(PATIENCE):
            sent = since_boot()
            lasts = await instances.beat(store, self.me, self._lease)
        if not lasts:
            raise StoreLostError(TAKEN)
        self._renewed(sent)

    def _renewed(self, sent: float) -> None:
        if self._ends and sent >= self._ends:
            self._regained = sent
        self._ends = sent + self._lease / 1000 * (1 - MARGIN)

    async def _look(self) -> None:
        """See what there is to hear, and work it in: stops first, for hand-overs wait for that."""
        async with self._database.aside() as store, asyncio.timeout(PATIENCE):
            if self._news and self.living > 1:
                await changes.tell(store, Change.NEWS)
            self._news = False
            sent = since_boot()     # and not before: who waits for a session has not looked yet
            seen = await instances.look(store, self.me)
            self._measure(since_boot() - sent)
        if not seen.ours:
            raise StoreLostError(TAKEN)
        fewer, self.living = seen.living < self.living, seen.living
        self.shared |= seen.living > 1 or seen.lapsed > 0
        await self._work_in(Change.STOPS, seen.stops)
        self._abreast = sent
        self._looked.set()
        await self._work_in(Change.NAMES, seen.names)
        await self._work_in(Change.NEWS, seen.news)
        if fewer:
            await self.somebody_left()
        if seen.lapsed and sent - self._regained > GRACE:
            await self.take_over()

    def _measure(self, trip: float) -> None:
        """Take in how many seconds an answer took, and say so where they have become too many, or are no more."""
        self._trips.append(round(trip * 1000))
        before, self._far = self._far, distance.is_far(self._trips, before=self._far)
        if self._far and not before:
            log.warning("store_far", why=distance.in_words(self._trips), effect="hand-overs wait for the store")
        elif before and not self._far:
            log.info("store_near", effect="hand-overs wait for the store no longer")

    async def _work_in(self, change: Change, number: int) -> None:
        """Work a change in; what was before we joined is none."""
        if self._heard.get(change, number) != number:
            await self.on[change]()
        self._heard[change] = number
