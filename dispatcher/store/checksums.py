"""Every row of a store in the order of its keys, page by page, and what they sum up to: the same for every database.

The checksum is a chain: each row is hashed together with the checksum of all before it. So it says that every column
of every row is the same, in the same order, and it can be gone on with from any row by its text alone.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import Row, Select, Table, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.record_tables import lanes
from dispatcher.store.tables import meta
from dispatcher.store.unfinished import COPY

PAGE: Final = 1_000
"""Rows that are held in memory at a time."""
TABLES: Final = tuple(lanes.metadata.sorted_tables)      # by way of one of these, so that all are known
"""Every table, each behind those that it refers to."""
OWN: Final = (COPY, "holder")
"""What `meta` says of the very place that it stands in; no part of what is stored there."""
_DIGEST: Final = 16     # bytes

Rows = Sequence[Row[Any]]


@dataclass(slots=True)
class Checksum:
    """Of the rows so far."""

    rows: int = 0
    digest: str = ""

    def add(self, rows: Rows) -> None:
        """Go on with these."""
        digest = bytes.fromhex(self.digest)
        for row in rows:
            # As Python writes whole numbers, texts, fractions and nothing: one text for one value, and no two alike.
            digest = blake2b(digest + repr(tuple(row)).encode(), digest_size=_DIGEST).digest()
        self.rows += len(rows)
        self.digest = digest.hex()


def stored(table: Table) -> Select[Any]:
    """All rows of a table that are part of what is stored."""
    query = select(*table.c)
    return query.where(meta.c.name.not_in(OWN)) if table is meta else query


def key_of(table: Table, row: Row[Any]) -> list[Any]:
    """The primary key of a row."""
    return [row._mapping[column] for column in table.primary_key.columns]  # noqa: SLF001 -- SQLAlchemy's public name for it


async def pages(
    tx: AsyncConnection, table: Table, after: Sequence[Any] = (), until: Sequence[Any] = ()
) -> AsyncIterator[Rows]:
    """A table's rows in the order of its key: those behind a key, and up to another, where given."""
    columns = list(table.primary_key.columns)
    query = stored(table).order_by(*columns).limit(PAGE)
    if until:
        query = query.where(tuple_(*columns) <= tuple_(*until))
    while True:
        rows = (await tx.execute(query.where(tuple_(*columns) > tuple_(*after)) if after else query)).all()
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = key_of(table, rows[-1])
