"""What time brings about in the queue: waiting messages become due, and queued ones expire.

The keeper asks at every turn, so each query goes by an index of its own and is put together once.
"""

from typing import Final

from sqlalchemy import BigInteger, Integer, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Message
from dispatcher.core.states import State
from dispatcher.store.queue import MESSAGE_COLUMNS, message_of, place, with_state
from dispatcher.store.rows import among
from dispatcher.store.tables import EXPIRING, WAITING, messages
from dispatcher.store.tallies import WAITING as TALLY_WAITING
from dispatcher.store.tallies import Deltas

m = messages.c

_NOW: Final = bindparam("now", type_=BigInteger())
_MOST: Final = bindparam("most", type_=Integer())
_PROMOTED: Final = select(*MESSAGE_COLUMNS).where(WAITING, m.not_before <= _NOW).order_by(m.not_before).limit(_MOST)
_EXPIRED: Final = (
    select(*MESSAGE_COLUMNS, m.waiting).where(EXPIRING, m.expires_at <= _NOW).order_by(m.expires_at).limit(_MOST)
)
_NEXT_DUE: Final = select(func.min(m.not_before)).where(WAITING)
_NEXT_EXPIRY: Final = select(func.min(m.expires_at)).where(EXPIRING)


async def promote(tx: AsyncConnection, now: int, limit: int, deltas: Deltas) -> int:
    """Waiting messages whose time has come are due; says how many."""
    due = [message_of(row) for row in await tx.execute(_PROMOTED, {"now": now, "most": limit})]
    if due:
        await tx.execute(
            update(messages).where(among(m.id, (one.id for one in due))).values(waiting=0, reason="")
        )
        for one in due:
            deltas.move(place(one, TALLY_WAITING), place(one, State.QUEUED))
    return len(due)


async def expired(tx: AsyncConnection, now: int, limit: int) -> list[tuple[Message, str]]:
    """Queued messages past their time, each with its state in tallies."""
    return with_state(await tx.execute(_EXPIRED, {"now": now, "most": limit}))


async def next_due(tx: AsyncConnection) -> int | None:
    """When the first waiting message is to be looked at again."""
    found: int | None = (await tx.execute(_NEXT_DUE)).scalar()
    return found


async def next_expiry(tx: AsyncConnection) -> int | None:
    """When the first queued message expires."""
    found: int | None = (await tx.execute(_NEXT_EXPIRY)).scalar()
    return found
