"""Until when the dispatcher has surely run, by the wall clock.

`meta` keeps `seen_at`, the latest instant at which something was stored: the high-water mark of the wall clock. A clock
that says much less has been put back, or has not been set yet (core/clocks.py judges). The mark only grows, but for a
person's word that the clock is right.
"""

from functools import cache
from typing import Final

from sqlalchemy import BigInteger, Insert, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.rows import insert_into
from dispatcher.store.tables import meta

SEEN_AT: Final = "seen_at"
RAN_AT: Final = "ran_at"
"""The daemon's own mark: commands store as well while none runs, and no sign of its life are they."""


_SEEN_AT = select(meta.c.value).where(meta.c.name == SEEN_AT)
_RAN_AT = select(meta.c.value).where(meta.c.name == RAN_AT)


async def seen_at(tx: AsyncConnection) -> int:
    """The latest instant at which something was stored; 0: a new store."""
    value = (await tx.execute(_SEEN_AT)).scalar()
    return int(value) if value is not None else 0


async def ran_at(tx: AsyncConnection) -> int:
    """Until when a daemon has surely run; 0: none has."""
    value = (await tx.execute(_RAN_AT)).scalar()
    return int(value) if value is not None else 0


async def mark(tx: AsyncConnection, now: int, name: str = SEEN_AT) -> None:
    """Something is stored now; a clock that was put back takes nothing away. `name`: another mark of the same kind."""
    await tx.execute(_marked(tx.dialect.name), {"name": name, "value": str(now)})


@cache
def _marked(dialect: str) -> Insert:
    insert = insert_into(dialect, meta)
    return insert.on_conflict_do_update(
        index_elements=[meta.c.name], set_={"value": insert.excluded.value},
        where=cast(meta.c.value, BigInteger) < cast(insert.excluded.value, BigInteger),
    )


async def trust(tx: AsyncConnection, now: int) -> None:
    """A person says that the clock is right, whatever was seen before."""
    insert = insert_into(tx, meta)
    await tx.execute(
        insert.on_conflict_do_update(index_elements=[meta.c.name], set_={"value": insert.excluded.value}),
        {"name": SEEN_AT, "value": str(now)},
    )
