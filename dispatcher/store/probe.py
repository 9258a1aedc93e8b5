"""The least write that there is, to find out whether the store takes one."""

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.rows import insert_into
from dispatcher.store.tables import meta

PROBED_AT = "probed_at"


async def write(tx: AsyncConnection, now: int) -> None:
    """Note when the store was last tried."""
    insert = insert_into(tx, meta)
    await tx.execute(
        insert.on_conflict_do_update(index_elements=[meta.c.name], set_={"value": insert.excluded.value}),
        {"name": PROBED_AT, "value": str(now)},
    )
