"""Rows to values and back, for what more than one query needs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, String, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Customer
from dispatcher.store.tables import customers

AnyRow = Sequence[Any]
CUSTOMER_COLUMNS: Final = tuple(column for column in customers.c if column.name != "updated_at")


def insert_into(tx: AsyncConnection | str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of a database's dialect (or of the one with this name): both know ON CONFLICT, in the same words."""
    dialect = tx if isinstance(tx, str) else tx.dialect.name
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def among(column: ColumnElement[Any], values: Iterable[object]) -> ColumnElement[bool]:
    """Whether a column is one of many values: one parameter, one statement text, however many there are."""
    return _among(column, json.dumps(list(values)))


def among_those(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The same for a statement that is made once: its parameter of this name is given by `listed`."""
    return _among(column, bindparam(name, type_=String()))


def listed(values: Iterable[object]) -> str:
    """The parameter of among_those for these values."""
    return json.dumps(list(values))


def _among(column: ColumnElement[Any], values: object) -> ColumnElement[bool]:
    each = func.json_each(values).table_valued("value")
    return column.in_(select(each.c.value))


def fields(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row's values, for a constructor that takes them in this order."""
    return tuple(row)


def to_json(value: object) -> str:
    """The one text for a value, the same bytes every time."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def customer_of(fields: Sequence[Any]) -> Customer:
    """A customer of the values of CUSTOMER_COLUMNS, in their order."""
    *plain, consent, attributes = fields
    agreed = frozenset(json.loads(consent)) if consent != "[]" else frozenset()
    others = json.loads(attributes) if attributes != "{}" else {}
    return Customer(*(*plain, agreed, others))


def customer_values(customer: Customer) -> dict[str, Any]:
    """The columns of a customer."""
    return {
        "id": customer.id, "email": customer.email, "phone": customer.phone, "name": customer.name,
        "locale": customer.locale, "timezone": customer.timezone, "location": customer.location,
        "plan": customer.plan, "engagement": customer.engagement, "last_product_at": customer.last_product_at,
        "last_order_at": customer.last_order_at, "last_support_at": customer.last_support_at,
        "consent": to_json(sorted(customer.consent)) if customer.consent else "[]",
        "attributes": to_json(dict(customer.attributes)) if customer.attributes else "{}",
    }


def customer_snapshot(customer: Customer) -> str:
    """A customer as text, to be kept with a message whose bytes must not change any more."""
    return to_json(customer_values(customer))


def customer_from_snapshot(snapshot: str) -> Customer:
    """The customer of a snapshot."""
    values: Mapping[str, Any] = json.loads(snapshot)
    return customer_of([values[column.name] for column in CUSTOMER_COLUMNS])
