"""What a template sees, and everything it can reach from there.

A template reaches only what a reader below hands out, by the exact type of the value: no attribute of a Python object
is ever looked up by a name that a template chose, except the few methods listed here. So there is no way from a text
to its class, and nothing to filter out.

A field that exists and holds nothing is an `Empty`: false in a condition, equal to "", replaced by `default`, and an
error where it would be printed. A name that does not exist is an error in a condition too, so a misspelt one shows.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import StrictUndefined, Undefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.utils import Namespace
from markupsafe import Markup

from dispatcher.content.standin import StandIn
from dispatcher.core.model import Customer

TEXTS: Final = ("id", "email", "phone", "name", "locale", "timezone", "location", "plan", "engagement")
INSTANTS: Final = ("last_product_at", "last_order_at", "last_support_at")
CUSTOMER_FIELDS: Final = (*TEXTS, *INSTANTS, "consent", "attributes")
_TEXTS: Final = frozenset(TEXTS)
_SUGGESTED: Final = {"name": "customer"}


class Empty(StrictUndefined):
    """A field that exists and holds nothing."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override] # the point of this class: it does not raise
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override] # as __bool__
        return isinstance(other, Empty) or other == ""

    def __ne__(self, other: object) -> bool:  # type: ignore[override] # as __bool__
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override] # as __bool__
        return hash("")


class Record:
    """A few named values under one name: `campaign`, `sender`."""

    __slots__ = ("kind", "values")

    def __init__(self, kind: str, values: Mapping[str, Any]) -> None:
        self.kind = kind
        self.values = values


class Attributes:
    """`customer.attributes`."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """The time zone of an IANA name; UTC for "" and for a name that this machine does not know."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def local_time(instant: int, timezone: str) -> datetime:
    """An instant (milliseconds since the epoch) as an aware time of that zone, in whole seconds."""
    return datetime.fromtimestamp(instant // 1000, zone(timezone))


def names(existing: Mapping[str, Any] | tuple[str, ...]) -> str:
    """The first four dozen names, for a person; names only, never values."""
    found = sorted(map(str, existing))
    return ", ".join(found[:48]) + (", ..." if len(found) > 48 else "") if found else "nothing"  # noqa: PLR2004 -- as said


def _empty(name: str) -> Empty:
    field = name.rpartition(".")[2]
    return Empty(f"{name} is empty; write {{{{ {name} | default('{_SUGGESTED.get(field, '...')}') }}}}")


def _customer(customer: Customer, name: str) -> Any:  # noqa: ANN401 -- a field of any type
    if name in _TEXTS:
        return getattr(customer, name) or _empty(f"customer.{name}")
    if name in INSTANTS:
        instant = getattr(customer, name)
        return _empty(f"customer.{name}") if instant is None else local_time(instant, customer.timezone)
    if name == "consent":
        return tuple(sorted(customer.consent))
    if name == "attributes":
        return Attributes(customer.attributes)
    if name in customer.attributes:
        return customer.attributes[name] or _empty(f"customer.{name}")
    return StrictUndefined(
        f"customer.{name}: there is no such field, and no such attribute of this customer; fields: "
        f"{names(CUSTOMER_FIELDS)}; attributes: {names(customer.attributes)}"
    )


def _attributes(attributes: Attributes, name: str) -> Any:  # noqa: ANN401 -- a text or an undefined
    if name in attributes.values:
        return attributes.values[name] or _empty(f"customer.attributes.{name}")
    return StrictUndefined(
        f"customer.attributes.{name}: this customer has no such attribute; there are: {names(attributes.values)}"
    )


def _record(record: Record, name: str) -> Any:  # noqa: ANN401 -- a value of any type
    if name in record.values:
        value = record.values[name]
        return _empty(f"{record.kind}.{name}") if value == "" else value
    return StrictUndefined(f"{record.kind}.{name}: there is no such field; there are: {names(record.values)}")


def _mapping(mapping: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 -- the producer's data
    if name in mapping:
        value = mapping[name]
        return Empty(f"{name!r} in the data is null; write ... | default('...')") if value is None else value
    if name in _MAPPING_METHODS:
        return getattr(mapping, name)
    return StrictUndefined(f"the data has no {name!r} here; there are: {names(mapping)}")


def _undefined(value: Undefined, _name: str) -> Any:  # noqa: ANN401 -- raises
    # What is read from something that is not there: say what was not there.
    return value._fail_with_undefined_error()  # noqa: SLF001 -- the one way to raise with an Undefined's own words


def _namespace(namespace: Namespace, name: str) -> Any:  # noqa: ANN401 -- what the template has set
    missing = unreadable(namespace, name)
    return missing if name.startswith("_") else getattr(namespace, name, missing)


def _methods(*allowed: str) -> Callable[[Any, str], Any]:
    """Read only these methods and attributes of a value."""
    known = frozenset(allowed)

    def read(value: Any, name: str) -> Any:  # noqa: ANN401 -- any value of the type it is registered for
        return getattr(value, name) if name in known else unreadable(value, name)

    return read


def unreadable(value: object, name: object) -> StrictUndefined:
    """What a template gets for an attribute that is not offered."""
    kind = type(value).__name__.lower()
    if isinstance(name, str) and name.startswith("_"):
        return StrictUndefined(f"{name!r} cannot be read: a name with an underscore is private", exc=SecurityError)
    return StrictUndefined(f"a value of type {kind} has no {name!r} that a template can read")


_MAPPING_METHODS: Final = frozenset({"get", "items", "keys", "values"})
_STR: Final = _methods(
    "capitalize", "casefold", "count", "endswith", "find", "isalnum", "isalpha", "isascii", "isdigit", "islower",
    "isnumeric", "isspace", "istitle", "isupper", "lower", "lstrip", "partition", "removeprefix", "removesuffix",
    "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
)
_TIME: Final = (
    "year", "month", "day", "hour", "minute", "second", "weekday", "isoweekday", "isoformat", "strftime", "date",
    "time", "tzname", "utcoffset", "timestamp",
)

# By exact type, so that no subclass brings attributes of its own along.
READERS: Final[dict[type, Callable[[Any, str], Any]]] = {
    Customer: _customer,
    Attributes: _attributes,
    Record: _record,
    dict: _mapping,
    MappingProxyType: _mapping,
    StandIn: StandIn.read,
    str: _STR,
    Markup: _STR,
    datetime: _methods(*_TIME),
    date: _methods("year", "month", "day", "weekday", "isoweekday", "isoformat", "strftime"),
    timedelta: _methods("days", "seconds", "total_seconds"),
    list: _methods("count", "index"),
    tuple: _methods("count", "index"),
    Namespace: _namespace,
    LoopContext: _methods(
        "index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "cycle", "changed",
        "previtem", "nextitem",
    ),
    Undefined: _undefined,
    StrictUndefined: _undefined,
    Empty: _undefined,
}

# What may be printed. A list, a mapping or a method in a message is a mistake of the template.
PRINTABLE: Final = frozenset({str, Markup, int, float, bool, datetime, date, StandIn})


def each(value: object) -> Iterator[Any]:
    """Iterate over a value as a `for` of a template does."""
    if isinstance(value, Attributes | Record):
        return iter(value.values)
    if isinstance(value, Undefined):
        return iter(value)
    return iter(value)  # type: ignore[call-overload, no-any-return] # a TypeError here is the template's and is reported
