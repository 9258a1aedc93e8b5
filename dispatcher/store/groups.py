"""Customers as acceptance sees them: grouped by the traits that it looks at (core/traits.py), by the database.

One statement, however many they are: of those on a page, or of a list. Nobody need leave the database.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, String, bindparam, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.traits import Sight, Traits
from dispatcher.store import marks
from dispatcher.store.given import Given
from dispatcher.store.tables import customers

c = customers.c
_PEOPLE: Final = Given("people", (("customer", "text"),))
ON_PAGE: Final = (c.id > bindparam("after", type_=String()), c.id <= bindparam("upto", type_=String()))


@dataclass(frozen=True, slots=True)
class Page:
    """Customers behind an id, up to and with another, in the order of ids."""

    after: str
    upto: str
    size: int


@dataclass(frozen=True, slots=True)
class Occasion:
    """For what customers are grouped: what is looked at, and what it is compared with."""

    sight: Sight
    window: tuple[int, int]         # from when to when activity counts
    incident: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """Customers who are alike."""

    mark: str                       # their traits as the database has them
    traits: Traits
    count: int
    places: Sequence[int] = ()      # of a list of requests: which of them


async def page(tx: AsyncConnection, after: str, limit: int) -> Page:
    """The next so many customers behind an id."""
    some = select(c.id).where(c.id > after).order_by(c.id).limit(limit).subquery()
    upto, size = (await tx.execute(select(func.max(some.c.id), func.count()).select_from(some))).one()
    return Page(after, upto if upto is not None else after, size)


async def kinds(tx: AsyncConnection, some: Sequence[str] | Page, occasion: Occasion) -> list[Kind]:
    """The kinds of customers on a page, or among these: all in all, each of them once."""
    dialect = tx.dialect.name
    # Neighbours lie beside each other in the database too.
    order = None if isinstance(some, Page) else sorted(range(len(some)), key=some.__getitem__)
    asked = some if isinstance(some, Page) or order is None else [some[place] for place in order]
    rows = await tx.execute(
        _grouping(dialect, occasion.sight, order is None), compared(occasion) | meant(dialect, asked))
    found = []
    for mark, number in rows:
        traits = marks.traits(mark, occasion.sight)
        if order is None:
            found.append(Kind(mark, traits, number))
        else:
            places = [order[at] for at in (json.loads(number) if isinstance(number, str) else number)]
            found.append(Kind(mark, traits, len(places), places))
    return found

def meant(dialect: str, some: Sequence[str] | Page) -> dict[str, Any]:
    """The parameters that say who."""
    if isinstance(some, Page):
        return {"after": some.after, "upto": some.upto}
    return _PEOPLE.parameters(dialect, [(one,) for one in some])


def compared(occasion: Occasion) -> dict[str, Any]:
    """The parameters of marks."""
    since, until = occasion.window
    found: dict[str, Any] = {"since": since, "until": until}
    if occasion.sight.incident:
        found["incident"] = occasion.incident
    if occasion.sight.closes:
        found["sequence"] = occasion.sequence
    return found


@lru_cache(256)
def _grouping(dialect: str, sight: Sight, on_page: bool) -> Select[Any]:  # noqa: FBT001 -- a key of the cache
    """The marks of customers, and how many have each, or which."""
    if on_page:
        mark = marks.expression(dialect, sight, customers, c.id).label("mark")
        number: ColumnElement[Any] = func.count()
        return select(mark, number).where(*ON_PAGE).group_by(mark)
    given = _PEOPLE.table(dialect)
    joined: ColumnElement[bool] = customers.c.id == given.c.customer
    people: FromClause = customers
    if dialect != "sqlite":     # each by the index: a plan for a join may read all customers for the sake of thousands
        people, joined = select(customers).where(joined).limit(1).lateral("known"), true()
    mark = marks.expression(dialect, sight, people, given.c.customer).label("mark")
    places = func.json_group_array(given.c.n) if dialect == "sqlite" else func.array_agg(given.c.n)
    return select(mark, places).select_from(given.outerjoin(people, joined)).group_by(mark)
