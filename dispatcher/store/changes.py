"""What one daemon tells the others that share its store: counters, which each of them looks at a few times a second.

Counted in the transaction that changes something, so that nobody can see the one without the other. A SQLite file has
one process, and nobody to tell.
"""

from enum import StrEnum
from functools import cache

from sqlalchemy import Insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.record_tables import changes
from dispatcher.store.rows import insert_into


class Change(StrEnum):
    """What has changed."""

    STOPS = "stops"     # what is released may not leave any more: look at it again (promise P6)
    NEWS = "news"       # something may leave that could not: look again who sleeps
    NAMES = "names"     # the provider of a domain is known


async def tell(tx: AsyncConnection, *what: Change) -> None:
    """Let the others hear of it."""
    if tx.dialect.name != "sqlite":
        await tx.execute(_counted(tx.dialect.name), [{"name": one, "number": 1} for one in what])


@cache
def _counted(dialect: str) -> Insert:
    insert = insert_into(dialect, changes)
    return insert.on_conflict_do_update(index_elements=[changes.c.name], set_={"number": changes.c.number + 1})
