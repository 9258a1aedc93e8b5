"""The one door of the send queue: whatever comes in, by file, command or network, ends here.

accept() takes a chunk of requests inside one transaction: customers that came along first, then one message for each
(campaign, key). Only when that transaction has been committed may anyone be told yes (promise P1). A message that
nobody could ever get is closed at once, with its reason; everything else waits in its lane's queue. accept_page() does
the same for a campaign and the customers on a page, of whom nothing but their kinds leaves the database.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import SkipReason
from dispatcher.core.states import State
from dispatcher.intake.facts import update_customers
from dispatcher.intake.judging import Judge, Known, judge_for
from dispatcher.intake.requests import SendRequest, asks_the_same
from dispatcher.policy import Policy
from dispatcher.store import arrivals, changes, incidents, life, queue
from dispatcher.store.arrivals import Added, Arrival, Stand
from dispatcher.store.changes import Change
from dispatcher.store.groups import Kind, Page
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


_QUEUED: Final = Receipt(Answer.QUEUED)
_UNKNOWN: Final = Receipt(Answer.UNKNOWN_CAMPAIGN)
_CANCELED: Final = Receipt(Answer.CANCELED_CAMPAIGN)


@dataclass(frozen=True, slots=True)
class Came:
    """What a page came to: (answer, reason of a skip or state of an earlier message) -> how many."""

    answers: Counter[tuple[str, str]]
    reached: Sequence[str]            # of an incident's update: whom it overtakes earlier ones for


NOTHING: Final = Came(Counter(), ())


async def accept(
    tx: AsyncConnection, requests: Sequence[SendRequest], known: Mapping[str, Known], policy: Policy, now: int
) -> list[Receipt]:
    """Take a chunk of requests (at most some thousands), in order; one receipt each."""
    now = await _the_latest(tx, now)
    deltas = Deltas()
    updates = [one.customer_update for one in requests if one.customer_update is not None]
    if updates:
        await update_customers(tx, updates, policy, now)
    receipts: list[Receipt | None] = [None] * len(requests)
    by_campaign: defaultdict[str, list[int]] = defaultdict(list)
    for place, request in enumerate(requests):
        by_campaign[request.campaign].append(place)
    for campaign, places in by_campaign.items():
        found = known.get(campaign)
        if found is None:
            answers = [_UNKNOWN] * len(places)
        elif found.stored.canceled_at is not None:
            answers = [_CANCELED] * len(places)
        else:
            some = [requests[place] for place in places]
            answers = await _accept_one_campaign(tx, some, found, policy, now, deltas)
        for place, receipt in zip(places, answers, strict=True):
            receipts[place] = receipt
    await apply(tx, deltas)
    return [receipt for receipt in receipts if receipt is not None]


async def accept_page(tx: AsyncConnection, page: Page, known: Known, policy: Policy, now: int) -> Came:
    """Take the audience of a campaign on a page of customers: those whom it is for, or to whom it is owed."""
    now = await _the_latest(tx, now)
    deltas = Deltas()
    campaign = known.campaign
    judge, kinds = await judge_for(tx, page, campaign, policy, now)
    meant = [kind for kind in kinds if judge.is_meant(kind.traits)]
    stands = {kind.mark: judge.stand(kind.traits) for kind in meant}
    if not stands:
        return NOTHING
    added = await arrivals.add_page(tx, campaign.id, page, judge.occasion, stands, now)
    mine = Deltas()
    await arrivals.count(tx, campaign.id, added, mine)
    answers: Counter[tuple[str, str]] = Counter()
    for (*_, state, reason), number in mine.items():
        answers[Answer.SKIPPED if state == State.SKIPPED else Answer.QUEUED, reason] += number
    if added.count < sum(kind.count for kind in meant):
        earlier = await arrivals.before(tx, campaign.id, page, judge.occasion, list(stands), added)
        for state, number in earlier.items():
            answers[Answer.DUPLICATE, state] += number
    deltas.update(mine)
    await _supersede(tx, known, added, now, deltas)
    await apply(tx, deltas)
    return Came(answers, await incidents.reached(tx, campaign, (added.behind, added.count)))


def summary(receipts: Sequence[Receipt]) -> dict[str, int]:
    """How many of each answer."""
    return dict(Counter(str(receipt.answer) for receipt in receipts))


async def _the_latest(tx: AsyncConnection, now: int) -> int:
    """A clock that was put back, or is not set yet, must not make what is accepted expire the sooner."""
    now = max(now, await life.seen_at(tx))
    await life.mark(tx, now)
    return now


async def _accept_one_campaign(
    tx: AsyncConnection, requests: Sequence[SendRequest], known: Known, policy: Policy, now: int, deltas: Deltas
) -> list[Receipt]:
    campaign = known.campaign
    judge, kinds = await judge_for(tx, [request.customer_id for request in requests], campaign, policy, now)
    stands, of = _stands(judge, kinds, requests)
    some = [Arrival(one.key, one.customer_id, one.digest, one.data_json, one.not_before or 0, stand)
            for one, stand in zip(requests, of, strict=True)]
    added = await arrivals.add(tx, campaign.id, some, stands, now)
    if added.count == len(some):
        arrivals.count_new(campaign.id, some, stands, now, deltas)
    else:
        await arrivals.count(tx, campaign.id, added, deltas)
    receipt_of = [Receipt(Answer.SKIPPED, stand.skipped) if stand.skipped else _QUEUED for stand in stands]
    receipts = [receipt_of[number] for number in of]
    if added.count < len(requests):
        await _tell_earlier(tx, campaign.id, requests, added, receipts)
    await _supersede(tx, known, added, now, deltas)
    return receipts


def _stands(judge: Judge, kinds: Sequence[Kind], requests: Sequence[SendRequest]) -> tuple[list[Stand], list[int]]:
    """How requests come to stand, and which of these each of them does."""
    stands: list[Stand] = []
    of = [0] * len(requests)
    terms = [(request.priority, request.expires_at) for request in requests]
    for kind in kinds:
        # Of one kind of customers, few ways of asking.
        asked_for = dict.fromkeys(terms[place] for place in kind.places)
        numbers = {asked: number for number, asked in enumerate(asked_for, len(stands))}
        stands += [judge.stand(kind.traits, *asked) for asked in numbers]
        for place in kind.places:
            of[place] = numbers[terms[place]]
    return stands, of


async def _tell_earlier(
    tx: AsyncConnection, campaign: str, requests: Sequence[SendRequest], added: Added, receipts: list[Receipt]
) -> None:
    """Put the right receipt where a key was taken before, or is there twice."""
    taken = await queue.digests(tx, campaign, [request.key for request in requests], added.behind)
    for place, request in enumerate(requests):
        before = taken.get(request.key)
        if before is None:
            state = State.SKIPPED if receipts[place].answer is Answer.SKIPPED else State.QUEUED
            taken[request.key] = (request.digest, state)
        else:
            digest, state_then = before
            same = asks_the_same(request, digest)
            receipts[place] = Receipt(Answer.DUPLICATE if same else Answer.CONFLICT, state=state_then)


async def _supersede(tx: AsyncConnection, known: Known, added: Added, now: int, deltas: Deltas) -> None:
    """Earlier updates of an incident that these customers have not got yet are closed, in the same transaction."""
    campaign = known.campaign
    if not campaign.incident or not added.count:
        return
    earlier = await incidents.earlier(tx, campaign.incident, campaign.sequence)
    if not earlier:
        return
    found = await incidents.overtaken_by(tx, (added.behind, added.count), earlier)
    for state in {state for _, state in found}:
        overtaken = [message for message, its_state in found if its_state == state]
        await queue.skip(tx, overtaken, SkipReason.SUPERSEDED, now, deltas, before=state)
    await changes.tell(tx, Change.STOPS)      # some may have been released
