"""Rows to values and back, for what more than one query needs; and whatever databases have different words for."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from sqlalchemy import BigInteger, Boolean, ColumnElement, Dialect, Integer, String, Table, TypeDecorator, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine

from dispatcher.core.model import Customer
from dispatcher.store.tables import customers

AnyRow = Sequence[Any]
CUSTOMER_COLUMNS: Final = tuple(column for column in customers.c if column.name not in {"updated_at", "domain"})


def insert_into(tx: AsyncConnection | str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of a database's dialect (or of the one with this name): both know ON CONFLICT, in the same words."""
    dialect = tx if isinstance(tx, str) else tx.dialect.name
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def among(column: ColumnElement[Any], values: Iterable[object]) -> ColumnElement[bool]:
    """Whether a column is one of many values: one parameter, one statement text, however many there are."""
    return _Among(column, bindparam(None, listed(values), type_=_Listed(_of_numbers(column)), unique=True))


def among_those(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The same for a statement that is made once: its parameter of this name is given by `listed`."""
    return _Among(column, bindparam(name, type_=_Listed(_of_numbers(column))))


def listed(values: Iterable[object]) -> list[object]:
    """The parameter of among_those for these values."""
    return list(values)


def _of_numbers(column: ColumnElement[Any]) -> bool:
    return isinstance(column.type, Integer)


class _Listed(TypeDecorator[list[Any]]):
    """Many values as one parameter: an array where the database has them, else JSON."""

    impl = String
    cache_ok = True

    def __init__(self, numbers: bool) -> None:  # noqa: FBT001 -- a type's only parameter, part of its cache key
        super().__init__()
        self.numbers = numbers

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's own type."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String())
        return dialect.type_descriptor(postgresql.ARRAY(BigInteger() if self.numbers else String()))

    def process_bind_param(self, value: list[Any] | None, dialect: Dialect) -> Any:  # noqa: ANN401 -- as the driver has it
        """The parameter as the driver takes it."""
        return json.dumps(value) if dialect.name == "sqlite" else value


class _Among(FunctionElement[bool]):
    """Whether its first argument is one of the values that its second one lists."""

    name = "among"
    inherit_cache = True
    type = Boolean()

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002 -- as SQLAlchemy has it
        """Itself: SQLite has no truth values, and `= 1` behind it would keep it from its index."""
        return self


@compiles(_Among, "sqlite")
def _among_json(element: _Among, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401 -- SQLAlchemy's own
    column, values = (compiler.process(one, **how) for one in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 -- both are SQL already, values a parameter


@compiles(_Among, "postgresql")
def _among_array(element: _Among, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401 -- SQLAlchemy's own
    column, values = (compiler.process(one, **how) for one in element.clauses)
    return f"{column} = ANY ({values})"


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
