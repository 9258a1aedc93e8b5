"""A send request -> what accept() needs: one message for one customer, once per (campaign, key). Pure.

The digest covers what is to be sent (campaign, customer, data, priority, the two instants), so that the same key with
other content is seen as a conflict. Facts about the customer that come along are no part of it: they may have changed
when a producer sends the same request again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from dispatcher.core.model import Priority
from dispatcher.core.times import parse_instant
from dispatcher.intake.customers import CustomerUpdate, parse_customer
from dispatcher.intake.strict import NAME, RowFault, canonical_json, check_id, check_text, unknown_key

DATA_BYTES: Final = 64 * 1024
_KEYS: Final = ("campaign", "customer", "data", "key", "priority", "not_before", "expires_at")
_PRIORITIES: Final = {priority.name.lower(): priority for priority in Priority}


@dataclass(frozen=True, slots=True)
class SendRequest:
    """One message that a producer asks for."""

    campaign: str
    customer_id: str
    customer_update: CustomerUpdate | None   # laid over the customer before the message is accepted
    data: Mapping[str, Any]
    data_json: str                           # the same, as canonical JSON: what the store keeps
    key: str
    priority: Priority | None                # None: as the campaign's category has it
    not_before: int | None
    expires_at: int | None                   # may lie in the past: the message is then skipped as expired
    digest: str                              # sha256, hexadecimal


def parse_request(values: Mapping[str, Any], now: int) -> SendRequest:
    """Read one request; raises RowFault. A key that is null is as good as left out."""
    for name in values:
        if name not in _KEYS:
            raise unknown_key(name, _KEYS)
    campaign = _campaign(values.get("campaign"))
    update = _customer(values.get("customer"), now)
    customer = update.customer.id if update else check_id("customer", values.get("customer"))
    data = {} if values.get("data") is None else values["data"]
    data_json = _data(data)
    priority = _priority(values.get("priority"))
    not_before, expires_at = _instant(values, "not_before"), _instant(values, "expires_at")
    if not_before is not None and expires_at is not None and expires_at <= not_before:
        raise RowFault("expires_at", "is not after not_before; the message could never be sent")
    content = canonical_json([campaign, customer, data_json, priority, not_before, expires_at])
    return SendRequest(
        campaign=campaign,
        customer_id=customer,
        customer_update=update,
        data=data,
        data_json=data_json,
        key=customer if values.get("key") is None else check_id("key", values["key"]),
        priority=priority,
        not_before=not_before,
        expires_at=expires_at,
        digest=sha256(content.encode()).hexdigest(),
    )


def _campaign(value: object) -> str:
    if value is None:
        raise RowFault("campaign", "is missing; every request names its campaign")
    name = check_text("campaign", value, 500)
    if not NAME.fullmatch(name):
        raise RowFault("campaign", "is no name of a campaign; letters, digits and _ . - are, at most 64 of them")
    return name


def _customer(value: object, now: int) -> CustomerUpdate | None:
    if value is None:
        raise RowFault("customer", "is missing; every request names its customer")
    if not isinstance(value, dict):
        return None
    try:
        return parse_customer(value, now)
    except RowFault as fault:
        raise RowFault(f"customer.{fault.field}", fault.reason) from None


def _data(value: object) -> str:
    """Canonical JSON of the producer's data."""
    if not isinstance(value, dict):
        raise RowFault("data", 'must be an object, such as {"order": "A-17"}')
    try:
        text = canonical_json(value)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError):
        raise RowFault("data", "holds what JSON cannot: half of a surrogate pair, NaN, or a loop") from None
    if size > DATA_BYTES:
        raise RowFault("data", f"has {size} bytes as JSON; at most {DATA_BYTES} are allowed")
    return text


def _priority(value: object) -> Priority | None:
    if value is None:
        return None
    priority = _PRIORITIES.get(value) if isinstance(value, str) else None
    if priority is None:
        raise RowFault("priority", f"is none of {', '.join(_PRIORITIES)}")
    return priority


def _instant(values: Mapping[str, Any], field: str) -> int | None:
    value = values.get(field)
    if value is None:
        return None
    text = check_text(field, value, 500)
    try:
        return parse_instant(text)
    except ValueError as error:
        raise RowFault(field, str(error)) from None
