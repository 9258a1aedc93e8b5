"""What the evidence about each lane has come to: one short row for each lane that was ever slowed or held."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import BigInteger, String, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.reputation import UNBLEMISHED, LaneState, Reputation
from dispatcher.store import changes
from dispatcher.store.changes import Change
from dispatcher.store.controls import Hold
from dispatcher.store.record_tables import lanes
from dispatcher.store.rows import insert_into

BY: Final = "dispatcher"
"""Who holds a lane, where it is the dispatcher itself."""
_VALUES: Final = (
    lanes.c.state, lanes.c.share, lanes.c.per_minute, lanes.c.per_minute_until, lanes.c.held_until, lanes.c.cause,
    lanes.c.since, lanes.c.judged_from, lanes.c.resumed_at, lanes.c.slowed_slot,
)


_ONE: Final = select(*_VALUES).where(lanes.c.lane == bindparam("its_lane", type_=String()))


async def read(tx: AsyncConnection, lane: str) -> Reputation:
    """A lane's reputation; a lane without a row is healthy."""
    row = (await tx.execute(_ONE, {"its_lane": lane})).first()
    return _reputation(row) if row is not None else UNBLEMISHED


async def read_all(tx: AsyncConnection) -> dict[str, Reputation]:
    """The reputation of every lane that has a row."""
    rows = await tx.execute(select(lanes.c.lane, *_VALUES).order_by(lanes.c.lane))
    return {lane: _reputation(values) for lane, *values in rows}


async def write(tx: AsyncConnection, lane: str, reputation: Reputation) -> None:
    """Put a lane's reputation in the place of what was known."""
    insert = insert_into(tx, lanes)
    await tx.execute(
        insert.on_conflict_do_update(
            index_elements=[lanes.c.lane], set_={column.name: insert.excluded[column.name] for column in _VALUES},
        ),
        {"lane": lane, **asdict(reputation)},
    )
    await changes.tell(tx, Change.STOPS)


_HELD: Final = (
    select(lanes.c.lane, lanes.c.cause, lanes.c.since, lanes.c.held_until)
    .where(lanes.c.state == LaneState.HELD,
           or_(lanes.c.held_until.is_(None), lanes.c.held_until > bindparam("now", type_=BigInteger())))
    .order_by(lanes.c.lane)
)


async def held(tx: AsyncConnection, now: int) -> list[Hold]:
    """The holds that the dispatcher itself has set and that are in force, as others are shown."""
    rows = await tx.execute(_HELD, {"now": now})
    return [Hold("lane", lane, cause, BY, since, until) for lane, cause, since, until in rows]


def _reputation(values: Sequence[Any]) -> Reputation:
    state, *others = values
    return Reputation(LaneState(state), *others)
