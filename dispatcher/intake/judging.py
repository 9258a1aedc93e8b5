"""How a message comes to stand when it is accepted, by the traits of its customer: its place in the queue, or a skip.

What only time can change is not asked yet: the release asks again, about the customer as they are then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from config.addresses import normalise
from dispatcher.core import audience
from dispatcher.core.audience import Candidate, Skip
from dispatcher.core.lanes import Route, route
from dispatcher.core.model import Campaign, Category, Customer, Priority, SkipReason
from dispatcher.core.segments import belongs
from dispatcher.core.traits import Traits, sight_of, stand_in
from dispatcher.policy import Policy
from dispatcher.store import controls, customers, domains, groups, incidents
from dispatcher.store.arrivals import Stand
from dispatcher.store.campaigns import StoredCampaign
from dispatcher.store.groups import Kind, Occasion, Page


@dataclass(frozen=True, slots=True)
class Known:
    """A campaign as requests may name it: its current version, and how the store keeps it."""

    campaign: Campaign
    stored: StoredCampaign


@dataclass(frozen=True, slots=True)
class Judge:
    """Stands, one kind of customers after the other."""

    campaign: Campaign
    policy: Policy
    now: int
    occasion: Occasion
    suppressed: Mapping[tuple[str, str], str]
    closed_at: int              # the sequence of the incident's last word, once that has been said
    stale: bool

    def is_meant(self, traits: Traits) -> bool:
        """Whether these customers are the campaign's audience, or it is owed to them."""
        customer = self._customer(traits)
        return customer is not None and (
            belongs(self.campaign.where, customer) or audience.is_owed(self.campaign, informed=traits.informed))

    def stand(self, traits: Traits, priority: int | None = None, expires_at: int | None = None) -> Stand:
        """How a message to such a customer stands; `expires_at` as it was asked for."""
        campaign, customer = self.campaign, self._customer(traits)
        meant = audience.as_owed(campaign, informed=traits.informed)
        way = route(meant, customer, self.policy.channels, self.policy.provider_of) if customer is not None else Route()
        until = _first(expires_at, None if campaign.useful_for is None else self.now + campaign.useful_for)
        verdict = audience.verdict(
            Candidate(
                campaign=campaign, customer=customer, route=way, expires_at=until,
                suppressed=self._why_suppressed(way.address) if way.address else "",
                superseded=max(traits.latest, self.closed_at) > campaign.sequence, informed=traits.informed,
            ),
            self.policy.rules, self.now,
        )
        skipped: str = verdict.reason if isinstance(verdict, Skip) else ""
        if skipped == SkipReason.INACTIVE and self.stale:
            skipped = ""   # promise P10: from old facts nobody is called inactive; the release will ask again
        if priority is None:
            priority = _priority(campaign, informed=traits.informed)
        return Stand(way.segment, way.rank, way.lane, priority, until, skipped)

    def _customer(self, traits: Traits) -> Customer | None:
        return stand_in(traits, self.occasion.sight, self.now)

    def _why_suppressed(self, address: str) -> str:
        return controls.reason_for(self.suppressed, normalise(address), self.campaign.category)


async def judge_for(
    tx: AsyncConnection, some: Sequence[str] | Page, campaign: Campaign, policy: Policy, now: int
) -> tuple[Judge, list[Kind]]:
    """The kinds of customers on a page, or among these, and who judges them for a campaign."""
    rules = policy.rules
    occasion = Occasion(sight_of(campaign, rules), audience.window(rules, now), campaign.incident, campaign.sequence)
    found = await groups.kinds(tx, some, occasion)
    addresses = {kind.traits.address for kind in found} - {""}
    await domains.ask(tx, policy.questions(addresses), now)
    alone = [normalise(address) for address in addresses if not address.startswith("@")]
    return Judge(
        campaign=campaign, policy=policy, now=now, occasion=occasion,
        suppressed=await controls.suppressed(tx, alone) if alone else {},
        closed_at=await incidents.closed_at(tx, campaign.incident) if campaign.incident else 0,
        stale=audience.is_stale(await customers.facts_at(tx), policy.stale_after, now),
    ), found


def _priority(campaign: Campaign, *, informed: bool) -> Priority:
    """The priority of a message that was given none: who waits to hear that it is over comes before new people."""
    usual = Priority.HIGH if campaign.category is Category.CRITICAL else Priority.NORMAL
    return Priority(usual - 1) if audience.is_owed(campaign, informed=informed) else usual


def _first(*instants: int | None) -> int | None:
    return min((instant for instant in instants if instant is not None), default=None)
