"""The mark of a copy: which store this one is made from, how far that has come, and whether it is whole.

It stands in the copy's own `meta`, and is written with every chunk that it speaks of. Until the copy is whole nobody
may open it as a store: half of the customers, and none of the suppressions, would be worse than nothing.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store import migrate
from dispatcher.store.rows import insert_into
from dispatcher.store.tables import meta

COPY: Final = "copy"
"""The mark's name in `meta`."""
Admit = Callable[[Connection], None]
"""Looks at a store before anything in it is changed; SchemaError where it may not be opened."""
_MARK: Final = select(meta.c.value).where(meta.c.name == COPY)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a table has been copied."""

    rows: int
    checksum: str           # of these rows, as checksums.py has it
    key: list[Any]          # of the last of them


@dataclass(frozen=True, slots=True)
class Mark:
    """What a copy says of itself."""

    source: str             # the store as ops write it; no secret
    finished: bool = False
    reached: dict[str, Reached] = field(default_factory=dict)


def read(connection: Connection) -> Mark | None:
    """The mark of a store; None where it is no copy, or nothing at all yet."""
    if migrate.current(connection) is None:
        return None
    found = connection.execute(_MARK).scalar()
    if found is None:
        return None
    said = json.loads(found)
    reached = {table: Reached(**one) for table, one in said["reached"].items()}
    return Mark(said["source"], said["finished"], reached)


async def write(tx: AsyncConnection, mark: Mark) -> None:
    """Write the mark, with what it speaks of."""
    insert = insert_into(tx, meta)
    await tx.execute(
        insert.on_conflict_do_update(index_elements=[meta.c.name], set_={"value": insert.excluded.value}),
        {"name": COPY, "value": json.dumps(asdict(mark))},
    )


def refuse_unfinished(connection: Connection) -> None:
    """Any store may be opened, but a copy that is not whole."""
    mark = read(connection)
    if mark is not None and not mark.finished:
        raise migrate.SchemaError(
            f"it is an unfinished copy of {mark.source}; let [store] url name that one again, and finish the copy by "
            "the `dispatcher db copy` that began it"
        )
