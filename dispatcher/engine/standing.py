"""What covers whole lanes and campaigns at once: holds, cancellation, approval, stale facts, expansion under way.

Read at the start of a release, in its transaction: a hold that was committed before covers it (promise P6).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core import audience
from dispatcher.core.model import Category
from dispatcher.engine.book import CampaignBook
from dispatcher.policy import Policy, split_lane
from dispatcher.store import campaigns, controls, customers
from dispatcher.store.campaigns import StoredCampaign
from dispatcher.store.controls import Hold

STALE = "nothing about customers or their activity has come in for too long"
UNAPPROVED = "waits for approval"
EXPANDING = "its audience is still being put on the queue"


@dataclass(frozen=True, slots=True)
class Standing:
    """Who may not release anything just now, and why."""

    stored: Mapping[str, StoredCampaign]
    holds: Sequence[Hold]
    blocked: Mapping[str, str]              # campaign -> why none of its messages is released
    stale: bool
    resumes: Mapping[str, int]              # campaign -> when it goes on by itself, where that is known

    def allows(self, campaign: str) -> bool:
        """Whether messages of a campaign may be released."""
        return campaign in self.stored and campaign not in self.blocked

    def lane_hold(self, lane: str) -> Hold | None:
        """The hold that covers a lane, by name, sender or everything."""
        names = {("everything", ""), ("sender", split_lane(lane).sender), ("lane", lane)}
        return next((hold for hold in self.holds if (hold.kind, hold.name) in names), None)

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
    stored = {one.id: one for one in await campaigns.every(tx)}
    holds = await controls.current_holds(tx, now)
    stale = audience.is_stale(await customers.facts_at(tx), policy.stale_after, now)
    expanding = {one.campaign for one in await campaigns.unfinished_expansions(tx)}
    held = {(hold.kind, hold.name): hold for hold in holds}
    blocked: dict[str, str] = {}
    resumes: dict[str, int] = {}
    for name, one in stored.items():
        hold = held.get(("campaign", name)) or held.get(("category", one.category))
        if one.canceled_at is not None:
            continue
        if hold is not None:
            blocked[name] = hold.reason
            if hold.until is not None:
                resumes[name] = hold.until
        elif name in expanding:
            blocked[name] = EXPANDING
        elif policy.settings.campaigns.approval and one.approved_at is None:
            blocked[name] = UNAPPROVED
        elif stale and not (await book.version(tx, name, one.version)).everyone:
            blocked[name] = STALE
    return Standing(stored, holds, blocked, stale, resumes)
