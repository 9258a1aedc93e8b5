"""Thousands of messages at once onto the queue: what kinds of customers they are for, and the messages themselves.

Two statements for a chunk, however many are in it, inside the caller's transaction. The first groups its customers by
the traits that acceptance looks at; who gets the message is decided outside, kind by kind (intake/accept.py); the
second inserts. A chunk is a list of requests, or a page of all customers, of whom nothing need leave the database then.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Integer,
    Select,
    String,
    bindparam,
    case,
    func,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.states import State
from dispatcher.core.traits import Sight, Traits
from dispatcher.store import marks
from dispatcher.store.given import Given
from dispatcher.store.rows import among_those, insert_into, listed
from dispatcher.store.tables import customers, messages
from dispatcher.store.tallies import WAITING as TALLY_WAITING
from dispatcher.store.tallies import Deltas

m, c = messages.c, customers.c
_PEOPLE: Final = Given("people", (("customer", "text"),))
_REQUESTS: Final = Given("requests", (
    ("key", "text"), ("customer", "text"), ("digest", "text"), ("data", "text"), ("not_before", "bigint"),
    ("stand", "bigint"),
))
_KINDS: Final = Given("kinds", (("mark", "text"),))
_STANDS: Final = Given("stands", (
    ("mark", "text"), ("segment", "text"), ("rank", "bigint"), ("lane", "text"), ("priority", "bigint"),
    ("expires_at", "bigint"), ("skipped", "text"),
))


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


@dataclass(frozen=True, slots=True)
class Stand:
    """How a message comes to stand: its place in the queue, or why it is closed at once."""

    segment: str
    rank: int
    lane: str
    priority: int
    expires_at: int | None
    skipped: str                    # the reason; "" for a queued one


class Arrival(NamedTuple):
    """A message as it was asked for."""

    key: str
    customer: str
    digest: str
    data: str                       # JSON
    not_before: int                 # 0: at once
    stand: int                      # how it stands: the place of that among all stands


@dataclass(frozen=True, slots=True)
class Added:
    """What an insertion came to: the new messages are those behind an id."""

    behind: int
    count: int


async def page(tx: AsyncConnection, after: str, limit: int) -> Page:
    """The next so many customers behind an id."""
    some = select(c.id).where(c.id > after).order_by(c.id).limit(limit).subquery()
    upto, size = (await tx.execute(select(func.max(some.c.id), func.count()).select_from(some))).one()
    return Page(after, upto if upto is not None else after, size)


async def kinds(tx: AsyncConnection, some: Sequence[str] | Page, occasion: Occasion) -> list[Kind]:
    """The kinds of customers on a page, or among these: all in all, each of them once."""
    dialect, on_page = tx.dialect.name, isinstance(some, Page)
    rows = await tx.execute(_grouping(dialect, occasion.sight, on_page), _compared(occasion) | _meant(dialect, some))
    found = []
    for mark, number in rows:
        places = () if on_page else json.loads(number) if isinstance(number, str) else number
        found.append(Kind(mark, marks.traits(mark, occasion.sight), number if on_page else len(places), places))
    return found


async def add(
    tx: AsyncConnection, campaign: str, some: Sequence[Arrival], stands: Sequence[Stand], now: int
) -> Added:
    """Insert messages whose keys are new; the others are left as they are."""
    dialect = tx.dialect.name
    standing = {str(number): stand for number, stand in enumerate(stands)}
    return await _insert(tx, _insertion(dialect, None), campaign, standing, now, _REQUESTS.parameters(dialect, some))


async def add_page(
    tx: AsyncConnection, campaign: str, some: Page, occasion: Occasion, stands: dict[str, Stand], now: int
) -> Added:
    """Insert the messages of a campaign to the customers on a page, those of the kinds with these marks."""
    dialect = tx.dialect.name
    asked = _compared(occasion) | _meant(dialect, some)
    return await _insert(tx, _insertion(dialect, occasion.sight), campaign, stands, now, asked)


async def count(tx: AsyncConnection, campaign: str, added: Added, deltas: Deltas) -> None:
    """Count what an insertion has just added, before another one does."""
    for lane, priority, rank, segment, state, reason, waiting, number in await tx.execute(
        _COUNTED, {"behind": added.behind, "most": added.count}
    ):
        deltas[(campaign, lane, priority, rank, segment, TALLY_WAITING if waiting else state, reason)] += number


async def before(
    tx: AsyncConnection, campaign: str, some: Page, occasion: Occasion, marks_of: Sequence[str], added: Added
) -> dict[str, int]:
    """How the messages stand that customers on a page, of these kinds, had of a campaign before: state -> how many."""
    dialect = tx.dialect.name
    asked = _compared(occasion) | _meant(dialect, some) | _KINDS.parameters(dialect, [(mark,) for mark in marks_of])
    rows = await tx.execute(_earlier(dialect, occasion.sight),
                            asked | {"its_campaign": campaign, "behind": added.behind})
    return {state: number for state, number in rows}  # noqa: C416 -- dict() of rows is not typed


async def _insert(
    tx: AsyncConnection, statement: Insert, campaign: str, stands: dict[str, Stand], now: int, asked: dict[str, Any]
) -> Added:
    behind = (await tx.execute(select(func.max(m.id)))).scalar() or 0
    rows = [(mark, one.segment, one.rank, one.lane, one.priority, one.expires_at, one.skipped)
            for mark, one in stands.items()]
    inserted = await tx.execute(
        statement, asked | _STANDS.parameters(tx.dialect.name, rows) | {"its_campaign": campaign, "now": now}
    )
    return Added(behind, inserted.rowcount)


_NOW: Final = bindparam("now", type_=BigInteger())
_CAMPAIGN: Final = bindparam("its_campaign", type_=String())
# By the index, whatever a database thinks of a table that has grown by millions since it last looked.
_ADDED: Final = (
    select(m.lane, m.priority, m.rank, m.segment, m.state, m.reason, m.waiting)
    .where(m.id > bindparam("behind", type_=BigInteger())).order_by(m.id).limit(bindparam("most", type_=Integer()))
    .subquery()
)
_COUNTED: Final[Select[Any]] = select(*_ADDED.c).add_columns(func.count()).group_by(*_ADDED.c)
_ON_PAGE: Final = (c.id > bindparam("after", type_=String()), c.id <= bindparam("upto", type_=String()))


def _meant(dialect: str, some: Sequence[str] | Page) -> dict[str, Any]:
    if isinstance(some, Page):
        return {"after": some.after, "upto": some.upto}
    given = _PEOPLE.parameters(dialect, [(one,) for one in some])
    return given if dialect == "sqlite" else given | {"ids": listed(some)}


def _compared(occasion: Occasion) -> dict[str, Any]:
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
        return select(mark, number).where(*_ON_PAGE).group_by(mark)
    given = _PEOPLE.table(dialect)
    # A join with the whole table would be planned as if all customers were to be read.
    people = customers if dialect == "sqlite" else select(customers).where(among_those(c.id, "ids")).subquery("known")
    mark = marks.expression(dialect, sight, people, given.c.customer).label("mark")
    places = func.json_group_array(given.c.n) if dialect == "sqlite" else func.array_agg(given.c.n)
    return (select(mark, places).select_from(given.outerjoin(people, people.c.id == given.c.customer))
            .group_by(mark))


@lru_cache(256)
def _earlier(dialect: str, sight: Sight) -> Select[Any]:
    """The states of messages that a page's customers had, and how many there are of each."""
    kinds_of = _KINDS.table(dialect)
    source = customers.join(messages, m.key == c.id).join(
        kinds_of, kinds_of.c.mark == marks.expression(dialect, sight, customers, c.id))
    number: ColumnElement[Any] = func.count()
    return select(m.state, number).select_from(source).where(
        *_ON_PAGE, m.campaign == _CAMPAIGN, m.id <= bindparam("behind", type_=BigInteger()),
        m.key > bindparam("after", type_=String()), m.key <= bindparam("upto", type_=String()),   # by the index of keys
    ).group_by(m.state)


@lru_cache(256)
def _insertion(dialect: str, sight: Sight | None) -> Insert:
    """The insertion of requests, or, where customers are looked at, of a page's messages."""
    stands = _STANDS.table(dialect)
    s = stands.c
    if sight is None:
        asked = _REQUESTS.table(dialect)
        key, customer, digest, data, not_before = (
            asked.c.key, asked.c.customer, asked.c.digest, asked.c.data, asked.c.not_before)
        # First come first served: in SQLite what stands left is gone through in its own order, and need not be sorted.
        source = asked.outerjoin(stands, s.n == asked.c.stand)
        order = () if dialect == "sqlite" else (asked.c.n,)
        which: tuple[ColumnElement[bool], ...] = (asked.c.n >= 0,)
    else:
        key = customer = c.id
        digest, data, not_before = literal("", String()), literal("{}", String()), literal(0, BigInteger())
        source = customers.join(stands, s.mark == marks.expression(dialect, sight, customers, c.id))
        order, which = (c.id,), _ON_PAGE
    closed = s.skipped != ""
    nothing = literal(0, Integer())
    values: dict[str, ColumnElement[Any]] = {
        "campaign": _CAMPAIGN, "key": key, "customer": customer, "digest": digest, "data": data,
        "state": case((closed, str(State.SKIPPED)), else_=str(State.QUEUED)), "reason": s.skipped,
        "waiting": case((closed | (not_before <= _NOW), 0), else_=1), "not_before": not_before,
        "expires_at": s.expires_at, "segment": s.segment, "rank": s.rank, "priority": s.priority, "lane": s.lane,
        "created_at": _NOW, "attempts": nothing, "doubts": nothing, "begun": nothing,
        "finished_at": case((closed, _NOW)),
    }
    rows = select(*values.values()).select_from(source).where(*which).order_by(*order)
    return insert_into(dialect, messages).from_select(list(values), rows).on_conflict_do_nothing(
        index_elements=[m.campaign, m.key])
