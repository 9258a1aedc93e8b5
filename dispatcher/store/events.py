"""What happened to lanes, campaigns and the daemon, and why: written where it happens, in the same transaction.

For people (`lanes show`, `status`) and for the causes that a report names. Rare by nature: nothing is written here for
each message or each batch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store import life
from dispatcher.store.record_tables import events
from dispatcher.store.rows import insert_into, to_json


class Kind(StrEnum):
    """What may happen. The subject of a lane's events is the lane, of a campaign's the campaign."""

    STARTED = "started"                    # the daemon; data.away_since: until when it was last known to run
    STOPPED = "stopped"                    # the daemon, in good order; data.beside, of both: how many others run
    RELOADED = "reloaded"                  # another configuration is in force
    CLOCK_BEHIND = "clock_behind"          # the clock says less than the last thing stored
    CLOCK_PUT = "clock_put"                # data.from: since when it may have been, by the clock of before
    STOOD_STILL = "stood_still"            # the daemon, or the machine; data.from
    HELD = "held"                          # by a person; the subject is the name, data.kind the kind of hold
    RESUMED = "resumed"                    # by a person; the same
    LANE_SLOWED = "lane_slowed"
    LANE_HELD = "lane_held"                # by the dispatcher itself
    LANE_RECOVERING = "lane_recovering"    # a hold of its own has ended; it climbs back
    LANE_HEALTHY = "lane_healthy"
    CAMPAIGN_STARTED = "campaign_started"  # its plan was stored as a promise
    CAMPAIGN_APPLIED = "campaign_applied"  # a new version
    APPROVED = "approved"
    CANCELED = "canceled"
    CANARY_OUT = "canary_out"              # the last of the canary was released
    CANARY_PASSED = "canary_passed"
    CANARY_FAILED = "canary_failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One of them."""

    at: int
    kind: Kind
    subject: str = ""
    cause: str = ""                        # for a person; may quote a server's reply, so it is never logged
    by: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


async def note(tx: AsyncConnection, *happened: Event) -> None:
    """Write events; they are things stored, by which a clock that was put back is told (store/life.py)."""
    if happened:
        await life.mark(tx, max(one.at for one in happened))
        await write(tx, *happened)


async def write(tx: AsyncConnection, *happened: Event) -> None:
    """Write events by a clock that may be wrong: they are no sign of what time it is."""
    if happened:
        await tx.execute(insert_into(tx, events), [
            {"at": one.at, "kind": one.kind, "subject": one.subject, "cause": one.cause, "by": one.by,
             "data": to_json(dict(one.data))}
            for one in happened
        ])


async def latest(tx: AsyncConnection, subject: str, limit: int) -> list[Event]:
    """The newest events of a lane or campaign, newest first."""
    rows = await tx.execute(_SELECTED.where(events.c.subject == subject).order_by(events.c.id.desc()).limit(limit))
    return [_event(row) for row in rows]


async def last_of(tx: AsyncConnection, *kinds: Kind) -> Event | None:
    """The newest event of these kinds."""
    row = (await tx.execute(_SELECTED.where(events.c.kind.in_(kinds)).order_by(events.c.id.desc()).limit(1))).first()
    return _event(row) if row is not None else None


async def between(
    tx: AsyncConnection, start: int, end: int, limit: int, kinds: Sequence[Kind] = tuple(Kind)
) -> list[Event]:
    """The first events of [start, end), in order."""
    rows = await tx.execute(
        _SELECTED.where(events.c.at >= start, events.c.at < end, events.c.kind.in_(kinds))
        .order_by(events.c.at, events.c.id).limit(limit)
    )
    return [_event(row) for row in rows]


_SELECTED = select(
    events.c.at, events.c.kind, events.c.subject, events.c.cause, events.c.by, events.c.data
)


def _event(row: Sequence[Any]) -> Event:
    at, kind, subject, cause, by, data = row
    return Event(at, Kind(kind), subject, cause, by, json.loads(data))
