"""Whether a store is whole: its file first, then what must hold in it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store import truth

Check = Callable[[AsyncConnection], Awaitable[list[str]]]


async def faults(tx: AsyncConnection) -> list[str]:
    """Everything that is wrong with a store, the first of each kind; nothing, where all is well.

    Goes through the whole store; `tx` should be a snapshot, beside which others can work.
    """
    found: list[str] = []
    for name, check in CHECKS.items():
        try:
            found += await check(tx)
        except DBAPIError as error:
            why = str(error.orig).partition(": ")[0]      # what to do is said once, by whoever shows this
            found.append(f"{name} cannot be read: {why}")
    return found


async def _damage(tx: AsyncConnection) -> list[str]:
    """What SQLite finds in its file. PostgreSQL keeps its own, and its checksums tell of them."""
    if tx.dialect.name != "sqlite":
        return []
    rows = await tx.exec_driver_sql(f"PRAGMA integrity_check({truth.MOST})")
    lines = [line for text in rows.scalars() for line in str(text).splitlines()]
    return [f"the file: {line}" for line in lines[:truth.MOST] if line != "ok" and not line.startswith("***")]


async def _orphans(tx: AsyncConnection) -> list[str]:
    """Rows that refer to what is not there. PostgreSQL does not let them be."""
    if tx.dialect.name != "sqlite":
        return []
    rows = (await tx.exec_driver_sql("PRAGMA foreign_key_check")).mappings().fetchmany(truth.MOST)
    return [f"{row['table']}: row {row['rowid']} belongs to none of {row['parent']}" for row in rows]


CHECKS: Final[Mapping[str, Check]] = {
    "the file": _damage,
    "the references": _orphans,
    "the tallies": truth.untrue_tallies,
    "the ledger": truth.untrue_ledger,
    "the messages": truth.untrue_messages,
}
