"""What was promised when a campaign began to be sent: stored once, before its first batch is released, for ever."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.record_tables import campaign_plans
from dispatcher.store.rows import insert_into
from dispatcher.store.tables import LIVE, tallies


@dataclass(frozen=True, slots=True)
class PromisedBatch:
    """A batch as it was promised: the campaign's part of it."""

    at: int
    until: int
    lane: str
    size: int
    segments: dict[str, int]
    limit: str                # what kept it from being larger, by the plan of then


@dataclass(frozen=True, slots=True)
class Promise:
    """What was promised to a campaign: what of it was queued then, in which batches, done when."""

    campaign: str
    stored_at: int
    queued: int
    done_at: int | None       # None: the plan had no time for all of it
    late: int                 # who would hear too late, by the plan of then
    cut: bool                 # the plan went on behind the batches that are kept
    batches: Sequence[PromisedBatch]


@dataclass(frozen=True, slots=True)
class Starting:
    """A campaign with messages in the queue; `promised`: its plan has been stored."""

    campaign: str
    queued: int
    promised: bool


_QUEUED = (
    select(tallies.c.campaign, func.sum(tallies.c.count), func.max(campaign_plans.c.stored_at))
    .join(campaign_plans, campaign_plans.c.campaign == tallies.c.campaign, isouter=True)
    .where(LIVE).group_by(tallies.c.campaign).order_by(tallies.c.campaign)
)


async def queued_campaigns(tx: AsyncConnection) -> list[Starting]:
    """Every campaign that has something queued, due or not."""
    rows = await tx.execute(_QUEUED)
    return [Starting(campaign, int(queued), stored_at is not None) for campaign, queued, stored_at in rows]


def written(batches: Sequence[PromisedBatch], *, cut: bool) -> str:
    """The batches as the store keeps them: lanes named once. For many of them not the work of a moment."""
    lanes = sorted({batch.lane for batch in batches})
    number = {lane: place for place, lane in enumerate(lanes)}
    rows = [[batch.at, batch.until, number[batch.lane], batch.size, batch.segments, batch.limit] for batch in batches]
    return json.dumps({"lanes": lanes, "cut": cut, "batches": rows}, ensure_ascii=False, separators=(",", ":"))


async def store(tx: AsyncConnection, promise: Promise, plan: str) -> bool:
    """Store a promise, its batches as `written` gives them; False where the campaign had one, which stands."""
    done = await tx.execute(insert_into(tx, campaign_plans).on_conflict_do_nothing(), {
        "campaign": promise.campaign, "stored_at": promise.stored_at, "queued": promise.queued,
        "done_at": promise.done_at, "late": promise.late, "plan": plan,
    })
    return bool(done.rowcount)


async def get(tx: AsyncConnection, campaign: str) -> tuple[Promise, str] | None:
    """What was promised, with the text of its batches (see `read`); None: the campaign has not started."""
    p = campaign_plans.c
    row = (await tx.execute(
        select(p.stored_at, p.queued, p.done_at, p.late, p.plan).where(p.campaign == campaign)
    )).first()
    if row is None:
        return None
    stored_at, queued, done_at, late, plan = row
    return Promise(campaign, stored_at, queued, done_at, late, cut=False, batches=()), plan


def read(promise: Promise, plan: str) -> Promise:
    """The promise with its batches. For many of them not the work of a moment."""
    kept = json.loads(plan)
    lanes = kept["lanes"]
    batches = [PromisedBatch(at, until, lanes[lane], size, segments, limit)
               for at, until, lane, size, segments, limit in kept["batches"]]
    return Promise(promise.campaign, promise.stored_at, promise.queued, promise.done_at, promise.late,
                   cut=kept["cut"], batches=batches)
