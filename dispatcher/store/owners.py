"""Released messages, and the daemons that deliver them, where several share the store.

A released message has one owner, who alone marks and hands it over, stops it and writes what came of it; or none yet,
and then any daemon that has room may take it. Every function is one or two statements for many messages, inside the
caller's transaction.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, String, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.states import State
from dispatcher.store.rows import among_those, listed
from dispatcher.store.tables import SENDING, messages

m = messages.c
_OWNER: Final = bindparam("its_owner", type_=BigInteger())
_LANE: Final = bindparam("its_lane", type_=String())
_THESE: Final = update(messages).where(among_those(m.id, "ids"), m.state == State.SENDING)
_OWN: Final = _THESE.values(owner=_OWNER)
_BEGIN: Final = _THESE.where(m.owner == _OWNER).values(begun=1).returning(m.id)
_NOT_BEGUN: Final = select(func.count()).select_from(messages).where(
    SENDING, m.lane == _LANE, m.begun == 0, or_(m.owner.is_(None), m.owner != _OWNER)
)


async def own(tx: AsyncConnection, ids: Sequence[int], owner: int) -> None:
    """Released messages are from here on to be delivered by this instance."""
    await tx.execute(_OWN, {"ids": listed(ids), "its_owner": owner})


async def begin(tx: AsyncConnection, ids: Sequence[int], owner: int) -> set[int]:
    """Mark messages as perhaps handed over, before they are; says which: those that are their owner's still."""
    return {number for (number,) in await tx.execute(_BEGIN, {"ids": listed(ids), "its_owner": owner})}


async def not_begun(tx: AsyncConnection, lane: str, but: int) -> int:
    """How many released messages of a lane have surely not begun to be handed over, without one instance's own."""
    return int((await tx.execute(_NOT_BEGUN, {"its_lane": lane, "its_owner": but})).scalar_one())
