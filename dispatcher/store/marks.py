"""The traits of a customer (core/traits.py) as one text, put together by the database: equal texts, equal traits.

No field holds a control character (intake/strict.py), so one stands between them.
"""

import json
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    LargeBinary,
    String,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSON

from dispatcher.core.segments import FIELDS
from dispatcher.core.traits import Sight, Traits
from dispatcher.store import incidents
from dispatcher.store.tables import suppressions

_BETWEEN: Final = "\x1f"
_UNKNOWN: Final = "?"               # no address is this
_YES: Final = "1"


def expression(dialect: str, sight: Sight, people: FromClause, customer: ColumnElement[str]) -> ColumnElement[str]:
    """The mark of a row of `people`, which may be missing; `customer` is the id that is meant.

    Its parameters: since and until, of activity; incident, and of a closing update sequence, where these are seen.
    """
    c = people.c
    since, until = (bindparam(name, type_=BigInteger()) for name in ("since", "until"))
    counted = [c[f"last_{kind}_at"].between(since, until) for kind in sight.activity]
    parts: list[ColumnElement[Any]] = [_address(dialect, people), case((or_(*counted), _YES), else_="")]
    if sight.incident:
        incident = bindparam("incident", type_=String())
        parts.append(cast(func.coalesce(incidents.latest_for(customer, incident), 0), String))
        if sight.closes:
            below = bindparam("sequence", type_=BigInteger())
            parts.append(case((incidents.is_informed(customer, incident, below), _YES), else_=""))
    if sight.consent:
        parts.append(func.coalesce(c.consent, ""))
    if sight.timezone:
        parts.append(func.coalesce(c.timezone, ""))
    parts += [func.coalesce(_field(dialect, people, name), "") for name in sight.fields]
    mark: ColumnElement[str] = parts[0]
    for part in parts[1:]:
        mark = mark + literal(_BETWEEN, String()) + part
    return mark


def traits(mark: str, sight: Sight) -> Traits:
    """The traits that a mark tells."""
    parts = iter(mark.split(_BETWEEN))
    address, active = next(parts), next(parts) == _YES
    latest = int(next(parts)) if sight.incident else 0
    informed = sight.closes and next(parts) == _YES
    consent = next(parts) if sight.consent else ""
    timezone = next(parts) if sight.timezone else ""
    return Traits(
        address="" if address == _UNKNOWN else address, active=active, latest=latest, informed=informed,
        consent=frozenset(json.loads(consent)) if consent else frozenset(), timezone=timezone, fields=tuple(parts),
        known=address != _UNKNOWN,
    )


def _address(dialect: str, people: FromClause) -> ColumnElement[str]:
    """The address where it has to be looked at by itself, else its domain.

    An address of ASCII is suppressed in small letters (config/addresses.py, normalise); of others the database may have
    another view, so each of them is looked at, as are those that are suppressed.
    """
    c = people.c
    size = func.length(cast(c.email, LargeBinary)) if dialect == "sqlite" else func.octet_length(c.email)
    suppressed = select(suppressions.c.address).where(suppressions.c.address == func.lower(c.email)).exists()
    alone = or_(c.domain.is_(None), size != func.length(c.email), suppressed)
    return case((c.id.is_(None), _UNKNOWN), (c.email == "", ""), (alone, c.email), else_="@" + c.domain)


def _field(dialect: str, people: FromClause, name: str) -> ColumnElement[Any]:
    """A field or an attribute, as core/segments.py names them; a name is plain (intake/customers.py)."""
    if name in FIELDS:
        return people.c[name]
    if dialect == "sqlite":
        return func.json_extract(people.c.attributes, f'$."{name}"')
    attribute: ColumnElement[Any] = cast(people.c.attributes, JSON)[name].astext
    return attribute
