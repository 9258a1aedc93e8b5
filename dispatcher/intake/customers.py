"""A row about a customer -> what it changes; and the change laid over what is stored. Pure: no store, no clock.

Every row of an import passes here, so there is no schema object per row: a table of small checks, by field. What a
row does not name stays as it is. An explicit null (NDJSON) clears a field or an attribute; an empty CSV cell says
nothing. An activity time never moves backwards, so null says nothing about one either.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from config.addresses import parse_address
from dispatcher.core.audience import CLOCK_SKEW
from dispatcher.core.model import Category, Customer
from dispatcher.core.times import parse_instant_or_date
from dispatcher.intake.strict import RowFault, check_id, check_text

TEXT_LENGTH: Final = 500
ATTRIBUTE_LENGTH: Final = 1_000
ATTRIBUTES: Final = 100
_ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PHONE: Final = re.compile(r"\+[0-9][0-9 ().-]{3,40}")
_CATEGORIES: Final = frozenset(Category)
_SEPARATORS: Final = re.compile(r"[\s,;|]+")
_ZONES_OF_THE_MACHINE: Final = frozenset({"localtime", "posixrules", "Factory"})   # not the same everywhere
_NONE: Final = frozenset[str]()


@dataclass(frozen=True, slots=True)
class CustomerUpdate:
    """What one row says about a customer."""

    customer: Customer                     # the fields that were given; the others are empty
    given: frozenset[str]                  # names of Customer's fields that were given, cleared ones included
    removed: frozenset[str] = _NONE        # attributes that were given as null
    warnings: tuple[str, ...] = ()         # "field: what was not taken, and why"; the row stands


def parse_customer(values: Mapping[str, Any], now: int) -> CustomerUpdate:
    """Read one row; raises RowFault for the first field that cannot stand."""
    fields: dict[str, Any] = {}
    attributes: dict[str, str] = {}
    removed: list[str] = []
    warnings: list[str] = []
    for name, value in values.items():
        if name in _CHECKS:
            fields[name] = _CHECKS[name](name, value)
        elif name in _TIMES:
            _add_time(fields, name, value, now, warnings)
        elif value is None:
            removed.append(_attribute_name(name))
        else:
            attributes[_attribute_name(name)] = _attribute(name, value)
    if "id" not in fields:
        raise RowFault("id", "is missing; every customer needs one")
    if attributes or removed:
        if len(attributes) + len(removed) > ATTRIBUTES:
            raise RowFault("attributes", f"are {len(attributes) + len(removed)}; at most {ATTRIBUTES} are allowed")
        fields["attributes"] = attributes
    return CustomerUpdate(Customer(**fields), frozenset(fields), frozenset(removed), tuple(warnings))


def is_attribute(name: str) -> bool:
    """Whether an attribute may be called so: a plain name that no field has, in capitals neither."""
    return bool(_ATTRIBUTE_NAME.fullmatch(name)) and name.lower() not in _CHECKS and name.lower() not in _TIMES


def merge(stored: Customer | None, update: CustomerUpdate) -> Customer:
    """The customer after the update: given fields replace, attributes by name, activity never moves backwards."""
    new, given = update.customer, update.given
    if stored is None:
        return new
    return Customer(
        id=stored.id,
        email=new.email if "email" in given else stored.email,
        phone=new.phone if "phone" in given else stored.phone,
        name=new.name if "name" in given else stored.name,
        locale=new.locale if "locale" in given else stored.locale,
        timezone=new.timezone if "timezone" in given else stored.timezone,
        location=new.location if "location" in given else stored.location,
        plan=new.plan if "plan" in given else stored.plan,
        engagement=new.engagement if "engagement" in given else stored.engagement,
        last_product_at=_later(stored.last_product_at, new.last_product_at),
        last_order_at=_later(stored.last_order_at, new.last_order_at),
        last_support_at=_later(stored.last_support_at, new.last_support_at),
        consent=new.consent if "consent" in given else stored.consent,
        attributes=_merged(stored.attributes, update) if "attributes" in given else stored.attributes,
    )


def _later(stored: int | None, new: int | None) -> int | None:
    return new if stored is None else stored if new is None else max(stored, new)


def _merged(stored: Mapping[str, str], update: CustomerUpdate) -> Mapping[str, str]:
    kept = {name: value for name, value in stored.items() if name not in update.removed}
    return kept | dict(update.customer.attributes)


def _text(field: str, value: object) -> str:
    return "" if value is None else check_text(field, value, TEXT_LENGTH)


def _email(field: str, value: object) -> str:
    text = _text(field, value)
    if not text:
        return ""
    try:
        return str(parse_address(text))
    except ValueError as error:
        raise RowFault(field, str(error)) from None


def _phone(field: str, value: object) -> str:
    text = _text(field, value)
    if not text:
        return ""
    if not _PHONE.fullmatch(text):
        raise RowFault(field, "is no phone number; write it with its country, such as +4930123456")
    import phonenumbers  # noqa: PLC0415 -- heavy, and most files have no phone numbers

    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise RowFault(field, "is a number that no country gives out; write it with its country, such as +4930123456")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _timezone(field: str, value: object) -> str:
    text = _text(field, value)
    if text and not _is_timezone(text):
        raise RowFault(field, 'is no IANA time zone; write such as "Europe/Berlin" or "UTC"')
    return text


@lru_cache(maxsize=1_024)
def _is_timezone(name: str) -> bool:
    if name in _ZONES_OF_THE_MACHINE or name.startswith(("posix/", "right/")):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, or far too long
        return False
    return True


def _location(field: str, value: object) -> str:
    text = _text(field, value)
    if text and not _is_path(text):
        raise RowFault(field, 'has an empty part, or one with a space around it; write a path such as "DE/Berlin"')
    return text


@lru_cache(maxsize=4_096)
def _is_path(text: str) -> bool:
    return all(part and part == part.strip() for part in text.split("/"))


def _consent(field: str, value: object) -> frozenset[str]:
    if value is None:
        return _NONE
    if isinstance(value, str):
        consent = _consent_words(value)
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        consent = frozenset(value)
    else:
        raise RowFault(field, 'must be a list of categories, such as ["promotional"]')
    if not consent <= _CATEGORIES:
        raise RowFault(field, f'names an unknown category; known are {", ".join(Category)} (or "none")')
    return consent


@lru_cache(maxsize=256)
def _consent_words(text: str) -> frozenset[str]:
    words = frozenset(word for word in _SEPARATORS.split(text) if word)
    return _NONE if words == {"none"} else words


_Check = Callable[[str, object], object]
_CHECKS: Final[Mapping[str, _Check]] = {
    "id": check_id, "email": _email, "phone": _phone, "name": _text, "locale": _text, "timezone": _timezone,
    "location": _location, "plan": _text, "engagement": _text, "consent": _consent,
}
_TIMES: Final[Mapping[str, str]] = {
    "last_product_at": "last_product_at", "last_active_at": "last_product_at",
    "last_order_at": "last_order_at", "last_support_at": "last_support_at",
}


def _add_time(fields: dict[str, Any], name: str, value: object, now: int, warnings: list[str]) -> None:
    text = _text(name, value)
    if not text:
        return
    try:
        at = parse_instant_or_date(text)
    except ValueError as error:
        raise RowFault(name, str(error)) from None
    if at > now + CLOCK_SKEW:
        warnings.append(f"{name}: lies in the future, so it does not count as activity")
        return
    field = _TIMES[name]
    fields[field] = _later(fields.get(field), at)


@lru_cache(maxsize=4_096)
def _attribute_name(name: str) -> str:
    if is_attribute(name):
        return name
    if _ATTRIBUTE_NAME.fullmatch(name):
        raise RowFault(name, f"is written {name.lower()}")
    raise RowFault(repr(name[:64]), "is no name of an attribute; letters, digits and _ . - are, at most 64 of them")


def _attribute(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return check_text(name, value, ATTRIBUTE_LENGTH)
    raise RowFault(name, "must be text, a number, true or false")
