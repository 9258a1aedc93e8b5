"""What stands where, and what comes next: `status` and `plan`.

A plan begins with what has been released and has not begun to leave (its limit is "released"): it is no longer queued,
and leaves in what remains of its slot.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.plan import LaneView, Plan, PlannedBatch, plan
from dispatcher.core.ramp import Limit
from dispatcher.engine.outlook import views
from dispatcher.engine.standing import Standing, read_standing
from dispatcher.engine.underway import Item
from dispatcher.operations.campaigns import STATES
from dispatcher.operations.holds import shown
from dispatcher.operations.lanes import LaneNow, lanes_now
from dispatcher.operations.office import Args, NoArgs, Office, OperationError, Result, Text, asked_instant, said
from dispatcher.store import reading, tallies
from dispatcher.store.tallies import WAITING

FARTHEST = 20_000
"""Batches that a plan is worked out for: of slots of 5 minutes, those of half a year. More would cost memory."""
RELEASED = "released"
_BETWEEN = "\x00"


class PlanArgs(Args):
    """How far to plan, and how many of the batches to show."""

    campaign: Text = ""
    until: Text = ""
    most: int = Field(default=1_000, ge=1, le=FARTHEST)


async def status(office: Office, _: NoArgs) -> Result:
    """Lanes, messages by state and reason, holds, what is blocked, and how the daemon is. Cheap at any size."""
    works = office.works
    now = works.clock.now()
    async with works.database.transaction() as tx:
        standing = await read_standing(tx, works.policy, works.book, now)
        lanes = await lanes_now(tx, works, standing, now)
        totals = await tallies.totals(tx)
        blocked = await _blocked(tx, standing)
    coming = await asyncio.to_thread(lambda: [lane.next_batch(now) for lane in lanes])
    messages: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for _lane_name, state, reason, count in totals:
        messages["queued" if state == WAITING else state] += count
        if state == "skipped":
            skipped[reason] += count
    return {
        "lanes": [_lane(lane, batch) for lane, batch in zip(lanes, coming, strict=True)],
        "messages": {state: messages[state] for state in STATES},
        "skipped": dict(skipped),
        "holds": [shown(hold) for hold in standing.holds],
        "campaigns": blocked,
        "blocked": blocked,
        "faults": list(office.faults),
        "daemon": {
            "running": office.engine is not None, "since": said(office.since or None), "draining": works.closing,
            "store": works.journal.failing,
        },
    }


async def planned(office: Office, args: PlanArgs) -> Result:
    """The batches to come, by the function that the daemon releases by; of one campaign, its part of them."""
    works = office.works
    now = works.clock.now()
    until = asked_instant("until", args.until) if args.until else None
    async with works.database.transaction() as tx:
        standing = await read_standing(tx, works.policy, works.book, now)
        seen = await views(tx, works, standing, now)
        blocked = await _blocked(tx, standing)
        closed = {lane: count for lane, count in (await _queued(tx)).items() if works.policy.ramp_of(lane) is None}
    if args.campaign and args.campaign not in standing.stored:
        raise OperationError("unknown", f"no campaign is called {args.campaign}; apply it first")
    out = _released(works.underway.to_begin(), args.campaign)
    told = await asyncio.to_thread(_told, seen, now, until, args)
    told["batches"] = [_batch(batch, RELEASED) for batch in out] + told["batches"]
    if out and told["done_at"] is None and not told["left"]:
        told["done_at"] = said(max(batch.until for batch in out))
    told["blocked"] = [one for one in blocked if args.campaign in {"", one["campaign"]}]
    if not args.campaign:
        told["unplaced"] += [{"lane": lane, "count": count, "why": "closed: its sender is not configured"}
                             for lane, count in closed.items()]
    return told


def _told(seen: Sequence[LaneView], now: int, until: int | None, args: PlanArgs) -> Result:
    """The plan as results have it; for one campaign its part, worked out with all the others in their places."""
    if args.campaign:
        seen = [replace(view, backlog=[replace(run, segment=f"{run.campaign}{_BETWEEN}{run.segment}")
                                       for run in view.backlog]) for view in seen]
    whole = plan(seen, now, until, FARTHEST)
    if not args.campaign:
        return _result(whole.batches, args.most, whole) | {
            "done_at": said(whole.done_at), "late": whole.late, "late_campaigns": dict(whole.late_campaigns),
            "left": whole.left,
            "unplaced": [{"lane": one.lane, "count": one.count, "why": one.why} for one in whole.unplaced],
        }
    mine = [batch for batch in (_part(batch, args.campaign) for batch in whole.batches) if batch.size]
    queued = sum(run.count for view in seen for run in view.backlog if run.campaign == args.campaign)
    late = whole.late_campaigns.get(args.campaign, 0)
    left = queued - late - sum(batch.size for batch in mine)
    done_at = max((batch.last_at for batch in mine), default=None) if left == 0 else None
    return _result(mine, args.most, whole) | {
        "done_at": said(done_at), "late": late, "late_campaigns": {args.campaign: late} if late else {},
        "left": left, "unplaced": [],
    }


def _part(batch: PlannedBatch, campaign: str) -> PlannedBatch:
    """One campaign's part of a batch."""
    prefix = f"{campaign}{_BETWEEN}"
    segments = {name.removeprefix(prefix): count for name, count in batch.segments.items() if name.startswith(prefix)}
    size = sum(segments.values())
    return replace(batch, size=size, segments=segments, campaigns={campaign: size})


def _result(batches: Sequence[PlannedBatch], most: int, whole: Plan) -> Result:
    return {
        "batches": [_batch(batch, batch.limit) for batch in batches[:most]],
        "more": max(len(batches) - most, 0),          # batches that are planned and not shown
        "complete": len(whole.batches) < FARTHEST,    # false: planning ended before the queue did
    }


def _batch(batch: PlannedBatch, limit: str) -> Result:
    return {"at": said(batch.at), "until": said(batch.until), "lane": batch.lane, "size": batch.size,
            "segments": dict(batch.segments), "campaigns": dict(batch.campaigns), "limit": str(limit)}


def _released(items: Iterable[Item], campaign: str) -> list[PlannedBatch]:
    """What of the batches on their way has still to begin."""
    by_batch: defaultdict[tuple[int, int, str], list[Item]] = defaultdict(list)
    for item in items:
        if campaign in {"", item.ready.campaign.id}:
            by_batch[item.slot.start, item.slot.end, item.lane].append(item)
    return [
        PlannedBatch(start, end, lane, len(some), Counter(item.ready.route.segment for item in some),
                     Counter(item.ready.campaign.id for item in some), Limit.BACKLOG)
        for (start, end, lane), some in sorted(by_batch.items())
    ]


def _lane(lane: LaneNow, batch: PlannedBatch | None) -> Result:
    return {
        "lane": lane.lane, "state": lane.state, "why": lane.why, "allowance": lane.allowance, "spent": lane.spent,
        "queued": lane.queued, "next_slot_at": said(batch.at) if batch is not None else None,
        "next_size": batch.size if batch is not None else 0, "limit": str(batch.limit) if batch is not None else "",
    }


async def _blocked(tx: AsyncConnection, standing: Standing) -> list[Result]:
    """Campaigns that may not release just now and have something queued, or wait for a person."""
    queued: Counter[str] = Counter()
    for campaign, state, count in await reading.counts(tx):
        if state in {"queued", WAITING}:
            queued[campaign] += count
    return [{"campaign": name, "queued": queued[name], "why": why} for name, why in standing.blocked.items()
            if queued[name]]


async def _queued(tx: AsyncConnection) -> Mapping[str, int]:
    queued: Counter[str] = Counter()
    for lane, state, _, count in await tallies.totals(tx):
        if lane and state in {"queued", WAITING}:
            queued[lane] += count
    return queued
