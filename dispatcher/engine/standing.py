"""What covers whole lanes and campaigns at once: holds, cancellation, approval, stale facts, expansion under way.

A clock that cannot be true is a hold of everything, of the kind "clock".

Read at the start of a release, in its transaction: a hold that was committed before covers it (promise P6).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core import audience, clocks
from dispatcher.core.model import Category
from dispatcher.core.quotas import UNBOUND, Bounds
from dispatcher.engine.book import CampaignBook
from dispatcher.engine.bounds import TESTED, Sight, read_bounds, waiting
from dispatcher.policy import Policy, split_lane
from dispatcher.store import campaigns, canaries, controls, customers, lanes, life
from dispatcher.store.campaigns import StoredCampaign
from dispatcher.store.canaries import CanaryRow
from dispatcher.store.controls import Hold

STALE = "nothing about customers or their activity has come in for too long"
UNAPPROVED = "waits for approval"
EXPANDING = "its audience is still being put on the queue"
OVERTAKEN = "the audience of a later update of its incident, {}, is still being put on the queue"
CLOCK = "clock"
"""The kind of the hold that a clock brings about which says less than the store has seen."""
_FOR_GOOD = 2**63


@dataclass(frozen=True, slots=True)
class Standing:
    """Who may not release anything just now, and why."""

    stored: Mapping[str, StoredCampaign]
    holds: Sequence[Hold]
    blocked: Mapping[str, str]              # campaign -> why none of its messages is released
    stale: bool
    resumes: Mapping[str, int]              # campaign -> when it goes on by itself, where that is known
    bounds: Bounds = UNBOUND                # over several lanes: what people can answer, canaries

    def allows(self, campaign: str) -> bool:
        """Whether messages of a campaign may be released."""
        return campaign in self.stored and campaign not in self.blocked

    def lane_hold(self, lane: str) -> Hold | None:
        """The hold that covers a lane, by name, sender or everything."""
        names = {(CLOCK, ""), ("everything", ""), ("sender", split_lane(lane).sender), ("lane", lane)}
        return _longest([hold for hold in self.holds if (hold.kind, hold.name) in names])

    def canceled(self, campaign: str) -> bool:
        """Whether a campaign has ended for good: its messages are looked at to be closed."""
        return self.stored[campaign].canceled_at is not None

    def version(self, campaign: str) -> int:
        """A campaign's current version."""
        return self.stored[campaign].version

    def category(self, campaign: str) -> Category:
        """A campaign's category."""
        return Category(self.stored[campaign].category)

    def incident(self, campaign: str) -> str:
        """A campaign's incident, "" for none."""
        return self.stored[campaign].incident


async def read_standing(tx: AsyncConnection, policy: Policy, book: CampaignBook, now: int) -> Standing:
    """The standing of everything, now."""
    return await _read(tx, policy, book, await campaigns.every(tx), now, whole=True)


async def standing_of_queued(tx: AsyncConnection, policy: Policy, book: CampaignBook, now: int) -> Standing:
    """What a release of now goes by: the standing of what has something queued, not of all there ever was."""
    return await _read(tx, policy, book, await campaigns.going(tx), now, whole=False)


async def standing_of_released(tx: AsyncConnection, names: Collection[str], now: int) -> Standing:
    """What takes back messages of these campaigns that are released already: less than what keeps others in the queue.

    Lanes, campaigns and categories that are held, canaries that failed, campaigns that were canceled or overtaken.
    """
    stored = {one.id: one for one in await campaigns.going(tx, names)}
    failed = {hold.name: hold for hold in await canaries.held(tx)}
    holds = [*await _clock_hold(tx, now), *await controls.current_holds(tx, now), *await lanes.held(tx, now)]
    held = {(hold.kind, hold.name): hold for hold in holds}
    blocked = _overtaken(stored, {one.campaign for one in await campaigns.unfinished_expansions(tx)})
    for name, one in stored.items():
        hold = failed.get(name) or held.get(("campaign", name)) or held.get(("category", one.category))
        if hold is not None:
            blocked[name] = hold.reason
    return Standing(stored, holds, blocked, stale=False, resumes={})


async def _read(
    tx: AsyncConnection, policy: Policy, book: CampaignBook, some: Sequence[StoredCampaign], now: int, *, whole: bool
) -> Standing:
    stored = {one.id: one for one in some}
    failed = {hold.name: hold for hold in await canaries.held(tx)}
    holds = [*await _clock_hold(tx, now), *await controls.current_holds(tx, now), *await lanes.held(tx, now)]
    stale = audience.is_stale(await customers.facts_at(tx), policy.stale_after, now)
    expanding = {one.campaign for one in await campaigns.unfinished_expansions(tx)}
    overtaken = _overtaken(stored, expanding)
    held = {(hold.kind, hold.name): hold for hold in holds}
    blocked: dict[str, str] = {}
    resumes: dict[str, int] = {}
    for name, one in stored.items():
        covering = (failed.get(name), held.get(("campaign", name)), held.get(("category", one.category)))
        hold = _longest([hold for hold in covering if hold is not None])
        if one.canceled_at is not None:
            continue
        if name in expanding:
            blocked[name] = EXPANDING
        elif name in overtaken:
            blocked[name] = overtaken[name]
        elif policy.settings.campaigns.approval and one.approved_at is None:
            blocked[name] = UNAPPROVED
        elif stale and not (await book.brief(tx, name, one.version)).everyone:
            blocked[name] = STALE
        if hold is not None:
            if hold.until is not None and name not in blocked:
                resumes[name] = hold.until      # else the end of the hold alone does not let it go on
            blocked[name] = hold.reason
    testing = await canaries.every(tx)
    _wait_for_canaries(testing, stored, blocked, resumes)
    standing = Standing(stored, [*holds, *failed.values()], blocked, stale, resumes)
    sight = Sight(policy, book, {name: one.version for name, one in stored.items()},
                  lambda lane: standing.lane_hold(lane) is None and policy.ramp_of(lane) is not None, blocked, now,
                  whole)
    return replace(standing, bounds=replace(await read_bounds(tx, sight, testing), waits=waiting(testing)))


def _wait_for_canaries(
    testing: Mapping[str, CanaryRow], stored: Mapping[str, StoredCampaign], blocked: dict[str, str],
    resumes: dict[str, int],
) -> None:
    """Nothing of a campaign leaves while its canary is waited for; a plan assumes that it passes."""
    for name, until in waiting(testing).items():
        if name not in stored:
            continue
        if name not in blocked and stored[name].canceled_at is None:
            blocked[name] = TESTED
            resumes[name] = until
        elif name in resumes:
            resumes[name] = max(resumes[name], until)


async def _clock_hold(tx: AsyncConnection, now: int) -> list[Hold]:
    """The hold of everything by a clock that cannot be true; it ends when the clock has come up to the mark."""
    seen_at = await life.seen_at(tx)
    why = clocks.behind(seen_at, now)
    return [Hold(CLOCK, "", why, "dispatcher", now, clocks.comes_up_at(seen_at, now))] if why else []


def _overtaken(stored: Mapping[str, StoredCampaign], expanding: Collection[str]) -> dict[str, str]:
    """Campaign -> why, of those that wait for a later update of their incident to be on the queue."""
    found = {}
    for later in (stored[name] for name in sorted(expanding)):
        if later.incident and later.canceled_at is None:
            found.update({name: OVERTAKEN.format(later.id) for name, one in stored.items()
                          if one.incident == later.incident and one.sequence < later.sequence})
    return found


def _longest(holds: Sequence[Hold]) -> Hold | None:
    """Of the holds that cover something the one that holds it longest."""
    return max(holds, key=lambda hold: _FOR_GOOD if hold.until is None else hold.until, default=None)
