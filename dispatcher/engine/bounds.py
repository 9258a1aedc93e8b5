"""The bounds over several lanes as they stand: read with the rest of the standing, for release and plan alike.

Costs nothing to speak of where nothing is bounded: the campaigns that have something queued are asked, from memory.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Campaign
from dispatcher.core.quotas import HOUR, PUNCTUAL, UNBOUND, Bounds, Place, Trial
from dispatcher.engine.book import CampaignBook
from dispatcher.policy import Policy, replies_for
from dispatcher.store import campaigns, pacing, plans
from dispatcher.store.canaries import CanaryRow, CanaryState

TESTED = "canary: its first messages are out, and what becomes of them is waited for"


@dataclass(frozen=True, slots=True)
class Sight:
    """What bounds are read by."""

    policy: Policy
    book: CampaignBook
    versions: Mapping[str, int]                 # campaign -> its current version
    releasing: Callable[[str], bool]            # whether a lane releases anything just now
    blocked: Collection[str]                    # campaigns of which nothing is released just now
    now: int
    whole: bool = True                          # of what was released each instant, as a plan needs it, or only sums


def waiting(rows: Mapping[str, CanaryRow]) -> dict[str, int]:
    """The campaigns whose canary is waited for, and until when."""
    return {name: row.until or 0 for name, row in rows.items() if row.state is CanaryState.WAITING}


async def read_bounds(tx: AsyncConnection, sight: Sight, rows: Mapping[str, CanaryRow]) -> Bounds:
    """The bounds of all that is due, and what stands against them; `rows` are the canaries that have begun."""
    there = {one.campaign: await sight.book.brief(tx, one.campaign, sight.versions[one.campaign])
             for one in await plans.queued_campaigns(tx) if one.campaign in sight.versions}
    if not sight.policy.replies and all(one.canary is None and one.replies is None for one in there.values()):
        return UNBOUND
    due = {place: count for place, count in (await pacing.places(tx)).items() if place[1] in there}
    trials = {name: trial for name, one in there.items()
              if (trial := _trial(one, rows.get(name))) is not None}
    per_hour: dict[str, int] = {}
    groups: dict[Place, tuple[str, ...]] = {}
    for place in due:
        _note(sight.policy, there[place[1]], place, per_hour, groups)
    if not per_hour:
        return Bounds(canaries=trials)
    queued: Counter[tuple[str, str]] = Counter()
    for place, count in due.items():
        if place[1] not in sight.blocked and sight.releasing(place[0]):
            queued.update({(group, place[0]): count for group in groups.get(place, ())})
    return Bounds(per_hour, groups, queued, await _released(tx, sight, there, per_hour), trials)


def _trial(campaign: Campaign, row: CanaryRow | None) -> Trial | None:
    """What is left of a campaign's canary; None where it has none, or all of it is out."""
    if campaign.canary is None or (row is not None and row.state is not CanaryState.OUT):
        return None
    released = row.released if row is not None else 0
    ends = row.until if row is not None else None
    return Trial(max(campaign.canary.size - released, 1), campaign.canary.wait, ends or 0)


def _note(
    policy: Policy, campaign: Campaign, place: Place, per_hour: dict[str, int], groups: dict[Place, tuple[str, ...]]
) -> None:
    found = replies_for(policy, campaign, place[0], place[2])
    if found:
        groups[place] = tuple(found)
        per_hour.update(found)


async def _released(
    tx: AsyncConnection, sight: Sight, there: Mapping[str, Campaign], per_hour: Mapping[str, int]
) -> list[tuple[int, str, int]]:
    """What was released of these groups within the hour before now, oldest first."""
    after = sight.now - HOUR - PUNCTUAL
    known = dict(there)
    if sight.policy.replies:        # other campaigns may have the same reply address, with nothing due any more
        others = [name for name in await pacing.released_campaigns(tx, after) if name not in known]
        for name, version in (await campaigns.versions(tx, others)).items():
            known[name] = await sight.book.brief(tx, name, version)
    paced = known if sight.policy.replies else {name for name, one in known.items() if one.replies is not None}
    # One slot, released now, needs of the hour up to now only sums; a second of it may have passed meanwhile.
    summed = None if sight.whole else sight.now - HOUR
    found: list[tuple[int, str, int]] = []
    for (lane, campaign, segment), at, size in await pacing.released(tx, after, paced, summed):
        groups = replies_for(sight.policy, known[campaign], lane, segment)
        found += [(at, group, size) for group in groups if group in per_hour]
    return sorted(found)
