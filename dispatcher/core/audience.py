"""Who may get a message now: one verdict, `send`, `wait` until, or `skip` for a reason.

The same function is asked at acceptance, ahead of a slot and at release (promise P6: a customer is active at release,
not only when the message was queued). The order of the questions is the order of `verdict`; the first that closes a
message gives its reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dispatcher.core.lanes import Route
from dispatcher.core.model import Campaign, Category, Customer, SkipReason
from dispatcher.core.times import quiet_until

UNSUBSCRIBE: Final = "unsubscribe"
CLOCK_SKEW: Final = 300_000
"""Another machine's clock may be five minutes ahead; an activity further in the future is none."""


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many messages of a category to one customer within so many milliseconds."""

    most: int
    within: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says about audiences."""

    active_within: int
    activity: tuple[str, ...]
    quiet_hours: tuple[int, int] | None = None
    default_timezone: str = "UTC"
    caps: Mapping[Category, Cap] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """All that a verdict looks at."""

    campaign: Campaign
    customer: Customer | None
    route: Route
    expires_at: int | None = None
    suppressed: str = ""                 # the suppression's reason, where one covers address and category
    canceled: bool = False
    superseded: bool = False
    informed: bool = False               # the customer has got an earlier update of the campaign's incident
    contacts: Sequence[int] = ()         # when the customer got messages of this category


@dataclass(frozen=True, slots=True)
class Send:
    """Release it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: look again at that instant."""

    until: int


@dataclass(frozen=True, slots=True)
class Skip:
    """Never: close it for this reason."""

    reason: SkipReason


Verdict = Send | Wait | Skip
SEND: Final = Send()


def last_activity(customer: Customer, kinds: Sequence[str], now: int) -> int | None:
    """The last counted activity that is not in the future."""
    known = {"product": customer.last_product_at, "order": customer.last_order_at, "support": customer.last_support_at}
    past = [at for kind in kinds if (at := known[kind]) is not None and at <= now + CLOCK_SKEW]
    return max(past, default=None)


def window(rules: Rules, now: int) -> tuple[int, int]:
    """From when to when activity makes a customer active now, both included.

    Who is active is decided here and nowhere else.
    """
    return now - rules.active_within, now + CLOCK_SKEW


def is_active(customer: Customer, rules: Rules, now: int) -> bool:
    """Whether some counted activity lies within the window."""
    last = last_activity(customer, rules.activity, now)
    return last is not None and last >= window(rules, now)[0]


def is_stale(facts_at: int | None, stale_after: int, now: int) -> bool:
    """Whether nothing about customers has come in for so long that nobody may be called inactive (promise P10)."""
    return facts_at is None or now - facts_at > stale_after


def is_owed(campaign: Campaign, *, informed: bool) -> bool:
    """Whether a customer gets a campaign whatever else is counted: they were told that it began, so that it is over.

    Neither inactivity nor a cap nor the campaign's `where` keeps the closing update of an incident from those who got
    an earlier one. What they or we have stopped does, and quiet hours.
    """
    return campaign.closes and informed


def as_owed(campaign: Campaign, *, informed: bool) -> Campaign:
    """The campaign by which a customer finds their segment: without its `where` for those to whom it is owed."""
    return replace(campaign, where={}) if campaign.where and is_owed(campaign, informed=informed) else campaign


def verdict(candidate: Candidate, rules: Rules, now: int) -> Verdict:
    """Whether the message may leave now. Reaching a person too often or too late counts as not reaching them."""
    reason = _closed(candidate, rules, now)
    if reason is not None:
        return Skip(reason)
    if candidate.customer is None or candidate.campaign.category is Category.CRITICAL or rules.quiet_hours is None:
        return SEND
    until = quiet_until(now, rules.quiet_hours, candidate.customer.timezone or rules.default_timezone)
    if until is None:
        return SEND
    if candidate.expires_at is not None and until >= candidate.expires_at:
        return Skip(SkipReason.EXPIRED)
    return Wait(until)


def _closed(candidate: Candidate, rules: Rules, now: int) -> SkipReason | None:
    """The reason to close a message for good, in the order in which reasons are told."""
    if candidate.canceled:
        return SkipReason.CANCELED
    if candidate.expires_at is not None and candidate.expires_at <= now:
        return SkipReason.EXPIRED
    if candidate.superseded:
        return SkipReason.SUPERSEDED
    if candidate.customer is None:
        return SkipReason.UNKNOWN_CUSTOMER
    return _not_meant(candidate, candidate.customer, rules, now)


def _not_meant(candidate: Candidate, customer: Customer, rules: Rules, now: int) -> SkipReason | None:
    """Why this customer must not get it, if so."""
    if not candidate.route.segment:
        return SkipReason.NO_SEGMENT
    if not candidate.route.lane:
        return SkipReason.NO_ADDRESS
    if candidate.suppressed:
        return SkipReason.UNSUBSCRIBED if candidate.suppressed == UNSUBSCRIBE else SkipReason.SUPPRESSED
    return _unwanted(candidate, customer, rules, now)


def _unwanted(candidate: Candidate, customer: Customer, rules: Rules, now: int) -> SkipReason | None:
    """Why it would come uncalled for: without consent, to someone inactive, or too often."""
    campaign = candidate.campaign
    if campaign.category is Category.PROMOTIONAL and Category.PROMOTIONAL not in customer.consent:
        return SkipReason.NO_CONSENT
    if is_owed(campaign, informed=candidate.informed):
        return None
    if not campaign.everyone and not is_active(customer, rules, now):
        return SkipReason.INACTIVE
    cap = rules.caps.get(campaign.category)
    if cap is not None and sum(now - at < cap.within for at in candidate.contacts) >= cap.most:
        return SkipReason.CAPPED
    return None
