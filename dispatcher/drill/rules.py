"""What customers may expect, counted anew: nothing too late, nothing out of order, not too often, not at night. Pure.

Each rule is judged at the release of the batch that a hand-over belongs to, as the dispatcher judges it. Where the wall
clock was put in a drill its instants cannot be compared, and these rules are not judged.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from config.units import MILLISECONDS
from dispatcher.core.model import Campaign, Category
from dispatcher.core.times import quiet_until
from dispatcher.drill.evidence import Evidence, Told
from dispatcher.drill.placing import placed

_HOUR: Final = MILLISECONDS["h"]
_MOMENT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Outing:
    """The first release of a message that was then handed over."""

    at: int
    told: Told
    campaign: Campaign
    took: bool      # a server has a copy of it, from whatever attempt


def faults(evidence: Evidence) -> Iterator[str]:
    """Everything that a customer, or a campaign's author, could complain of."""
    outings = sorted(_outings(evidence), key=lambda one: one.at)
    yield from _too_late(outings)
    yield from _out_of_order(outings)
    yield from _at_night(evidence, outings)
    yield from _too_often(evidence, outings)
    yield from _canaries(outings)
    yield from _answers(evidence)


def _outings(evidence: Evidence) -> Iterator[Outing]:
    released = {(row.lane, row.slot): row.released_at for row in evidence.batches}
    took = {one.message for one in evidence.seen if one.took}
    out: set[int] = set()
    for one, lane, slot in placed(evidence):
        told = evidence.named[one.message]
        if told.id not in out and told.campaign in evidence.campaigns:
            out.add(told.id)
            yield Outing(released.get((lane, slot), one.at), told, evidence.campaigns[told.campaign],
                         one.message in took)


def _too_late(outings: list[Outing]) -> Iterator[str]:
    for one in outings:
        if one.told.expires_at is not None and one.at >= one.told.expires_at:
            yield f"a message of {one.campaign.id} was released after it had expired"


def _out_of_order(outings: list[Outing]) -> Iterator[str]:
    """Nobody hears an earlier update of an incident after a later one."""
    heard: dict[tuple[str, str], int] = {}
    for one in outings:
        if one.campaign.incident:
            place = one.told.customer, one.campaign.incident
            if one.campaign.sequence < heard.get(place, 0):
                yield f"update {one.campaign.sequence} of {one.campaign.incident} after update {heard[place]}"
            heard[place] = max(heard.get(place, 0), one.campaign.sequence)


def _at_night(evidence: Evidence, outings: list[Outing]) -> Iterator[str]:
    hours = evidence.policies[0].rules.quiet_hours
    for one in outings if hours is not None else ():
        zone = evidence.timezones.get(one.told.customer, "UTC")
        if hours is not None and one.campaign.category is not Category.CRITICAL \
                and quiet_until(one.at, hours, zone) is not None:
            yield f"a message of {one.campaign.id} was released in its customer's quiet hours"


def _too_often(evidence: Evidence, outings: list[Outing]) -> Iterator[str]:
    contacts: defaultdict[tuple[str, Category], list[int]] = defaultdict(list)
    for one in outings:
        cap = evidence.policies[0].rules.caps.get(one.campaign.category)
        if cap is not None and one.took:
            before = contacts[one.told.customer, one.campaign.category]
            owed = one.campaign.closes      # whoever heard of an incident hears of its end, however often that makes it
            if not owed and sum(one.at - at < cap.within for at in before) >= cap.most:
                yield f"a customer got more than {cap.most} {one.campaign.category} messages"
            before.append(one.at)


def _canaries(outings: list[Outing]) -> Iterator[str]:
    """No more than the canary leaves before its wait is over."""
    first: dict[str, int] = {}
    count: defaultdict[str, int] = defaultdict(int)
    for one in outings:
        canary = one.campaign.canary
        if canary is not None and one.at < first.setdefault(one.campaign.id, one.at) + canary.wait:
            count[one.campaign.id] += 1
            if count[one.campaign.id] > canary.size:
                yield f"more of {one.campaign.id} than its canary left within its wait"


def _answers(evidence: Evidence) -> Iterator[str]:
    """What is released in an hour of a campaign is no more than people can answer, further attempts counted too."""
    out: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for part in evidence.parts:
        campaign = evidence.campaigns.get(part.campaign)
        if campaign is not None and campaign.replies is not None:
            some = out[campaign.id]
            some.append((part.released_at, part.size))
            within = sum(size for at, size in some if part.released_at - at < _HOUR - _MOMENT)
            if within > campaign.replies.messages_per_hour:
                most = campaign.replies.messages_per_hour
                yield f"{within} of {campaign.id} in an hour, of which {most} can be answered"

