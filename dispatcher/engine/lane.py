"""A lane's own loop: wait for the next slot, release it, send its batch on its way, and again.

Each lane has its own, so that one that is held, slow or poisoned delays no other (promise P14). Nothing polls: a lane
with nothing due sleeps until something changes, one with something due sleeps until its slot.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError

from dispatcher.core.calendar import Slot, coming_slot
from dispatcher.engine import canary, promises
from dispatcher.engine.deliver import deliver
from dispatcher.engine.outcomes import give_back
from dispatcher.engine.portions import Portions
from dispatcher.engine.release import NEVER, Ask, Released, release, sweep
from dispatcher.engine.sorting import View
from dispatcher.engine.standing import standing_of_queued
from dispatcher.engine.underway import Item, held_by
from dispatcher.engine.works import Works

SWEEP_AHEAD: Final = 10_000
"""Milliseconds before a slot at which its lane's queue is swept, where the slot's length allows it."""
FAILED_WAIT: Final = 1_000
"""Milliseconds after which a slot is tried again that the store did not let be released."""

log = structlog.get_logger()


class LaneLoop:
    """The loop of one lane; `run` until cancelled."""

    def __init__(self, works: Works, lane: str) -> None:
        self._works = works
        self.lane = lane
        self.wake = asyncio.Event()
        self.next_slot: Slot | None = None
        self._not_before = 0                  # no slot that starts earlier is released any more
        self._look_again = 0                  # nothing to release before that, unless something changes
        self._crowded = True                  # nobody has looked at the queue's head yet
        self._deliveries: set[asyncio.Task[None]] = set()
        self.portions = Portions(works, lane) if works.watch is not None else None

    async def run(self) -> None:
        """Release slot after slot."""
        try:
            while not self._works.closing:
                if self.wake.is_set():
                    self.wake.clear()
                    self._look_again = 0   # a reload may have given the step more, a stop may have taken it back
                try:
                    await self._turn()
                except DBAPIError as error:
                    log.error("release_failed", lane=self.lane, why=str(error.orig), effect="tried again")  # noqa: TRY400 -- the store's trouble, not a fault to trace
                    await self._works.clock.pause(FAILED_WAIT)
        finally:
            for task in self._deliveries:
                task.cancel()

    async def _turn(self) -> None:
        """Wait for the coming slot and release it; or for a change, where there is none."""
        works = self._works
        ramp = works.policy.ramp_of(self.lane)
        if ramp is None:
            await self.wake.wait()   # its sender is not configured: until a reload brings it back
            return
        now = works.clock.now()
        earliest = max(now, works.health_of(self.lane).until, self._look_again)
        self.next_slot = slot = coming_slot(ramp, self.lane, earliest, self._not_before)
        if self._crowded and await self._sweep(slot):
            return
        await works.clock.sleep_until(max(slot.start, earliest), self.wake)
        if works.clock.now() < max(slot.start, works.health_of(self.lane).until) or works.closing:
            return   # something changed: look again
        released, items = await self._release(slot)
        await self._after(slot, released, items)

    async def _after(self, slot: Slot, released: Released, items: Sequence[Item]) -> None:
        self._crowded = released.crowded
        await self._keep_reputation(released)
        if released.batch is not None:
            task = asyncio.create_task(deliver(self._works, released.batch, items))
            self._deliveries.add(task)
            task.add_done_callback(self._delivered)
        if self.portions is not None and (released.batch is None or released.batch.size):
            self.portions.wake.set()        # of this batch, or of one that somebody else has released
        self._tell(released)
        if released.held or released.empty:
            self.next_slot = None
            await self._works.clock.sleep_until(released.look_again, self.wake)
            return
        if released.crowded and released.batch is None:
            return   # those who could not leave are closed: the slot is still free for who stands behind them
        self._not_before, self._look_again = slot.end, released.look_again

    async def _keep_reputation(self, released: Released) -> None:
        """Remember what was written with the release; what a lane that is held now has not begun goes back."""
        if released.reputation is None:
            return
        self._works.reputation[self.lane] = released.reputation
        if released.held:
            await give_back(self._works, self._works.underway.stop(held_by("lane", self.lane)))

    async def _release(self, slot: Slot) -> tuple[Released, Sequence[Item]]:
        works = self._works
        now = works.clock.now()
        ramp = works.policy.ramp_of(self.lane)
        if ramp is None:
            return Released(), ()
        items: Sequence[Item] = ()
        ask = Ask(self.lane, ramp, slot, works.underway.pending(self.lane), works.database.instance,
                  works.watch.living if works.watch is not None else 1)
        try:
            async with works.database.transaction() as tx:
                judged = await canary.judge_due(tx, works.policy.lines, now)
                standing = await standing_of_queued(tx, works.policy, works.book, now)
                released = await release(tx, ask, View(works.policy, works.book, standing, now))
                promises.check(works, released)
                if released.batch is not None:
                    # Before the commit: a stop that commits after it finds the items (promise P6).
                    items = works.underway.add(released.batch)
        except IntegrityError:
            return Released(), ()   # somebody else released this slot first
        except promises.UnpromisedError:
            await promises.catch_up(works)
            return Released(crowded=True), ()   # undone; the slot is still free
        except BaseException:
            works.underway.forget(items)
            raise
        for campaign in canary.failed(judged):
            await give_back(works, works.underway.stop(held_by("campaign", campaign)))
        return released, items

    async def _sweep(self, slot: Slot) -> bool:
        """Close ahead of the slot what cannot leave, chunk by chunk; True when something changed meanwhile."""
        works = self._works
        ahead = min(SWEEP_AHEAD, (slot.end - slot.start) // 4)
        await works.clock.sleep_until(slot.start - ahead, self.wake)
        if self.wake.is_set() or works.closing:
            return True
        ramp = works.policy.ramp_of(self.lane)
        more = ramp is not None
        while more and ramp is not None and works.clock.now() < slot.start:
            now = works.clock.now()
            async with works.database.transaction() as tx:
                standing = await standing_of_queued(tx, works.policy, works.book, now)
                swept = await sweep(tx, self.lane, ramp.largest_batch, View(works.policy, works.book, standing, now))
            more = swept.crowded
            self._tell(swept)
        self._crowded = more
        return False

    def _tell(self, released: Released) -> None:
        """Tell others what a look at the queue has changed: lanes what stands there now, the keeper what waits."""
        if released.moved:
            self._works.changed()
        if released.waits_until < NEVER:
            self._works.expect(released.waits_until)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._deliveries.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("delivery_failed", lane=self.lane, error=repr(task.exception()))
