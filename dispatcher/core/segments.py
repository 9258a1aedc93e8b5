"""Which segment of a campaign a customer falls into, and its rank in the order of release.

A segment of `location` covers its whole sub-tree ("DE" covers "DE/Berlin"), and the most exact one wins whatever its
rank; every other field matches exactly. "*" is everyone else. No match: the customer is not meant.
"""

from collections.abc import Mapping, Sequence

from dispatcher.core.model import Campaign, Customer

EVERYONE_ELSE = "*"
FIELDS = ("location", "plan", "engagement", "locale")


def field_of(customer: Customer, name: str) -> str:
    """The customer's value of a field that campaigns may go by: one of FIELDS, or an attribute; "" when unknown."""
    if name in FIELDS:
        value: str = getattr(customer, name)
        return value
    return customer.attributes.get(name, "")


def covers(location: str, path: str) -> bool:
    """Whether a location lies at or below a path: "DE" covers "DE/Berlin", not "DEU"."""
    return path == location or path.startswith(location + "/")


def segment_of(campaign: Campaign, customer: Customer) -> tuple[str, int] | None:
    """The segment's name and rank (0 is released first), or None when the campaign is not meant for this customer."""
    if not belongs(campaign.where, customer):
        return None
    value = field_of(customer, campaign.segment_by) if campaign.segment_by else ""
    return match(value, campaign.segments, by_path=campaign.segment_by == "location")


def match(value: str, segments: Sequence[str], *, by_path: bool) -> tuple[str, int] | None:
    """The segment for a value among the campaign's segments, with its rank."""
    found: str | None = None
    if value:
        fitting = [name for name in segments if name == value or (by_path and covers(name, value))]
        found = max(fitting, key=len, default=None)
    if found is None and EVERYONE_ELSE in segments:
        found = EVERYONE_ELSE
    return None if found is None else (found, segments.index(found))


def belongs(where: Mapping[str, Sequence[str]], customer: Customer) -> bool:
    """Whether a customer is in a campaign's audience: each field of `where` has one of its values."""
    for name, values in where.items():
        value = field_of(customer, name)
        if name == "location":
            if not value or not any(covers(path, value) for path in values):
                return False
        elif value not in values:
            return False
    return True
