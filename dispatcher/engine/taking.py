"""Requests taken, in one transaction; then what they have overtaken is stopped, where it was released and not begun.

Every way into the queue of a running daemon goes through here, so that no customer gets an earlier update of an
incident seconds before the later one. What is queued was closed in the transaction itself (intake/accept.py).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import SkipReason
from dispatcher.engine import outcomes
from dispatcher.engine.underway import Item
from dispatcher.engine.works import Works
from dispatcher.intake.accept import Answer, Known, Receipt, accept
from dispatcher.intake.requests import SendRequest


async def take(works: Works, requests: Sequence[SendRequest], now: int) -> list[Receipt]:
    """Take a chunk of requests; one receipt each, on disk."""
    async with works.database.transaction() as tx:
        receipts, known = await take_in(tx, works, requests, now)
    await stop_overtaken(works, requests, receipts, known)
    return receipts


async def take_in(
    tx: AsyncConnection, works: Works, requests: Sequence[SendRequest], now: int
) -> tuple[list[Receipt], dict[str, Known]]:
    """The same inside the caller's transaction; what it has overtaken is to be stopped after the commit."""
    known = await works.book.known(tx, {request.campaign for request in requests})
    return await accept(tx, requests, known, works.policy, now), known


async def stop_overtaken(
    works: Works, requests: Sequence[SendRequest], receipts: Sequence[Receipt], known: Mapping[str, Known]
) -> None:
    """Close what is released and not begun of earlier updates: for who now has a later one, or for all by the last."""
    latest: defaultdict[str, dict[str, int]] = defaultdict(dict)      # incident -> customer -> sequence
    over: dict[str, int] = {}                                         # incident -> sequence of its last word
    for request, receipt in zip(requests, receipts, strict=True):
        if receipt.answer in _NEW and receipt.reason != SkipReason.NO_SEGMENT:
            campaign = known[request.campaign].campaign
            if campaign.incident:
                customers = latest[campaign.incident]
                customers[request.customer_id] = max(customers.get(request.customer_id, 0), campaign.sequence)
                if campaign.closes:
                    over[campaign.incident] = campaign.sequence
    if not latest or not len(works.underway):
        return

    def covers(item: Item) -> bool:
        campaign = item.ready.campaign
        customers = latest.get(campaign.incident)
        if customers is None:
            return False
        latest_of = max(customers.get(item.ready.message.customer, 0), over.get(campaign.incident, 0))
        return latest_of > campaign.sequence

    await outcomes.close_stopped(works, works.underway.stop(covers), SkipReason.SUPERSEDED)


async def give_back_earlier(works: Works, incident: str, below: int) -> None:
    """Put back what is released and not begun of an incident's earlier updates, while a later one is being queued."""
    def covers(item: Item) -> bool:
        return item.ready.campaign.incident == incident and item.ready.campaign.sequence < below

    if incident:
        await outcomes.give_back(works, works.underway.stop(covers))


_NEW = frozenset({Answer.QUEUED, Answer.SKIPPED})
