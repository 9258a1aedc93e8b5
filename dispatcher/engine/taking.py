"""Requests taken, in one transaction; then what they have overtaken is stopped, where it was released and not begun.

Every way into the queue of a running daemon goes through here, so that no customer gets an earlier update of an
incident seconds before the later one. What is queued was closed in the transaction itself (intake/accept.py).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from dispatcher.core.model import SkipReason
from dispatcher.engine import outcomes
from dispatcher.engine.underway import Item
from dispatcher.engine.works import Works
from dispatcher.intake.accept import Answer, Receipt, accept
from dispatcher.intake.judging import Known
from dispatcher.intake.requests import SendRequest


async def take(works: Works, requests: Sequence[SendRequest], now: int) -> list[Receipt]:
    """Take a chunk of requests; one receipt each, on disk."""
    async with works.database.transaction() as tx:
        known = await works.book.known(tx, {request.campaign for request in requests})
        receipts = await accept(tx, requests, known, works.policy, now)
    reached: defaultdict[str, list[str]] = defaultdict(list)
    if any(one.campaign.incident for one in known.values()):
        for request, receipt in zip(requests, receipts, strict=True):
            if receipt.answer in _NEW and receipt.reason != SkipReason.NO_SEGMENT:
                reached[request.campaign].append(request.customer_id)
    await stop_overtaken(works, reached, known)
    return receipts


async def stop_overtaken(
    works: Works, reached: Mapping[str, Sequence[str]], known: Mapping[str, Known]
) -> None:
    """Close what is released and not begun of earlier updates: for who now has a later one, or for all by the last.

    `reached`: campaign -> the customers who have a message of it now.
    """
    latest: defaultdict[str, dict[str, int]] = defaultdict(dict)      # incident -> customer -> sequence
    over: dict[str, int] = {}                                         # incident -> sequence of its last word
    for name, customers in reached.items():
        campaign = known[name].campaign
        if campaign.incident and customers:
            sequences = latest[campaign.incident]
            sequences.update({one: max(sequences.get(one, 0), campaign.sequence) for one in customers})
            if campaign.closes:
                over[campaign.incident] = campaign.sequence
    if not latest or not len(works.underway):
        return

    def covers(item: Item) -> bool:
        campaign = item.ready.campaign
        sequences = latest.get(campaign.incident)
        if sequences is None:
            return False
        latest_of = max(sequences.get(item.ready.message.customer, 0), over.get(campaign.incident, 0))
        return latest_of > campaign.sequence

    await outcomes.close_stopped(works, works.underway.stop(covers), SkipReason.SUPERSEDED)


async def give_back_earlier(works: Works, incident: str, below: int) -> None:
    """Put back what is released and not begun of an incident's earlier updates, while a later one is being queued."""
    def covers(item: Item) -> bool:
        return item.ready.campaign.incident == incident and item.ready.campaign.sequence < below

    if incident:
        await outcomes.give_back(works, works.underway.stop(covers))


_NEW = frozenset({Answer.QUEUED, Answer.SKIPPED})
