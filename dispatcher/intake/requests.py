"""A send request -> what accept() needs: one message for one customer, once per (campaign, key). Pure.

The digest covers what is to be sent (campaign, customer, data, priority, the two instants), so that the same key with
other content is seen as a conflict. Facts about the customer that come along are no part of it: they may have changed
when a producer sends the same request again. What is plain, a campaign to its customer and nothing else, needs no
digest: a message without one says the same.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from dispatcher.core.model import Priority
from dispatcher.core.times import parse_instant
from dispatcher.intake.customers import CustomerUpdate, parse_customer
from dispatcher.intake.strict import NAME, RowFault, canonical_json, check_id, check_text, unknown_key

DATA_BYTES: Final = 64 * 1024
_KEYS: Final = ("campaign", "customer", "data", "key", "priority", "not_before", "expires_at")
_KNOWN: Final = frozenset(_KEYS)
_NO_TERMS: Final = "null,null,null"
_PRIORITIES: Final = {priority.name.lower(): priority for priority in Priority}


class SendRequest(NamedTuple):      # no dataclass: one is made for every line of a file
    """One message that a producer asks for."""

    campaign: str
    customer_id: str
    customer_update: CustomerUpdate | None   # laid over the customer before the message is accepted
    data_json: str                           # the producer's data as canonical JSON: what the store keeps
    key: str
    priority: Priority | None                # None: as the campaign's category has it
    not_before: int | None
    expires_at: int | None                   # may lie in the past: the message is then skipped as expired
    digest: str                              # sha256, hexadecimal; "": nothing but the campaign to its customer


def parse_request(values: Mapping[str, Any], now: int) -> SendRequest:
    """Read one request; raises RowFault. A key that is null is as good as left out."""
    if not values.keys() <= _KNOWN:
        raise unknown_key(next(name for name in values if name not in _KNOWN), _KEYS)
    campaign = _campaign(values.get("campaign"))
    update = _customer(values.get("customer"), now)
    customer = update.customer.id if update else check_id("customer", values.get("customer"))
    data_json = _data({} if values.get("data") is None else values["data"])
    priority = _priority(values.get("priority"))
    not_before, expires_at = _instant(values, "not_before"), _instant(values, "expires_at")
    if not_before is not None and expires_at is not None and expires_at <= not_before:
        raise RowFault("expires_at", "is not after not_before; the message could never be sent")
    key = customer if values.get("key") is None else check_id("key", values["key"])
    plain = key == customer and (data_json, priority, not_before, expires_at) == ("{}", None, None, None)
    return SendRequest(
        campaign=campaign,
        customer_id=customer,
        customer_update=update,
        data_json=data_json,
        key=key,
        priority=priority,
        not_before=not_before,
        expires_at=expires_at,
        digest="" if plain else _digest(campaign, customer, data_json, priority, not_before, expires_at),
    )


def asks_the_same(request: SendRequest, digest: str) -> bool:
    """Whether a request has the content of an earlier one with its key, which has left this digest.

    That of a plain one is empty; earlier versions computed it all the same.
    """
    if request.digest or not digest:
        return request.digest == digest
    return digest == _digest(request.campaign, request.customer_id, request.data_json, None, None, None)


def _digest(campaign: str, customer: str, data_json: str, *terms: int | None) -> str:
    """Of what is asked for, as canonical JSON; `terms` are priority, not_before and expires_at."""
    names = f"{canonical_json(campaign)},{canonical_json(customer)},{canonical_json(data_json)}"
    numbers = _NO_TERMS if terms == (None, None, None) else canonical_json(terms)[1:-1]
    return sha256(f"[{names},{numbers}]".encode()).hexdigest()


def _campaign(value: object) -> str:
    if value is None:
        raise RowFault("campaign", "is missing; every request names its campaign")
    return _named(value) if isinstance(value, str) else check_text("campaign", value, 500)


@lru_cache(1024)
def _named(value: str) -> str:
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
    if value == {}:
        return "{}"
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
