"""What time brings about in the queue: messages become due, expire, are closed with their campaign; holds run out.

It sleeps until the next of these instants, and is woken when something comes in that may be earlier. At most once a
second, in chunks, so that a million messages that expire together stop nobody.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.audience import is_stale
from dispatcher.core.model import Message, SkipReason
from dispatcher.engine import canary
from dispatcher.engine.outcomes import give_back
from dispatcher.engine.underway import held_by
from dispatcher.engine.works import Works
from dispatcher.store import campaigns, canaries, controls, customers, due, events, queue, tallies
from dispatcher.store.database import CHUNK
from dispatcher.store.events import Event, Kind
from dispatcher.store.tallies import Deltas

PAUSE: Final = 1_000
"""Milliseconds between two looks at least."""
LONGEST: Final = 3_600_000

log = structlog.get_logger()


class Keeper:
    """The loop that keeps the queue in time."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._stale = False
        self._following = 0      # when it looks again by itself
        self.wake = asyncio.Event()

    def expect(self, instant: int) -> None:
        """A message now waits until this instant: look again then, if not before."""
        if instant < self._following:
            self._following = instant
            self.wake.set()

    async def run(self) -> None:
        """Look, act, sleep."""
        clock = self._works.clock
        while not self._works.closing:
            self.wake.clear()
            now = clock.now()
            self._following = now + LONGEST
            try:
                following = await self.turn(now)
            except DBAPIError as error:
                log.error("keeping_failed", why=str(error.orig), effect="tried again in a second")  # noqa: TRY400 -- the store's trouble, not a fault to trace
                following = now
            await clock.pause(PAUSE)
            self._following = min(self._following, following)
            await clock.sleep_until(self._following, self.wake)

    async def turn(self, now: int) -> int:
        """Do what is due; the instant of the next thing to do."""
        changed = await self._promote(now)
        await self._expire(now)
        await self._close_canceled(now)
        async with self._works.database.transaction() as tx:
            changed |= await self._look_at_facts(tx, now)
            changed |= await self._end_holds(tx, now)
            judged = await canary.judge_due(tx, self._works.policy.lines, now)
            changed |= bool(judged)
            following = [await due.next_due(tx), await due.next_expiry(tx), await _next_hold_end(tx, now),
                         await canaries.next_due(tx)]
        for campaign in canary.failed(judged):
            await give_back(self._works, self._works.underway.stop(held_by("campaign", campaign)))
        if changed or any(one is not None and one <= now for one in following):
            self._works.changed()
        return min((one for one in following if one is not None), default=now + LONGEST)

    async def _promote(self, now: int) -> bool:
        """Waiting messages whose time has come are due."""
        any_due = False
        more = True
        while more and not self._works.closing:
            async with self._works.database.transaction() as tx:
                deltas = Deltas()
                number = await due.promote(tx, now, CHUNK, deltas)
                await tallies.apply(tx, deltas)
            any_due |= number > 0
            more = number == CHUNK
        return any_due

    async def _expire(self, now: int) -> None:
        """Queued messages past their time are closed."""
        more = True
        while more and not self._works.closing:
            async with self._works.database.transaction() as tx:
                found = await due.expired(tx, now, CHUNK)
                await close_queued(tx, found, SkipReason.EXPIRED, now)
            more = len(found) == CHUNK

    async def _close_canceled(self, now: int) -> None:
        """Messages of canceled campaigns are closed: also those that a crash left open half way through."""
        async with self._works.database.transaction() as tx:
            canceled = await campaigns.canceled_with_queue(tx)
        for campaign in canceled:
            await close_campaign(self._works, campaign, now)

    async def _end_holds(self, tx: AsyncConnection, now: int) -> bool:
        """Holds whose time is over end; what happened is noted like a resume."""
        ended = await controls.end_holds(tx, now)
        await events.note(tx, *(Event(now, Kind.RESUMED, hold.name, "its time was over", data={"kind": hold.kind})
                                for hold in ended))
        return bool(ended)

    async def _look_at_facts(self, tx: AsyncConnection, now: int) -> bool:
        """Say it, once, when facts about customers get too old to go by, and when they come in again."""
        at = await customers.facts_at(tx)
        stale = is_stale(at, self._works.policy.stale_after, now)
        if stale and not self._stale and at is not None:
            log.warning("facts_stale", effect="nothing is released until customers or activity are imported again")
        was, self._stale = self._stale, stale
        return was and not stale


async def close_campaign(works: Works, campaign: str, now: int) -> int:
    """Close a canceled campaign's queued messages, chunk by chunk; how many."""
    total = 0
    while True:
        async with works.database.transaction() as tx:
            found = await queue.of_campaign(tx, campaign, 0, CHUNK)
            await close_queued(tx, found, SkipReason.CANCELED, now)
        total += len(found)
        if len(found) < CHUNK:
            return total


async def close_queued(tx: AsyncConnection, found: Sequence[tuple[Message, str]], reason: str, now: int) -> None:
    """Close queued messages, each given with its state in the tallies, for one reason."""
    deltas = Deltas()
    for state in {state for _, state in found}:
        messages = [message for message, its_state in found if its_state == state]
        await queue.skip(tx, messages, reason, now, deltas, before=state)
    await tallies.apply(tx, deltas)


async def _next_hold_end(tx: AsyncConnection, now: int) -> int | None:
    ends = [hold.until for hold in await controls.current_holds(tx, now) if hold.until is not None]
    return min(ends, default=None)
