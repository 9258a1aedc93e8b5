"""Released messages, and the daemons that deliver them, where several share the store.

A released message has one owner, who alone marks and hands it over, stops it and writes what came of it; or none yet,
and then any daemon that has room may take it. Every function is one or two statements for many messages, inside the
caller's transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Integer, String, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.states import State
from dispatcher.store.queue import JOINED
from dispatcher.store.rows import AnyRow, among_those, listed
from dispatcher.store.tables import SENDING, batches, messages

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


@dataclass(frozen=True, slots=True)
class Offer:
    """A batch of which some messages are nobody's yet."""

    slot: int
    slot_ends: int
    step: int
    size: int
    allowance: int
    released_at: int
    left: int               # of size: nobody's yet, the last ones in its order


_FREE: Final = (SENDING, m.owner.is_(None), m.begun == 0)
b = batches.c
_OFFER: Final = (
    select(b.slot, b.slot_ends, b.step, b.size, b.allowance, b.released_at, func.count())
    .join(messages, (m.lane == b.lane) & (m.slot == b.slot))
    .where(*_FREE, m.lane == _LANE)
    .group_by(b.lane, b.slot).order_by(b.slot).limit(1)
)
_PORTION: Final = (
    JOINED.where(*_FREE, m.lane == _LANE, m.slot == bindparam("its_slot", type_=BigInteger()))
    .order_by(m.priority, m.rank, m.id).limit(bindparam("most", type_=Integer()))
)
_PAGE: Final = (
    JOINED.add_columns(m.slot).where(*_FREE, m.id > bindparam("after", type_=BigInteger()))
    .order_by(m.id).limit(bindparam("most", type_=Integer()))
)


async def offer(tx: AsyncConnection, lane: str) -> Offer | None:
    """A lane's earliest batch with messages that are nobody's; None where there is none."""
    row = (await tx.execute(_OFFER, {"its_lane": lane})).first()
    return Offer(*row) if row is not None else None


async def portion(tx: AsyncConnection, lane: str, slot: int, most: int) -> list[AnyRow]:
    """The first messages of a batch that are nobody's, in its order; rows for queue.claimed_of."""
    return list(await tx.execute(_PORTION, {"its_lane": lane, "its_slot": slot, "most": most}))


async def free_page(tx: AsyncConnection, after: int, most: int) -> list[AnyRow]:
    """Messages that are nobody's, behind an id; rows for queue.claimed_of, with their slot as the last value."""
    return list(await tx.execute(_PAGE, {"after": after, "most": most}))


@dataclass(frozen=True, slots=True)
class Coming:
    """Released messages of a batch that have surely not begun to be handed over."""

    lane: str
    slot: int
    slot_ends: int
    campaign: str
    segment: str
    count: int


async def coming(tx: AsyncConnection, but: int) -> list[Coming]:
    """What is released and has not begun, by what batches are made of; without one instance's own."""
    places = (b.lane, b.slot, b.slot_ends, m.campaign, m.segment)
    rows = await tx.execute(
        select(*places, func.count()).join(messages, (m.lane == b.lane) & (m.slot == b.slot))
        .where(SENDING, m.begun == 0, or_(m.owner.is_(None), m.owner != but)).group_by(*places).order_by(*places)
    )
    return [Coming(*row) for row in rows]


async def free_lanes(tx: AsyncConnection) -> list[str]:
    """Lanes with messages that are nobody's."""
    return [lane for (lane,) in await tx.execute(select(m.lane).distinct().where(*_FREE).order_by(m.lane))]
