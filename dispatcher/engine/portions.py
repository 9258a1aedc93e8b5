"""Batches that several daemons deliver: each takes a portion at a time, as soon as it has room for one.

Whoever releases a batch takes its first portion in the same transaction; what is nobody's yet any daemon takes, in the
order of planned starts, so that a server that answers slowly is served by the connections of all. A message keeps its
planned start, and its place in the batch: so the pace stays even, whoever sends. Nobody stops what is nobody's in
memory, so it is looked at when it is taken, and whenever something was stopped.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.calendar import Slot
from dispatcher.core.lanes import Route, address_for, lane_of
from dispatcher.core.model import Customer
from dispatcher.core.portions import SMALLEST, portion_size, room_for
from dispatcher.core.ramp import start_time
from dispatcher.engine import outcomes, recheck
from dispatcher.engine.deliver import deliver
from dispatcher.engine.release import Batch
from dispatcher.engine.sorting import Ready, as_then
from dispatcher.engine.underway import Item
from dispatcher.engine.works import Works
from dispatcher.policy import split_lane
from dispatcher.store import owners, queue
from dispatcher.store.database import CHUNK
from dispatcher.store.owners import Offer
from dispatcher.store.queue import Claimed

SOON: Final = 1_000
"""Milliseconds before its first planned start at which a portion may be taken."""
AGAIN_AFTER: Final = 1_000
"""Milliseconds after which a portion is tried again that the store did not let be taken."""

log = structlog.get_logger()


class Portions:
    """What a daemon takes of a lane's batches; `run` until cancelled."""

    def __init__(self, works: Works, lane: str) -> None:
        self._works = works
        self._lane = lane
        self._room = room_for(SMALLEST)
        self._deliveries: set[asyncio.Task[None]] = set()
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Take portion after portion; where there is none, wait until somebody has released something."""
        try:
            while not self._works.closing:
                self.wake.clear()
                try:
                    following = await self._take()
                except DBAPIError as error:
                    log.error("portion_failed", lane=self._lane, why=str(error.orig), effect="tried again in a second")  # noqa: TRY400 -- the store's trouble, not a fault to trace
                    await self._works.clock.pause(AGAIN_AFTER)
                    continue
                if following is None:
                    await self.wake.wait()
                else:
                    await self._works.clock.sleep_until(following, self.wake)
        finally:
            for task in self._deliveries:
                task.cancel()

    async def _take(self) -> int | None:
        """Take the next portion, if it is time; when to look again, None where nothing is to be had."""
        works = self._works
        waits_until = works.health_of(self._lane).until
        if works.policy.ramp_of(self._lane) is None:
            return None
        if works.clock.now() < waits_until:
            return waits_until
        await works.underway.room(self._lane, self._room)
        now = works.clock.now()
        items: Sequence[Item] = ()
        try:
            async with works.database.transaction() as tx:
                offer = await owners.offer(tx, self._lane)
                if offer is None:
                    return None
                first = offer.size - offer.left
                begin = max(offer.slot, offer.released_at)
                start = start_time(begin, offer.slot_ends, offer.size, first)
                if start - SOON > now:
                    return start - SOON
                most = portion_size(offer.size, begin, offer.slot_ends)
                batch = await self._claim(tx, offer, most)
                # Before the commit: a stop that commits after it finds the items (promise P6).
                items = works.underway.add(batch)
                stopped = await recheck.covered(tx, items, now)
        except BaseException:
            works.underway.forget(items)
            raise
        self._room = room_for(most)
        await recheck.stop(works, stopped)
        self._send(batch, items)
        return now

    async def _claim(self, tx: AsyncConnection, offer: Offer, most: int) -> Batch:
        rows = await owners.portion(tx, self._lane, offer.slot, most)
        ready = [await _ready(self._works, tx, queue.claimed_of(row)) for row in rows]
        await owners.own(tx, [one.message.id for one in ready], self._works.database.instance)
        return Batch(self._lane, _slot(offer), ready, offer.allowance, offer.released_at, own=len(ready),
                     size=offer.size, first=offer.size - offer.left)

    def _send(self, batch: Batch, items: Sequence[Item]) -> None:
        task = asyncio.create_task(deliver(self._works, batch, items))
        self._deliveries.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._deliveries.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("delivery_failed", lane=self._lane, error=repr(task.exception()))


async def stop_free(works: Works) -> None:
    """Write down what of those that are nobody's yet has been stopped; whichever daemon comes first does it."""
    after = 0
    while True:
        now = works.clock.now()
        async with works.database.transaction() as tx:
            rows = await owners.free_page(tx, after, CHUNK)
            items = [Item(await _ready(works, tx, queue.claimed_of(row[:-1])), Slot(0, 0, 0, 1, row[-1], row[-1]), now)
                     for row in map(tuple, rows)]
            for reason, some in (await recheck.covered(tx, items, now)).items() if items else ():
                await outcomes.write_chunk(tx, some, reason, now)
        if len(rows) < CHUNK:
            return
        after = items[-1].ready.message.id


def _slot(offer: Offer) -> Slot:
    return Slot(offer.step, offer.slot_ends, 0, 1, offer.slot, offer.slot_ends)


async def _ready(works: Works, tx: AsyncConnection, claimed: Claimed) -> Ready:
    """A released message with all that its delivery needs, by the route that its release gave it."""
    message = claimed.message
    customer = as_then(claimed) or Customer(message.customer)
    campaign = await works.book.version(tx, message.campaign, message.version or 1)
    sender = split_lane(message.lane).sender
    channel = works.policy.channels.get(sender, "")
    address = address_for(channel, customer)
    lane = str(lane_of(sender, channel, address, works.policy.provider_of)) if address else ""
    return Ready(message, customer, campaign, Route(message.segment, message.rank, message.lane, sender,
                                                    address if lane == message.lane else ""))
