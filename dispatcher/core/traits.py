"""What acceptance looks at of a customer: who is alike in all of it gets the same answer.

So of thousands who come in together, one of each kind is asked about, by the same functions as ever (core/audience.py,
core/lanes.py), and the database puts the others beside it. Of whom these traits do not tell enough - an address that is
suppressed, or needs care to be compared - the address itself is a trait, so that they are a kind of their own.
"""

from dataclasses import dataclass
from typing import Any

from dispatcher.core.audience import Rules
from dispatcher.core.model import Campaign, Category, Customer
from dispatcher.core.segments import FIELDS

ANYONE = "someone"
"""The local part of an address that stands for all others of its domain."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Which traits a campaign's acceptance looks at, beside a customer's address."""

    activity: tuple[str, ...]       # the kinds that count
    fields: tuple[str, ...] = ()    # of customers, or attributes: what it goes by
    consent: bool = False
    timezone: bool = False
    incident: bool = False          # what they have heard of the incident; `closes`: whether they got anything of it
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Traits:
    """What is seen of a kind of customer."""

    address: str = ""               # "": none; "@acme.example": any there that is not a kind of its own
    active: bool = False            # some counted activity lies within audience.window
    latest: int = 0                 # the highest sequence of the incident that they have a message of
    informed: bool = False          # they got an earlier update, or perhaps did
    consent: frozenset[str] = frozenset()
    timezone: str = ""
    fields: tuple[str, ...] = ()    # as in Sight
    known: bool = True              # False: nobody of that id is


def sight_of(campaign: Campaign, rules: Rules) -> Sight:
    """What acceptance looks at for a campaign."""
    fields = {*campaign.where, campaign.segment_by} - {""}
    return Sight(
        activity=tuple(rules.activity), fields=tuple(sorted(fields)),
        consent=campaign.category is Category.PROMOTIONAL,
        # Quiet hours close what would expire in them.
        timezone=campaign.category is not Category.CRITICAL and rules.quiet_hours is not None,
        incident=bool(campaign.incident), closes=bool(campaign.incident) and campaign.closes,
    )


def stand_in(traits: Traits, sight: Sight, now: int) -> Customer | None:
    """A customer who stands for all with these traits; None for those who are not known."""
    if not traits.known:
        return None
    seen = dict(zip(sight.fields, traits.fields, strict=True))
    fields: dict[str, Any] = {name: value for name, value in seen.items() if name in FIELDS}
    if traits.active:
        fields[f"last_{sight.activity[0]}_at"] = now
    return Customer(
        id="", email=ANYONE + traits.address if traits.address.startswith("@") else traits.address,
        timezone=traits.timezone, consent=traits.consent,
        attributes={name: value for name, value in seen.items() if name not in FIELDS and value}, **fields,
    )
