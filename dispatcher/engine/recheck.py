"""What is released and has not begun, looked at once more: what has been stopped meanwhile, by whomever.

A stop by this very daemon reaches in for what it covers at once (underway.py). What another one has stopped, or a
command without a daemon, or an outcome there, is found here, by what stands in the store. Only the daemon that is to
deliver a message takes it back and writes that down, so that each is accounted for once.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from config.addresses import normalise
from dispatcher.core.audience import UNSUBSCRIBE
from dispatcher.core.model import SkipReason
from dispatcher.engine import outcomes
from dispatcher.engine.standing import Standing, standing_of_released
from dispatcher.engine.underway import Item
from dispatcher.engine.works import Works
from dispatcher.store import controls, customers, incidents
from dispatcher.store.incidents import Thread

BACK = ""
"""The reason of those that are not closed, but go back into the queue."""


async def stop_covered(works: Works) -> None:
    """Stop all that is ours, has not begun, and is covered by a stop that was committed before this began."""
    items = works.underway.to_begin()
    if not items:
        return
    async with works.database.transaction(urgent=True) as tx:
        found = await covered(tx, items, works.clock.now())
    await stop(works, found)


async def stop(works: Works, found: Mapping[str, Sequence[Item]]) -> None:
    """Stop these: first in memory, which is what hand-overs look at; then in the store."""
    stopped = {}
    for reason, some in found.items():
        those = frozenset(some)
        stopped[reason] = works.underway.stop(those.__contains__)
    for reason, some in stopped.items():
        if reason == BACK:
            await outcomes.give_back(works, some)
        else:
            await outcomes.close_stopped(works, some, reason)


async def covered(tx: AsyncConnection, items: Sequence[Item], now: int) -> dict[str, list[Item]]:
    """Of released messages those that may not leave any more, by the reason why they are closed."""
    by_campaign: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_campaign[item.ready.campaign.id].append(item)
    standing = await standing_of_released(tx, by_campaign, now)
    known = await customers.known(tx, sorted({item.ready.message.customer for item in items}))
    suppressed = await controls.suppressed(tx, sorted({normalise(item.ready.route.address) for item in items}))
    found: defaultdict[str, list[Item]] = defaultdict(list)
    for some in by_campaign.values():
        thread = await incidents.thread(tx, some[0].ready.campaign, [item.ready.message.customer for item in some])
        for item in some:
            reason = _reason(item, standing, thread, suppressed)
            if item.ready.message.customer not in known:
                reason = SkipReason.UNKNOWN_CUSTOMER
            if reason is not None:
                found[reason].append(item)
    return found


def _reason(
    item: Item, standing: Standing, thread: Thread, suppressed: dict[tuple[str, str], str]
) -> str | None:
    """Why a message may not leave any more; None: it may."""
    campaign = item.ready.campaign
    if standing.canceled(campaign.id):
        return SkipReason.CANCELED
    if thread.overtaken(item.ready.message.customer, campaign.sequence):
        return SkipReason.SUPERSEDED
    why = controls.reason_for(suppressed, normalise(item.ready.route.address), campaign.category) if suppressed else ""
    if why:
        return SkipReason.UNSUBSCRIBED if why == UNSUBSCRIBE else SkipReason.SUPPRESSED
    if not item.ready.route.address:
        return BACK     # the customer has another one since, of another lane: the next release sees to it
    if campaign.id in standing.blocked or standing.lane_hold(item.lane) is not None:
        return BACK
    return None
