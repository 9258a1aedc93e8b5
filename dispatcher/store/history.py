"""What an established sender sent before it came to this dispatcher: by lane and day, as imported.

A day is one of the lane's ramp's zone; which instants that is follows from the zone in force when it is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Integer, String, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.record_tables import history
from dispatcher.store.rows import insert_into


@dataclass(frozen=True, slots=True)
class Day:
    """The messages that a lane sent on a day, by another way."""

    lane: str
    day: str        # 2026-03-01
    sent: int


async def put(tx: AsyncConnection, days: Sequence[Day], now: int) -> None:
    """Take days in; one that is there already is replaced, and of two of one chunk the last counts."""
    latest = {(one.lane, one.day): one.sent for one in days}
    if not latest:
        return
    insert = insert_into(tx, history)
    await tx.execute(
        insert.on_conflict_do_update(
            index_elements=[history.c.lane, history.c.day],
            set_={"sent": insert.excluded.sent, "imported_at": insert.excluded.imported_at},
        ),
        [{"lane": lane, "day": day, "sent": sent, "imported_at": now} for (lane, day), sent in latest.items()],
    )


_BEFORE = (
    select(history.c.lane, history.c.day, history.c.sent)
    .where(history.c.lane == bindparam("its_lane", type_=String()),
           history.c.day < bindparam("its_day", type_=String()), history.c.sent > 0)
    .order_by(history.c.day.desc()).limit(bindparam("most", type_=Integer()))
)


async def before(tx: AsyncConnection, lane: str, day: str, limit: int) -> list[Day]:
    """A lane's last imported days before a day on which something was sent, newest first."""
    rows = await tx.execute(_BEFORE, {"its_lane": lane, "its_day": day, "most": limit})
    return [Day(*row) for row in rows]


async def lanes(tx: AsyncConnection) -> list[str]:
    """Every lane that has an imported day."""
    rows = await tx.execute(select(history.c.lane).distinct().order_by(history.c.lane))
    return [lane for (lane,) in rows]
