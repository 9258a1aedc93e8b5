"""What stands where, and what comes next: `status` and `plan`.

A plan begins with what has been released and has not begun to leave (its limit is "released"): it is no longer queued,
and leaves in what remains of its slot.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.plan import PlannedBatch
from dispatcher.core.ramp import Limit
from dispatcher.engine.outlook import look
from dispatcher.engine.standing import Standing, read_standing
from dispatcher.engine.underway import Item
from dispatcher.engine.waits import read_ahead
from dispatcher.operations import planning
from dispatcher.operations.campaigns import STATES
from dispatcher.operations.crew import crew
from dispatcher.operations.holds import shown
from dispatcher.operations.lanes import LaneNow, lanes_now
from dispatcher.operations.office import Args, NoArgs, Office, OperationError, Result, Text, asked_instant, said
from dispatcher.store import owners, reading, tallies
from dispatcher.store.database import SharedDatabase
from dispatcher.store.owners import Coming
from dispatcher.store.tallies import WAITING

STATUS_TAKES: Final = 10.0
"""Seconds that `status` waits for a store that others use too."""


class PlanArgs(Args):
    """How far to plan, and how many of the batches to show."""

    campaign: Text = ""
    until: Text = ""
    most: int = Field(default=1_000, ge=1, le=planning.FARTHEST)


async def status(office: Office, _: NoArgs) -> Result:
    """Lanes, messages by state and reason, holds, what is blocked, and how the daemon is. Cheap at any size.

    A server that says nothing keeps nobody waiting who wants to know what is wrong.
    """
    works = office.works
    try:
        async with asyncio.timeout(STATUS_TAKES if works.watch is not None else None):
            return await _standing_now(office)
    except TimeoutError:
        why = works.store_trouble or works.store_distance or "it is busy"
        raise OperationError("failed", f"the store does not answer within {STATUS_TAKES:.0f} seconds: {why}") from None


async def _standing_now(office: Office) -> Result:
    works = office.works
    now = works.clock.now()
    async with works.database.transaction() as tx:
        standing = await read_standing(tx, works.policy, works.book, now)
        lanes = await lanes_now(tx, works, standing, now)
        totals = await tallies.totals(tx)
        blocked = await _blocked(tx, standing)
        daemons = await crew(tx, office)
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
        "instances": daemons,
        "daemon": {
            "running": office.engine is not None, "since": said(office.since or None), "draining": works.closing,
            "store": works.store_trouble, "late": works.store_distance,
        },
    }


async def planned(office: Office, args: PlanArgs) -> Result:
    """The batches to come, by the function that the daemon releases by; of one campaign, its part of them."""
    works = office.works
    until = asked_instant("until", args.until) if args.until else None
    ahead = await read_ahead(works.database)
    now = works.clock.now()
    async with works.database.transaction() as tx:
        standing = await read_standing(tx, works.policy, works.book, now)
        seen = await look(tx, works, standing, now, ahead)
        blocked = await _blocked(tx, standing)
        elsewhere = await owners.coming(tx, works.database.instance) if _is_shared(office) else []
        closed = {lane: count for lane, count in (await _queued(tx)).items() if works.policy.ramp_of(lane) is None}
    if args.campaign and args.campaign not in standing.stored:
        raise OperationError("unknown", f"no campaign is called {args.campaign}; apply it first")
    out = _released([*_ours(works.underway.to_begin()), *elsewhere], args.campaign)
    told = await asyncio.to_thread(planning.told, seen, until, args.campaign, out)
    told["more"] = max(len(told["batches"]) - args.most, 0)     # batches that are planned and not shown
    told["batches"] = [planning.shown(batch, planning.RELEASED) for batch in out] + told["batches"][:args.most]
    if out and told["done_at"] is None and not told["left"]:
        told["done_at"] = said(max(batch.until for batch in out))
    told["blocked"] = [one | {"until": said(standing.resumes.get(one["campaign"]))}
                       for one in blocked if args.campaign in {"", one["campaign"]}]
    there = {one["campaign"] for one in told["campaigns"]}
    told["campaigns"] += [{"campaign": one["campaign"], "queued": one["queued"], "done_at": None, "late": 0,
                           "left": one["queued"]} for one in told["blocked"] if one["campaign"] not in there]
    if not args.campaign:
        told["unplaced"] += [{"lane": lane, "count": count, "why": "closed: its sender is not configured"}
                             for lane, count in closed.items()]
    return told


def _is_shared(office: Office) -> bool:
    """Whether others than this process may deliver what is released."""
    return isinstance(office.works.database, SharedDatabase) and (
        office.engine is None or office.works.watch is not None)


def _ours(items: Iterable[Item]) -> list[Coming]:
    return [Coming(item.lane, item.slot.start, item.slot.end, item.ready.campaign.id, item.ready.route.segment, 1)
            for item in items]


def _released(some: Iterable[Coming], campaign: str) -> list[PlannedBatch]:
    """What of the batches on their way has still to begin."""
    batches: defaultdict[tuple[int, int, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in some:
        if campaign in {"", one.campaign}:
            batches[one.slot, one.slot_ends, one.lane][one.campaign, one.segment] += one.count
    return [PlannedBatch(start, end, lane, parts.total(), parts, Limit.BACKLOG)
            for (start, end, lane), parts in sorted(batches.items())]


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
    return {lane: count for lane, count in (await tallies.queued(tx)).items() if lane}
