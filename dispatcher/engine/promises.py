"""A campaign's plan is its promise: stored once, before the first of it is released.

A loop of its own looks whenever something changed: a campaign that has messages in the queue, may be released and has
no promise yet gets its part of the plan of that moment, and the event that it started, in one transaction. A crash
before that leaves nothing, one after it everything.

Lanes do not wait for plans. A release that took messages of a campaign without a promise is undone and waits for it
(`check`, `catch_up`), any other goes on. What fails here for another reason than the store's must not keep anybody
from hearing: the campaign is then sent without a promise, and its report says so.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.plan import Ending
from dispatcher.engine.outlook import Outlook, look
from dispatcher.engine.release import Released
from dispatcher.engine.standing import Standing, read_standing, standing_of_queued
from dispatcher.engine.waits import read_ahead
from dispatcher.engine.works import Works
from dispatcher.store import plans, tallies
from dispatcher.store.events import Event, Kind, note
from dispatcher.store.plans import Promise, PromisedBatch, Starting

MOST_BATCHES: Final = 20_000
"""Batches of all lanes that a promise is worked out for: of slots of 5 minutes, those of half a year of one lane."""
AGAIN_AFTER: Final = 1_000
"""Milliseconds after which a look is tried again that the store did not let be."""
PAUSE: Final = 500
"""Milliseconds between two looks, where no lane waits for one."""

log = structlog.get_logger()


class UnpromisedError(Exception):
    """A release took messages of a campaign whose plan has not been stored yet: it is to be undone."""


class Promises:
    """The loop that stores promises, and what it knows of them."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._known: frozenset[str] = frozenset()     # campaigns with something queued that have their promise
        self._without: set[str] = set()               # and those that could not be given one
        self._waiting: list[asyncio.Future[None]] = []
        self._hurry = asyncio.Event()
        self.wake = asyncio.Event()

    def has(self, campaigns: Iterable[str]) -> bool:
        """Whether all of these have their promise, as far as known."""
        return self._known.issuperset(campaigns)

    async def catch_up(self) -> None:
        """Return once all that may be released now has its promise."""
        looked = asyncio.get_running_loop().create_future()
        self._waiting.append(looked)
        self.wake.set()
        self._hurry.set()
        await looked

    async def run(self) -> None:
        """Look when something changed."""
        self.wake.set()
        while not self._works.closing:
            await self.wake.wait()
            self.wake.clear()
            self._hurry.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await self._turn()
            except DBAPIError as error:
                log.error("promises_failed", why=str(error.orig), effect="tried again in a second")  # noqa: TRY400 -- the store's trouble, not a fault to trace
                self._waiting += waiting
                self.wake.set()
                await self._works.clock.pause(AGAIN_AFTER)
                continue
            for looked in waiting:
                if not looked.done():
                    looked.set_result(None)
            await self._works.clock.pause(PAUSE, self._hurry)

    async def _turn(self) -> None:
        """Promise what starts. Whether anything does is seen without a plan, for this looks at every change."""
        works = self._works
        now = works.clock.now()
        async with works.database.transaction() as tx:
            fresh = await self._unpromised(tx)
            if not fresh or not await _starting(tx, works, fresh, now):
                return
        ahead = await read_ahead(works.database)
        now = works.clock.now()
        async with works.database.transaction() as tx:
            starting = await _starting(tx, works, await self._unpromised(tx), now)
            standing = await read_standing(tx, works.policy, works.book, now)
            outlook = await look(tx, works, standing, now, ahead)
            starting = [one for one in starting if _has_a_way(outlook, one.campaign)]
        if starting:
            await self._promise(outlook, starting, {one.campaign: standing.version(one.campaign) for one in starting})
            self._known |= {one.campaign for one in starting}

    async def _unpromised(self, tx: AsyncConnection) -> list[Starting]:
        """What has something queued and no promise; what has one is remembered."""
        queued = await plans.queued_campaigns(tx)
        self._known = frozenset(one.campaign for one in queued if one.promised or one.campaign in self._without)
        return [one for one in queued if one.campaign not in self._known]

    async def _promise(self, outlook: Outlook, starting: Sequence[Starting], versions: Mapping[str, int]) -> None:
        works = self._works
        try:
            made = await works.clock.aside(lambda: promised(outlook, starting))
        except Exception:
            # Whatever a plan meets: what it would be promised is not worth more than that it is sent.
            log.exception("plan_not_promised", campaigns=[one.campaign for one in starting],
                          effect="they are sent; their reports have no plan to compare with")
            self._without |= {one.campaign for one in starting}
            return
        for promise, text in made:
            async with works.database.transaction() as tx:
                if await plans.store(tx, promise, text):
                    await note(tx, Event(outlook.now, Kind.CAMPAIGN_STARTED, promise.campaign, data={
                        "version": versions[promise.campaign], "queued": promise.queued, "done_at": promise.done_at,
                        "late": promise.late,
                    }))


def check(works: Works, released: Released) -> None:
    """UnpromisedError where a release took messages of a campaign that has no promise yet."""
    if works.promises is None or released.batch is None:
        return
    if not works.promises.has({ready.campaign.id for ready in released.batch.ready}):
        raise UnpromisedError


async def catch_up(works: Works) -> None:
    """Wait for the promises that are still missing."""
    if works.promises is not None:
        await works.promises.catch_up()


async def _starting(tx: AsyncConnection, works: Works, fresh: Sequence[Starting], now: int) -> list[Starting]:
    """Those that may be released, and stand in a lane that is not held until somebody resumes it."""
    if not fresh:
        return []
    standing = await standing_of_queued(tx, works.policy, works.book, now)
    free = [one for one in fresh if standing.allows(one.campaign) and not standing.canceled(one.campaign)]
    lanes = await tallies.lanes_of(tx, [one.campaign for one in free])
    ways = {lane for lane in {lane for some in lanes.values() for lane in some} if _is_way(standing, works, lane)}
    return [one for one in free if not ways.isdisjoint(lanes.get(one.campaign, ()))]


def _is_way(standing: Standing, works: Works, lane: str) -> bool:
    hold = standing.lane_hold(lane)
    return works.policy.ramp_of(lane) is not None and (hold is None or hold.until is not None)


def _has_a_way(outlook: Outlook, campaign: str) -> bool:
    """The same, with what the evidence about the lanes would make of them now."""
    return any(view.held_for_good is None for view in outlook.lanes for run in view.backlog if run.campaign == campaign)


def promised(outlook: Outlook, starting: Sequence[Starting]) -> list[tuple[Promise, str]]:
    """The promise of each of these campaigns, and the text of its batches; all out of one plan."""
    parts: dict[str, list[PromisedBatch]] = {one.campaign: [] for one in starting}
    plan = outlook.plan(most=MOST_BATCHES)
    for batch in plan.batches:
        segments: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for (campaign, segment), count in batch.parts.items():
            segments[campaign][segment] = count
        for campaign, some in segments.items():
            if campaign in parts:
                parts[campaign].append(PromisedBatch(batch.at, batch.until, batch.lane, sum(some.values()), some,
                                                     str(batch.limit)))
    endings = {ending.campaign: ending for ending in plan.campaigns}
    found = []
    for one in starting:
        ending = endings.get(one.campaign, Ending(one.campaign, 0, None, 0, 0))
        cut = len(plan.batches) >= MOST_BATCHES and ending.left > 0
        done_at = ending.done_at if ending.queued == one.queued else None   # else some stand where no sender is
        promise = Promise(one.campaign, outlook.now, one.queued, done_at, ending.late, cut=cut,
                          batches=parts[one.campaign])
        found.append((promise, plans.written(promise.batches, cut=cut)))
    return found
