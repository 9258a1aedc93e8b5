"""The engine: its loops started, kept, reloaded and drained. It builds nothing and decides nothing by itself."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from dispatcher.core import clocks
from dispatcher.engine import expand, outcomes, portions, recheck, recovery, resolver, timekeeping
from dispatcher.engine.journal import AGAIN_AFTER
from dispatcher.engine.keeper import Keeper
from dispatcher.engine.lane import LaneLoop
from dispatcher.engine.promises import Promises
from dispatcher.engine.pruning import Pruner
from dispatcher.engine.resolver import Resolver
from dispatcher.engine.timekeeping import Before, Timekeeper
from dispatcher.engine.underway import Item
from dispatcher.engine.works import Works
from dispatcher.policy import Policy
from dispatcher.store import campaigns, owners, tallies
from dispatcher.store.changes import Change

log = structlog.get_logger()


class Engine:
    """All that runs between the store and the channels."""

    def __init__(self, works: Works) -> None:
        self.works = works
        self.lanes: dict[str, LaneLoop] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeper = Keeper(works)
        self._pruner = Pruner(works)
        self.timekeeper = Timekeeper(works)
        self._before: Before | None = None
        self._started = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._new_lanes = asyncio.Event()
        self._journal_task: asyncio.Task[None] | None = None
        works.promises = self._promises = Promises(works)
        works.changed = self.wake
        self._watching: set[asyncio.Task[None]] = set()
        self._taking: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._names_heard = 0
        works.expect = works.journal.expect = self._keeper.expect

    async def join(self) -> None:
        """Become one of the daemons that share the store, where several may; before anything else is done to it."""
        works, watch = self.works, self.works.watch
        if watch is None:
            return
        watch.on = {Change.STOPS: self._stop_covered, Change.NAMES: self._hear_names, Change.NEWS: self._look_again}
        watch.take_over, watch.somebody_left = self._take_over, self._go_on
        self._names_heard = works.clock.now()
        await watch.join()
        # Apart from all others: the lease is needed until the last outcome has been written.
        self._watching = {self._watched(watch.beat()), self._watched(watch.look_on())}

    async def _stop_covered(self) -> None:
        await outcomes.load_reputations(self.works)
        await recheck.stop_covered(self.works)
        if self._started:
            self._spawn(self._stop_free(), ends=True)

    def finish_audiences(self) -> None:
        """Put on the queue, beside all else, what is left of audiences: half of one there would block its campaign."""
        if self._finishing is None or self._finishing.done():
            self._finishing = self._spawn(self._finish_all(), ends=True)

    async def _finish_all(self) -> None:
        while not self.works.closing:
            try:
                async with self.works.database.transaction() as tx:
                    unfinished = await campaigns.unfinished_expansions(tx)
                if not unfinished:
                    return
                await expand.finish_all(self.works)
            except DBAPIError as error:
                log.error("expansion_stopped", why=str(error.orig), effect="tried again in a second")  # noqa: TRY400 -- as above
                await self.works.clock.pause(AGAIN_AFTER)

    async def _stop_free(self) -> None:
        """What is nobody's yet is looked at once more by whoever takes it: here only so that it is not left lying."""
        try:
            await portions.stop_free(self.works)
        except DBAPIError as error:
            log.error("stops_unwritten", why=str(error.orig), effect="written when it is taken")  # noqa: TRY400 -- the store's trouble, not a fault to trace

    async def _look_again(self) -> None:
        self._wake()

    async def _hear_names(self) -> None:
        """Take in what other daemons were told of domains since the last time; their clocks may go a little behind."""
        since, self._names_heard = self._names_heard, self.works.clock.now()
        await resolver.load(self.works, since - clocks.TOLERANCE)

    async def _go_on(self) -> None:
        """Somebody has left, in good order or not: what they had only begun is finished here."""
        if self._started:
            self.finish_audiences()

    async def _take_over(self) -> None:
        """Somebody has ended: what they had goes on here, beside all looks."""
        if self._started and (self._taking is None or self._taking.done()):
            self._taking = self._spawn(self._take_theirs(), ends=True)

    async def _take_theirs(self) -> None:
        """Bring what they left to rest, and look again at what they alone would have looked at."""
        try:
            await recovery.recover(self.works, free=False)
        except DBAPIError as error:
            log.error("not_taken_over", why=str(error.orig), effect="tried again")  # noqa: TRY400 -- the store's trouble, not a fault to trace
        else:
            self.finish_audiences()
            self._wake()

    async def look_back(self) -> None:
        """See when and how the last run ended, before anything new is stored; `start` does it where nobody has."""
        self._before = await timekeeping.look_back(self.works)

    async def start(self) -> None:
        """Recover what an earlier run left, then begin to release."""
        self.works.ways.use(self.works.policy.settings)
        await timekeeping.started(self.works, self._before or await timekeeping.look_back(self.works))
        self._started = True
        await outcomes.load_reputations(self.works)
        await recovery.recover(self.works)
        await resolver.load(self.works)
        self._journal_task = self._spawn(self.works.journal.run())
        self._spawn(self._keeper.run())
        self._spawn(Resolver(self.works).run())
        self._spawn(self.timekeeper.run())
        self._spawn(self._promises.run())
        self._spawn(self._pruner.run())
        self._spawn(self._find_lanes())
        self.finish_audiences()

    def wake(self) -> None:
        """Something changed: whoever sleeps looks again, here and where the store is shared."""
        if self.works.watch is not None:
            self.works.watch.tell()
        self._wake()

    def _wake(self) -> None:
        self._new_lanes.set()
        self._keeper.wake.set()
        self._promises.wake.set()
        for loop in self.lanes.values():
            loop.wake.set()
            if loop.portions is not None and self.works.watch is not None and self.works.watch.shared:
                loop.portions.wake.set()

    def use(self, policy: Policy) -> None:
        """Go by another policy, from the next slot of every lane on. ValueError, and no change, if it cannot be."""
        self.works.ways.use(policy.settings)
        self.works.policy = policy
        policy.providers.wake.set()
        self._pruner.wake.set()
        self.wake()

    async def stop_items(self, covers: Callable[[Item], bool], reason: str = "") -> int:
        """Stop released messages that have not begun: closed for a reason, or back into the queue without one."""
        items = self.works.underway.stop(covers)
        if reason:
            await outcomes.close_stopped(self.works, items, reason)
        else:
            await outcomes.give_back(self.works, items)
        return len(items)

    async def drain(self, within: float, writing: float | None = None) -> None:
        """Begin nothing new, let what is in flight finish for so many seconds, write everything down.

        `writing`: seconds that the store may take for that; as many, where it is not given.
        """
        works = self.works
        works.closing = True
        self.wake()
        others = [task for task in self._tasks if task is not self._journal_task]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await outcomes.give_back(works, works.underway.stop(lambda _: True))
        if works.in_flight:
            _, late = await asyncio.wait(set(works.in_flight), timeout=within)
            for task in late:
                task.cancel()
            if late:
                log.warning("stopped_in_flight", messages=len(late), effect="their outcome is in doubt")
            await asyncio.gather(*late, return_exceptions=True)
        works.journal.close()
        if self._journal_task is not None:
            _, unwritten = await asyncio.wait({self._journal_task}, timeout=within if writing is None else writing)
            for task in unwritten:
                task.cancel()
                log.error("outcomes_unwritten", why=works.journal.failing, effect="at the next start they are in doubt")
            await asyncio.gather(*unwritten, return_exceptions=True)
            if self._started and not unwritten:
                await timekeeping.stopped(works, "a part of it failed" if self._has_failed() else "")
                await self._leave()
        await self._end_watch()
        await works.ways.close()

    async def _leave(self) -> None:
        """Be no longer one of those that share the store; the last one puts back what would be nobody's."""
        if self.works.watch is None:
            return
        await self._end_watch()
        try:
            await self.works.watch.leave()
            await recovery.recover(self.works)
        except DBAPIError as error:
            log.error("not_left", why=str(error.orig), effect="others take over when the lease has lapsed")  # noqa: TRY400 -- the store's trouble, not a fault to trace

    async def _end_watch(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    def _has_failed(self) -> bool:
        return self.failed.done() and not self.failed.cancelled() and self.failed.exception() is not None

    async def _find_lanes(self) -> None:
        """Start a loop for every lane that has something queued."""
        while not self.works.closing:
            self._new_lanes.clear()
            try:
                async with self.works.database.transaction() as tx:
                    known = await tallies.queued_lanes(tx)
                    if self.works.watch is not None:
                        known += await owners.free_lanes(tx)
            except DBAPIError as error:
                log.error("lanes_unread", why=str(error.orig), effect="tried again in a second")  # noqa: TRY400 -- the store's trouble, not a fault to trace
                await self.works.clock.pause(AGAIN_AFTER)
                continue
            self._open(lane for lane in known if lane and lane not in self.lanes)
            await self._new_lanes.wait()
            await asyncio.sleep(0)

    def _open(self, names: Iterable[str]) -> None:
        for name in names:
            self.lanes[name] = loop = LaneLoop(self.works, name)
            self._spawn(loop.run())
            if loop.portions is not None:
                self._spawn(loop.portions.run())

    def _spawn(self, work: Coroutine[Any, Any, None], *, ends: bool = False) -> asyncio.Task[None]:
        """Run a loop; one that ends by an error ends the daemon: systemd starts it anew, and recovery does the rest."""
        task = self._watched(work, ends=ends)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _watched(self, work: Coroutine[Any, Any, None], *, ends: bool = False) -> asyncio.Task[None]:
        task = asyncio.create_task(work)

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                return
            error = task.exception()    # asked of each, as asyncio complains of those that nobody has heard of
            if self.failed.done():
                return
            if error is not None:
                self.failed.set_exception(error)
            elif not ends and not self.works.closing:
                self.failed.set_exception(RuntimeError("a loop of the engine ended by itself"))

        task.add_done_callback(ended)
        return task
