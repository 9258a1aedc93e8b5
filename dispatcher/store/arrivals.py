"""Thousands of messages at once onto the queue: a list of requests, or the customers on a page.

What kinds of customers there are has been asked before (groups.py), and who gets the message was decided kind by kind
(intake/accept.py). Here each gets its place, in one statement for all, inside the caller's transaction.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Integer,
    Select,
    String,
    Subquery,
    bindparam,
    case,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.states import State
from dispatcher.core.traits import Sight
from dispatcher.store import marks
from dispatcher.store.copy_in import copy_in
from dispatcher.store.given import Given
from dispatcher.store.groups import ON_PAGE, Occasion, Page, compared, meant
from dispatcher.store.rows import insert_into
from dispatcher.store.tables import customers, messages
from dispatcher.store.tallies import WAITING as TALLY_WAITING
from dispatcher.store.tallies import Deltas

m, c = messages.c, customers.c
_SAID: Final = (("key", "text"), ("customer", "text"), ("digest", "text"), ("data", "text"))
_REQUESTS: Final = Given("requests", (*_SAID, ("not_before", "bigint"), ("stand", "bigint")))
_ALIKE: Final = Given("requests", _SAID)
"""Requests that may leave at once and all stand alike, as those of most files: a fifth of the time to read."""
_KINDS: Final = Given("kinds", (("mark", "text"),))
_STANDS: Final = Given("stands", (
    ("mark", "text"), ("segment", "text"), ("rank", "bigint"), ("lane", "text"), ("priority", "bigint"),
    ("expires_at", "bigint"), ("state", "text"), ("reason", "text"), ("finished_at", "bigint"),
))


@dataclass(frozen=True, slots=True)
class Stand:
    """How a message comes to stand: its place in the queue, or why it is closed at once."""

    segment: str
    rank: int
    lane: str
    priority: int
    expires_at: int | None
    skipped: str                    # the reason; "" for a queued one

    def columns(self, now: int) -> tuple[str | int | None, ...]:
        """What a message that stands so has in the store."""
        state, finished_at = (State.SKIPPED, now) if self.skipped else (State.QUEUED, None)
        return (self.segment, self.rank, self.lane, int(self.priority), self.expires_at, str(state), self.skipped,
                finished_at)


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


async def add(
    tx: AsyncConnection, campaign: str, some: Sequence[Arrival], stands: Sequence[Stand], now: int
) -> Added:
    """Insert messages whose keys are new; the others are left as they are."""
    dialect = tx.dialect.name
    if dialect != "sqlite":
        return await _copy_in(tx, campaign, some, stands, now)
    standing = {str(number): stand for number, stand in enumerate(stands)}
    alike = len(stands) == 1 and not any(one.not_before for one in some)
    asked = _ALIKE.parameters(dialect, [one[:len(_SAID)] for one in some]) if alike else (
        _REQUESTS.parameters(dialect, some))
    return await _insert(tx, _of_requests(alike=alike), campaign, standing, now, asked)


async def add_page(
    tx: AsyncConnection, campaign: str, some: Page, occasion: Occasion, stands: dict[str, Stand], now: int
) -> Added:
    """Insert the messages of a campaign to the customers on a page, those of the kinds with these marks."""
    dialect = tx.dialect.name
    asked = compared(occasion) | meant(dialect, some)
    return await _insert(tx, _of_page(dialect, occasion.sight), campaign, stands, now, asked)


async def count(tx: AsyncConnection, campaign: str, added: Added, deltas: Deltas) -> None:
    """Count what an insertion has just added, before another one does."""
    for lane, priority, rank, segment, state, reason, waiting, number in await tx.execute(
        _COUNTED, {"behind": added.behind, "most": added.count}
    ):
        deltas[(campaign, lane, priority, rank, segment, TALLY_WAITING if waiting else state, reason)] += number


def count_new(campaign: str, some: Sequence[Arrival], stands: Sequence[Stand], now: int, deltas: Deltas) -> None:
    """Count messages all of which were added: what `count` finds, without asking the database."""
    for (number, waiting), count_of in Counter((one.stand, one.not_before > now) for one in some).items():
        stand = stands[number]
        state = State.SKIPPED if stand.skipped else TALLY_WAITING if waiting else State.QUEUED
        place = (campaign, stand.lane, int(stand.priority), stand.rank, stand.segment, str(state), stand.skipped)
        deltas[place] += count_of


async def before(
    tx: AsyncConnection, campaign: str, some: Page, occasion: Occasion, marks_of: Sequence[str], added: Added
) -> dict[str, int]:
    """How the messages stand that customers on a page, of these kinds, had of a campaign before: state -> how many."""
    dialect = tx.dialect.name
    asked = compared(occasion) | meant(dialect, some) | _KINDS.parameters(dialect, [(mark,) for mark in marks_of])
    rows = await tx.execute(_earlier(dialect, occasion.sight),
                            asked | {"its_campaign": campaign, "behind": added.behind})
    return {state: number for state, number in rows}  # noqa: C416 -- dict() of rows is not typed


async def _insert(
    tx: AsyncConnection, statement: Insert, campaign: str, stands: dict[str, Stand], now: int, asked: dict[str, Any]
) -> Added:
    behind = (await tx.execute(_LATEST)).scalar() or 0
    rows = [(mark, *one.columns(now)) for mark, one in stands.items()]
    inserted = await tx.execute(
        statement, asked | _STANDS.parameters(tx.dialect.name, rows) | {"its_campaign": campaign, "now": now}
    )
    return Added(behind, inserted.rowcount)


async def _copy_in(
    tx: AsyncConnection, campaign: str, some: Sequence[Arrival], stands: Sequence[Stand], now: int
) -> Added:
    """As `add`, in PostgreSQL, where to look for the keys and then to copy takes half as long as to insert."""
    behind = (await tx.execute(_LATEST)).scalar() or 0
    found = await tx.execute(_TAKEN, {"its_campaign": campaign, "keys_key": [one.key for one in some]})
    taken = set(found.scalars())
    first = {one.key: one for one in reversed(some)}    # of two with one key
    new = [one for one in some if one.key not in taken and first[one.key] is one] if (
        taken or len(first) < len(some)) else some
    if new:
        at_once, later = ([(campaign, now, 0, 0, 0, waiting if not stand.skipped else 0, *stand.columns(now))
                           for stand in stands] for waiting in (0, 1))
        rows = [one[:-1] + (at_once if one.not_before <= now else later)[one.stand] for one in new]
        await copy_in(tx, messages, _COLUMNS, rows)
    return Added(behind, len(new))


_LATEST: Final = select(func.max(m.id))
_NOW: Final = bindparam("now", type_=BigInteger())
_CAMPAIGN: Final = bindparam("its_campaign", type_=String())
# By the index, whatever a database thinks of a table that has grown by millions since it last looked.
_ADDED: Final = (
    select(m.lane, m.priority, m.rank, m.segment, m.state, m.reason, m.waiting)
    .where(m.id > bindparam("behind", type_=BigInteger())).order_by(m.id).limit(bindparam("most", type_=Integer()))
    .subquery()
)
_COUNTED: Final[Select[Any]] = select(*_ADDED.c).add_columns(func.count()).group_by(*_ADDED.c)
# One look in the index for each key, whatever the planner thinks of a table that has just grown.
_ASKED: Final = Given("keys", (("key", "text"),)).table("postgresql")
_THERE: Final = select(m.key).where(m.campaign == _CAMPAIGN, m.key == _ASKED.c.key).limit(1).lateral()
_TAKEN: Final = select(_THERE.c.key).select_from(_ASKED.join(_THERE, true()))
_STANDING: Final = tuple(name for name, _ in _STANDS.columns[1:])
_COLUMNS: Final = ("key", "customer", "digest", "data", "not_before",
                  "campaign", "created_at", "attempts", "doubts", "begun", "waiting", *_STANDING)


@lru_cache(256)
def _earlier(dialect: str, sight: Sight) -> Select[Any]:
    """The states of messages that a page's customers had, and how many there are of each."""
    kinds_of = _KINDS.table(dialect)
    source = customers.join(messages, m.key == c.id).join(
        kinds_of, kinds_of.c.mark == marks.expression(dialect, sight, customers, c.id))
    number: ColumnElement[Any] = func.count()
    return select(m.state, number).select_from(source).where(
        *ON_PAGE, m.campaign == _CAMPAIGN, m.id <= bindparam("behind", type_=BigInteger()),
        m.key > bindparam("after", type_=String()), m.key <= bindparam("upto", type_=String()),   # by the index of keys
    ).group_by(m.state)


@cache
def _of_requests(*, alike: bool) -> Insert:
    """The insertion of requests in SQLite. First come, first served: they are gone through in their own order."""
    asked, stands = (_ALIKE if alike else _REQUESTS).table("sqlite"), _STANDS.table("sqlite")
    a = asked.c
    not_before, stand = (literal(0), literal(0)) if alike else (a.not_before, a.stand)
    return _insertion("sqlite", stands, (a.key, a.customer, a.digest, a.data, not_before),
                      select().select_from(asked.outerjoin(stands, stands.c.n == stand)).where(a.n >= 0))


@lru_cache(256)
def _of_page(dialect: str, sight: Sight) -> Insert:
    """The insertion of a page's messages."""
    stands = _STANDS.table(dialect)
    mine = customers.join(stands, stands.c.mark == marks.expression(dialect, sight, customers, c.id))
    return _insertion(dialect, stands, (c.id, c.id, literal("", String()), literal("{}", String()),
                                        literal(0, BigInteger())),
                      select().select_from(mine).where(*ON_PAGE).order_by(c.id))


def _insertion(
    dialect: str, stands: Subquery, said: Sequence[ColumnElement[Any]], source: Select[Any]
) -> Insert:
    """The insertion of messages with what a request says of itself: key, customer, digest, data and not_before."""
    nothing, not_before = literal(0, Integer()), said[-1]
    waiting = case(((stands.c.state == State.QUEUED) & (not_before > _NOW), 1), else_=0)
    values = (*said, _CAMPAIGN, _NOW, nothing, nothing, nothing, waiting, *(stands.c[name] for name in _STANDING))
    insert = insert_into(dialect, messages).from_select(_COLUMNS, source.with_only_columns(*values))
    return insert.on_conflict_do_nothing(index_elements=[m.campaign, m.key])
