"""A row about something that a customer did -> an activity: `customer`, `kind`, `at`. Pure: no store, no clock."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from dispatcher.core.audience import CLOCK_SKEW
from dispatcher.core.times import parse_instant_or_date
from dispatcher.intake.strict import RowFault, check_id, check_text, unknown_key

_COLUMNS = ("customer", "kind", "at")


class Kind(StrEnum):
    """What a customer did; each has its own last time, and `[audience] activity` says which of them count."""

    PRODUCT = "product"
    ORDER = "order"
    SUPPORT = "support"


_KINDS = {kind.value: kind for kind in Kind}


class Activity(NamedTuple):
    """One customer did one thing at one instant."""

    customer: str
    kind: Kind
    at: int


def parse_activity(values: Mapping[str, Any], now: int) -> Activity:
    """Read one row; raises RowFault, also for a time more than five minutes ahead of `now`."""
    for name in values:
        if name not in _COLUMNS:
            raise unknown_key(name, _COLUMNS)
    for name in _COLUMNS:
        if name not in values:
            raise RowFault(name, "is missing; an activity has customer, kind and at")
    kind = _KINDS.get(check_text("kind", values["kind"], 500))
    if kind is None:
        raise RowFault("kind", f"is none of {', '.join(Kind)}")
    text = check_text("at", values["at"], 500)
    try:
        at = parse_instant_or_date(text)
    except ValueError as error:
        raise RowFault("at", str(error)) from None
    if at > now + CLOCK_SKEW:
        raise RowFault("at", "lies in the future, so it does not count as activity")
    return Activity(check_id("customer", values["customer"]), kind, at)
