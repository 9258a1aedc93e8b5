"""A campaign on its way to its whole audience: in chunks, each durable, so that a crash only delays it.

Nothing of the campaign is released before all of it is on the queue: otherwise its first segments might be served
after others, only because their customers came later in the alphabet. Nor is anything of earlier updates of its
incident: otherwise somebody would get one of them seconds before the later one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Campaign, Customer
from dispatcher.core.segments import belongs
from dispatcher.engine.taking import give_back_earlier, stop_overtaken, take_in
from dispatcher.engine.works import Works
from dispatcher.intake.accept import Answer, Known, Receipt
from dispatcher.intake.requests import SendRequest
from dispatcher.intake.strict import canonical_json
from dispatcher.store import campaigns, customers, incidents, reading
from dispatcher.store.campaigns import Expansion
from dispatcher.store.database import CHUNK

_REMEMBERED: Final = 100    # expansions whose answers are kept in memory


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an expansion is."""

    expansion: Expansion
    finished: bool


async def begin(works: Works, campaign: str) -> Expansion:
    """Begin an expansion, or find the unfinished one of this campaign."""
    async with works.database.transaction() as tx:
        begun = await campaigns.start_expansion(tx, campaign, works.clock.now())
        stored = await campaigns.get(tx, campaign)
    if stored is not None:
        await give_back_earlier(works, stored.incident, stored.sequence)
    return begun


async def step(works: Works, one: Expansion) -> Progress:
    """Put the next chunk of customers on the queue; what it came to is committed with it.

    How far the expansion is, is read anew: two may take turns at one, as a daemon and the command that began it do.
    """
    now = works.clock.now()
    requests: list[SendRequest] = []
    receipts: list[Receipt] = []
    async with works.database.transaction() as tx:
        current = await reading.expansion(tx, one.id)
        if current is not None:
            one, finished = current
            if finished:
                return Progress(one, finished)
        page = await customers.page(tx, one.cursor, CHUNK)
        known = await works.book.known(tx, {one.campaign})
        requests = await _requests(tx, known[one.campaign], page)
        if requests:
            receipts, known = await take_in(tx, works, requests, now)
        duplicate = sum(receipt.answer in (Answer.DUPLICATE, Answer.CONFLICT) for receipt in receipts)
        one = replace(
            one, cursor=page[-1].id if page else one.cursor, duplicate=one.duplicate + duplicate,
            accepted=one.accepted + len(receipts) - duplicate,
        )
        finished = len(page) < CHUNK or known[one.campaign].stored.canceled_at is not None
        await campaigns.expanded(tx, one, now if finished else None)
    _remember(works, one.id, receipts)
    await stop_overtaken(works, requests, receipts, known)
    if finished:
        works.changed()
    return Progress(one, finished)


async def finish_all(works: Works) -> None:
    """Finish what an earlier run left unfinished."""
    async with works.database.transaction() as tx:
        unfinished = await campaigns.unfinished_expansions(tx)
    for one in unfinished:
        progress = Progress(one, finished=False)
        while not progress.finished and not works.closing:
            progress = await step(works, progress.expansion)


def came_to(works: Works, one: Expansion) -> Counter[tuple[str, str]] | None:
    """What its requests came to: (answer, reason of the skip or state of the earlier message) -> how many.

    None where an earlier run of this program took some of them: that is not written down.
    """
    found = works.came.get(one.id, Counter())
    return found if found.total() == one.accepted + one.duplicate else None


def _remember(works: Works, number: int, receipts: Sequence[Receipt]) -> None:
    """Of the last expansions alone, so that this does not grow."""
    came = works.came.setdefault(number, Counter())
    came.update((str(receipt.answer), receipt.reason or receipt.state) for receipt in receipts)
    if len(works.came) > _REMEMBERED:
        del works.came[min(works.came)]


async def _requests(tx: AsyncConnection, known: Known, page: Sequence[Customer]) -> list[SendRequest]:
    """The messages of a campaign to those on a page who are its audience, or to whom it is owed."""
    campaign = known.campaign
    meant = [customer for customer in page if belongs(campaign.where, customer)]
    if campaign.closes and len(meant) < len(page):
        told = await incidents.informed(tx, campaign.incident, campaign.sequence, [customer.id for customer in page])
        meant = [customer for customer in page if customer.id in told or belongs(campaign.where, customer)]
    return [_request(campaign, customer) for customer in meant]


def _request(campaign: Campaign, customer: Customer) -> SendRequest:
    """The message of a campaign to one of its audience: once for each customer."""
    content = canonical_json([campaign.id, customer.id, "{}", None, None, None])
    return SendRequest(
        campaign=campaign.id, customer_id=customer.id, customer_update=None, data={}, data_json="{}",
        key=customer.id, priority=None, not_before=None, expires_at=None,
        digest=sha256(content.encode()).hexdigest(),
    )
