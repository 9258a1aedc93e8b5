"""The one door of the send queue: whatever comes in, by file, command or network, ends here.

accept() takes a chunk of requests inside one transaction: customers that came along first, then one message for each
(campaign, key). Only when that transaction has been committed may anyone be told yes (promise P1). A message that
nobody could ever get is closed at once, with its reason; everything else waits in its lane's queue.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from config.addresses import normalise
from dispatcher.core import audience
from dispatcher.core.audience import Candidate, Skip
from dispatcher.core.lanes import Route, route
from dispatcher.core.model import Campaign, Category, Customer, Priority, SkipReason
from dispatcher.core.states import State
from dispatcher.intake.facts import update_customers
from dispatcher.intake.requests import SendRequest
from dispatcher.policy import Policy
from dispatcher.store import changes, controls, customers, domains, incidents, life, queue
from dispatcher.store.campaigns import StoredCampaign
from dispatcher.store.changes import Change
from dispatcher.store.incidents import Thread
from dispatcher.store.queue import NewMessage
from dispatcher.store.tallies import Deltas, apply


class Answer(StrEnum):
    """What became of a request."""

    QUEUED = "queued"
    SKIPPED = "skipped"               # taken, and closed at once; the reason says why
    DUPLICATE = "duplicate"           # the same request was taken before
    CONFLICT = "conflict"             # the key was taken before with other content; the first stands
    UNKNOWN_CAMPAIGN = "unknown_campaign"
    CANCELED_CAMPAIGN = "canceled_campaign"


REFUSED = frozenset({Answer.CONFLICT, Answer.UNKNOWN_CAMPAIGN, Answer.CANCELED_CAMPAIGN})


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one request."""

    answer: Answer
    reason: str = ""                  # of a skip
    state: str = ""                   # of a duplicate or conflict: how the message stands that was taken before


@dataclass(frozen=True, slots=True)
class Known:
    """A campaign as requests may name it: its current version, and how the store keeps it."""

    campaign: Campaign
    stored: StoredCampaign


@dataclass(slots=True)
class _Facts:
    """What is known about the customers of one campaign's requests."""

    customers: Mapping[str, Customer]
    suppressed: dict[tuple[str, str], str]
    thread: Thread                    # what they have heard of the campaign's incident
    stale: bool
    new: list[NewMessage] = field(default_factory=list)


async def accept(
    tx: AsyncConnection, requests: Sequence[SendRequest], known: Mapping[str, Known], policy: Policy, now: int
) -> list[Receipt]:
    """Take a chunk of requests (at most some hundreds), in order; one receipt each."""
    # A clock that was put back, or is not set yet, must not make what is accepted expire the sooner.
    now = max(now, await life.seen_at(tx))
    await life.mark(tx, now)
    deltas = Deltas()
    updates = [one.customer_update for one in requests if one.customer_update is not None]
    if updates:
        await update_customers(tx, updates, policy, now)
    receipts: list[Receipt | None] = [None] * len(requests)
    by_campaign: defaultdict[str, list[int]] = defaultdict(list)
    for position, request in enumerate(requests):
        found = known.get(request.campaign)
        if found is None:
            receipts[position] = Receipt(Answer.UNKNOWN_CAMPAIGN)
        elif found.stored.canceled_at is not None:
            receipts[position] = Receipt(Answer.CANCELED_CAMPAIGN)
        else:
            by_campaign[request.campaign].append(position)
    for campaign, positions in by_campaign.items():
        some = [requests[position] for position in positions]
        answers = await _accept_one_campaign(tx, some, known[campaign], policy, now, deltas)
        for position, receipt in zip(positions, answers, strict=True):
            receipts[position] = receipt
    await apply(tx, deltas)
    return [receipt for receipt in receipts if receipt is not None]


def summary(receipts: Sequence[Receipt]) -> dict[str, int]:
    """How many of each answer."""
    return dict(Counter(str(receipt.answer) for receipt in receipts))


async def _accept_one_campaign(
    tx: AsyncConnection, requests: Sequence[SendRequest], known: Known, policy: Policy, now: int, deltas: Deltas
) -> list[Receipt]:
    taken = await queue.digests(tx, known.campaign.id, [request.key for request in requests])
    facts = await _facts(tx, [request.customer_id for request in requests], known, policy, now)
    receipts = []
    for request in requests:
        before = taken.get(request.key)
        if before is not None:
            digest, state = before
            receipts.append(Receipt(Answer.DUPLICATE if digest == request.digest else Answer.CONFLICT, state=state))
            continue
        message = _judge(request, known.campaign, facts, policy, now)
        taken[request.key] = (request.digest, State.SKIPPED if message.skipped else State.QUEUED)
        facts.new.append(message)
        receipts.append(Receipt(Answer.SKIPPED, message.skipped) if message.skipped else Receipt(Answer.QUEUED))
    await queue.add(tx, facts.new, now, deltas)
    reached = [one.customer for one in facts.new if one.skipped != SkipReason.NO_SEGMENT]
    await _supersede(tx, known.campaign, reached, now, deltas)
    return receipts


async def _facts(tx: AsyncConnection, ids: Sequence[str], known: Known, policy: Policy, now: int) -> _Facts:
    campaign = known.campaign
    found = await customers.get(tx, ids)
    addresses = [normalise(customer.email) for customer in found.values() if customer.email]
    await domains.ask(tx, policy.questions(addresses), now)
    return _Facts(
        customers=found,
        suppressed=await controls.suppressed(tx, addresses),
        thread=await incidents.thread(tx, campaign, ids),
        stale=audience.is_stale(await customers.facts_at(tx), policy.stale_after, now),
    )


def _judge(request: SendRequest, campaign: Campaign, facts: _Facts, policy: Policy, now: int) -> NewMessage:
    """The message of a request, as it stands now. What only time can change is not asked yet."""
    customer = facts.customers.get(request.customer_id)
    informed = request.customer_id in facts.thread.informed
    meant = audience.as_owed(campaign, informed=informed)
    way = route(meant, customer, policy.channels, policy.provider_of) if customer is not None else Route()
    expires_at = _first(request.expires_at, None if campaign.useful_for is None else now + campaign.useful_for)
    verdict = audience.verdict(
        Candidate(
            campaign=campaign, customer=customer, route=way, expires_at=expires_at,
            suppressed=controls.reason_for(facts.suppressed, normalise(way.address), campaign.category)
            if way.address else "",
            superseded=facts.thread.overtaken(request.customer_id, campaign.sequence), informed=informed,
        ),
        policy.rules, now,
    )
    skipped = verdict.reason if isinstance(verdict, Skip) else ""
    if skipped == SkipReason.INACTIVE and facts.stale:
        skipped = ""   # promise P10: from old facts nobody is called inactive; the release will ask again
    priority = request.priority
    if priority is None:
        priority = _priority(campaign, informed=informed)
    return NewMessage(
        campaign=campaign.id, key=request.key, customer=request.customer_id, digest=request.digest,
        data=request.data_json, priority=priority, expires_at=expires_at, not_before=request.not_before or 0,
        segment=way.segment, rank=way.rank, lane=way.lane, skipped=skipped,
    )


def _priority(campaign: Campaign, *, informed: bool) -> Priority:
    """The priority of a message that was given none: who waits to hear that it is over comes before new people."""
    usual = Priority.HIGH if campaign.category is Category.CRITICAL else Priority.NORMAL
    return Priority(usual - 1) if audience.is_owed(campaign, informed=informed) else usual


def _first(*instants: int | None) -> int | None:
    return min((instant for instant in instants if instant is not None), default=None)


async def _supersede(
    tx: AsyncConnection, campaign: Campaign, reached: Sequence[str], now: int, deltas: Deltas
) -> None:
    """Earlier updates of an incident that these customers have not got yet are closed, in the same transaction."""
    if not campaign.incident or not reached:
        return
    earlier = await incidents.earlier(tx, campaign.incident, campaign.sequence)
    if not earlier:
        return
    found = await queue.queued_of(tx, reached, earlier)
    for state in {state for _, state in found}:
        overtaken = [message for message, its_state in found if its_state == state]
        await queue.skip(tx, overtaken, SkipReason.SUPERSEDED, now, deltas, before=state)
    await changes.tell(tx, Change.STOPS)      # some may have been released
