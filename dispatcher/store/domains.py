"""Mail domains as last asked of the DNS: questions that are open, answers that hold, and whose customers are there.

Every function is one statement for many domains, inside the caller's transaction. What an answer means is decided in
core/domains.py.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.domains import Domain, Reason
from dispatcher.core.model import Message
from dispatcher.store import changes
from dispatcher.store.changes import Change
from dispatcher.store.queue import place
from dispatcher.store.record_tables import domains
from dispatcher.store.rows import among, fields, insert_into
from dispatcher.store.tables import customers, messages
from dispatcher.store.tallies import Deltas

d = domains.c
_NEVER: Final = 2**62
_COLUMNS: Final = (d.domain, d.provider, d.host, d.reason, d.asked_at, d.due_at, d.expires_at, d.failures, d.trouble)


async def ask(tx: AsyncConnection, names: Sequence[str], now: int) -> None:
    """Note that these are to be asked about now; one whose answer holds, or whose question is open, stays as it is."""
    if not names:
        return
    insert = insert_into(tx, domains)
    await tx.execute(
        insert.on_conflict_do_update(
            index_elements=[d.domain], set_={"due_at": insert.excluded.due_at},
            where=d.due_at.is_(None) & (d.expires_at <= now),
        ),
        [_values(Domain(name, reason=Reason.ASKED_FOR, due_at=now)) for name in names],
    )


async def due(tx: AsyncConnection, now: int, limit: int) -> list[Domain]:
    """The questions whose time has come, the longest due first."""
    return await _some(tx, select(*_COLUMNS).where(d.due_at <= now).order_by(d.due_at, d.domain).limit(limit))


async def next_due(tx: AsyncConnection) -> int | None:
    """When the next question is due."""
    found: int | None = (await tx.execute(select(func.min(d.due_at)))).scalar()
    return found


async def get(tx: AsyncConnection, names: Sequence[str]) -> dict[str, Domain]:
    """What is known of these domains."""
    return {one.domain: one for one in await _some(tx, select(*_COLUMNS).where(among(d.domain, names)))}


async def page(tx: AsyncConnection, after: str, limit: int) -> list[Domain]:
    """Domains behind a name, in the order of names."""
    return await _some(tx, select(*_COLUMNS).where(d.domain > after).order_by(d.domain).limit(limit))


async def put(tx: AsyncConnection, known: Sequence[Domain]) -> None:
    """Write down what is known of domains."""
    insert = insert_into(tx, domains)
    await tx.execute(
        insert.on_conflict_do_update(
            index_elements=[d.domain],
            set_={column.name: insert.excluded[column.name] for column in _COLUMNS if column.name != "domain"},
        ),
        [_values(one) for one in known],
    )
    await changes.tell(tx, Change.NAMES)


async def asked_since(tx: AsyncConnection, instant: int, after: str, limit: int) -> list[Domain]:
    """Domains that were asked about at an instant or later, behind a name, in the order of names."""
    query = select(*_COLUMNS).where(d.asked_at >= instant, d.domain > after)
    return await _some(tx, query.order_by(d.domain).limit(limit))


async def count(tx: AsyncConnection) -> tuple[int, int]:
    """How many domains there are, and how many of them have an open question."""
    found = (await tx.execute(select(func.count(), func.count(d.due_at)).select_from(domains))).one()
    return int(found[0]), int(found[1])


async def forget_oldest(tx: AsyncConnection, number: int) -> list[str]:
    """Forget so many: the least recently asked first, those never asked yet last; says which."""
    oldest = select(d.domain).order_by(func.coalesce(d.asked_at, _NEVER), d.domain).limit(number)
    names = [name for (name,) in await tx.execute(oldest)]
    await tx.execute(delete(domains).where(among(d.domain, names)))
    return names


async def people(tx: AsyncConnection, domain: str, after: str, limit: int) -> list[str]:
    """Customers of a domain behind an id, in the order of ids."""
    c = customers.c
    rows = await tx.execute(select(c.id).where(c.domain == domain, c.id > after).order_by(c.id).limit(limit))
    return [customer for (customer,) in rows]


async def relane(tx: AsyncConnection, moved: Sequence[tuple[Message, str]], lane: str, deltas: Deltas) -> None:
    """Queued messages, each with its state in the tallies, go to another lane; segment and rank stay."""
    await tx.execute(update(messages).where(among(messages.c.id, (one.id for one, _ in moved))).values(lane=lane))
    for one, state in moved:
        before = place(one, state)
        deltas.move(before, (before[0], lane, *before[2:]))


async def _some(tx: AsyncConnection, query: Any) -> list[Domain]:  # noqa: ANN401 -- a query of _COLUMNS
    return [Domain(*fields(row)) for row in await tx.execute(query)]


def _values(one: Domain) -> dict[str, Any]:
    return asdict(one)
