"""Customers as last told to us, and when anything was last told."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Customer
from dispatcher.core.states import State
from dispatcher.store.rows import CUSTOMER_COLUMNS, among, customer_of, customer_snapshot, customer_values, insert_into
from dispatcher.store.tables import attempts, customers, messages, meta

FACTS_AT = "facts_at"


async def get(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, Customer]:
    """The known ones of these customers, by id."""
    rows = await tx.execute(select(*CUSTOMER_COLUMNS).where(among(customers.c.id, ids)))
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
                set_={name: insert.excluded[name] for name in (*names, "updated_at")},
            ),
            [customer_values(customer) | {"updated_at": now} for customer in changed],
        )
    await note_facts(tx, now)


async def note_facts(tx: AsyncConnection, now: int) -> None:
    """Facts about customers or their activity have come in now."""
    insert = insert_into(tx, meta)
    await tx.execute(
        insert.on_conflict_do_update(index_elements=[meta.c.name], set_={"value": insert.excluded.value}),
        {"name": FACTS_AT, "value": str(now)},
    )


async def facts_at(tx: AsyncConnection) -> int | None:
    """When facts last came in; None: never."""
    value = (await tx.execute(select(meta.c.value).where(meta.c.name == FACTS_AT))).scalar()
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


async def erase(tx: AsyncConnection, customer: str) -> bool:
    """Forget a person: fields, messages' data and the replies that may quote an address. The ledger stays.

    Suppressions stay too: they are what keeps a promise not to write again. Says whether the customer was known.
    """
    scrubbed: dict[str, Any] = {"data": "{}", "snapshot": None}
    mine = select(messages.c.id).where(messages.c.customer == customer)
    await tx.execute(update(attempts).where(attempts.c.message.in_(mine)).values(detail=""))
    await tx.execute(update(messages).where(messages.c.customer == customer).values(scrubbed))
    gone = await tx.execute(delete(customers).where(customers.c.id == customer))
    return bool(gone.rowcount)
