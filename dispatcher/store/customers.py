"""Customers as last told to us, and when anything was last told."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Customer
from dispatcher.core.states import State
from dispatcher.store import changes, life
from dispatcher.store.changes import Change
from dispatcher.store.record_tables import domains
from dispatcher.store.rows import (
    CUSTOMER_COLUMNS,
    among,
    among_those,
    customer_of,
    customer_snapshot,
    customer_values,
    insert_into,
    listed,
)
from dispatcher.store.tables import attempts, customers, messages, meta

FACTS_AT = "facts_at"


_KNOWN = select(*CUSTOMER_COLUMNS).where(among_those(customers.c.id, "ids"))


async def get(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, Customer]:
    """The known ones of these customers, by id."""
    rows = await tx.execute(_KNOWN, {"ids": listed(ids)})
    return {row[0]: customer_of(row) for row in rows}


async def page(tx: AsyncConnection, after: str, limit: int) -> list[Customer]:
    """Customers behind an id, in the order of ids."""
    rows = await tx.execute(
        select(*CUSTOMER_COLUMNS).where(customers.c.id > after).order_by(customers.c.id).limit(limit)
    )
    return [customer_of(row) for row in rows]


async def put(tx: AsyncConnection, changed: Sequence[Customer], now: int) -> None:
    """Insert or replace customers, and note that facts have come in."""
    insert = insert_into(tx, customers)
    names = [column.name for column in CUSTOMER_COLUMNS if column.name != "id"]
    if changed:
        await tx.execute(
            insert.on_conflict_do_update(
                index_elements=[customers.c.id],
                set_={name: insert.excluded[name] for name in (*names, "updated_at", "domain")},
            ),
            [customer_values(customer) | {"updated_at": now, "domain": customer.email.rpartition("@")[2]}
             for customer in changed],
        )
    await note_facts(tx, now)


async def note_facts(tx: AsyncConnection, now: int) -> None:
    """Facts about customers or their activity have come in now."""
    await life.mark(tx, now)
    await life.mark(tx, now, FACTS_AT)


_FACTS_AT = select(meta.c.value).where(meta.c.name == FACTS_AT)


async def facts_at(tx: AsyncConnection) -> int | None:
    """When facts last came in; None: never."""
    value = (await tx.execute(_FACTS_AT)).scalar()
    return int(value) if value is not None else None


async def keep_snapshots(tx: AsyncConnection, before: Sequence[Customer]) -> None:
    """Before customers change: what is out keeps them as they were, so that another attempt has the same bytes."""
    for customer in before:
        await tx.execute(
            update(messages).where(
                messages.c.customer == customer.id, messages.c.released_at.is_not(None), messages.c.snapshot.is_(None),
                messages.c.state.in_([State.QUEUED, State.SENDING, State.IN_DOUBT]),
            ).values(snapshot=customer_snapshot(customer))
        )


async def released_of(tx: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Which of these customers have a message that was released and has not ended."""
    rows = await tx.execute(
        select(messages.c.customer).where(
            among(messages.c.customer, ids), messages.c.released_at.is_not(None),
            messages.c.state.in_([State.QUEUED, State.SENDING, State.IN_DOUBT]),
        )
    )
    return {customer for (customer,) in rows}


async def known(tx: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Which of these are known."""
    return {one for (one,) in await tx.execute(select(customers.c.id).where(among(customers.c.id, ids)))}


async def erase(tx: AsyncConnection, customer: str) -> bool:
    """Forget a person: fields, messages' data and the replies that may quote an address. The ledger stays.

    Suppressions stay too: they are what keeps a promise not to write again. Says whether the customer was known.
    """
    scrubbed: dict[str, Any] = {"data": "{}", "snapshot": None}
    mine = select(messages.c.id).where(messages.c.customer == customer)
    await tx.execute(update(attempts).where(attempts.c.message.in_(mine)).values(detail=""))
    await tx.execute(update(messages).where(messages.c.customer == customer).values(scrubbed))
    await _forget_domain(tx, customer)
    gone = await tx.execute(delete(customers).where(customers.c.id == customer))
    await changes.tell(tx, Change.STOPS)
    return bool(gone.rowcount)


async def _forget_domain(tx: AsyncConnection, customer: str) -> None:
    """What is known of a person's mail domain goes with them where it is nobody else's here: it may bear a name."""
    mine = select(customers.c.domain).where(customers.c.id == customer).scalar_subquery()
    others = select(customers.c.id).where(customers.c.domain == domains.c.domain, customers.c.id != customer).exists()
    await tx.execute(delete(domains).where(domains.c.domain == mine, ~others))
