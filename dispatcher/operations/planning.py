"""A plan as results have it: its batches, what they come to by day and campaign, and what keeps lanes back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from config.ramps import Ramp
from dispatcher.core.plan import Hold, LaneView, Plan, PlannedBatch
from dispatcher.core.reputation import LaneState
from dispatcher.core.times import local_date
from dispatcher.engine.outlook import Outlook
from dispatcher.operations.lanes import allowed_now
from dispatcher.operations.office import Result, said

FARTHEST = 20_000
"""Batches that a plan is worked out for: of slots of 5 minutes, those of half a year. More would cost memory."""
RELEASED = "released"
"""The limit of a batch that has been released already, and what has not begun to leave of it."""


def told(outlook: Outlook, until: int | None, campaign: str, out: Sequence[PlannedBatch]) -> Result:
    """The plan; for one campaign its part, worked out with all the others in their places. `out` has been released."""
    whole = outlook.plan(until, FARTHEST)
    batches = list(whole.batches)
    if campaign:
        batches = [part_of(batch, campaign) for batch in batches if campaign in batch.campaigns]
    ramps = {view.lane: view.ramp for view in outlook.lanes}
    allowances = {view.lane: allowed_now(view, outlook.now) for view in outlook.lanes}
    found = {
        "batches": [shown(batch) for batch in batches],
        "days": _days([*(replace(one, allowance=allowances.get(one.lane, 0)) for one in out), *batches], ramps.get),
        "campaigns": [{"campaign": one.campaign, "queued": one.queued, "done_at": said(one.done_at),
                       "late": one.late, "left": one.left}
                      for one in whole.campaigns if campaign in {"", one.campaign}],
        "lanes": [_kept_back(view, outlook.now) for view in outlook.lanes if _is_kept_back(view)],
        "assumed": [{"campaign": name, "canary_passes_at": said(judged_at)}
                    for name, judged_at in whole.canaries.items() if campaign in {"", name}],
        "complete": len(whole.batches) < FARTHEST,      # false: planning ended before the queue did
    }
    return found | _end(whole, campaign)


def shown(batch: PlannedBatch, limit: str = "") -> Result:
    """A batch as results have it."""
    return {"at": said(batch.at), "until": said(batch.until), "lane": batch.lane, "size": batch.size,
            "segments": batch.segments, "campaigns": batch.campaigns, "limit": limit or str(batch.limit),
            "after": str(batch.after)}


def part_of(batch: PlannedBatch, campaign: str) -> PlannedBatch:
    """One campaign's part of a batch."""
    parts = {place: count for place, count in batch.parts.items() if place[0] == campaign}
    return replace(batch, size=sum(parts.values()), parts=parts)


def _end(whole: Plan, campaign: str) -> Result:
    if not campaign:
        return {
            "done_at": said(whole.done_at), "late": whole.late, "late_campaigns": dict(whole.late_campaigns),
            "late_others": {}, "left": whole.left,
            "unplaced": [{"lane": one.lane, "count": one.count, "why": one.why} for one in whole.unplaced],
        }
    one = next((one for one in whole.campaigns if one.campaign == campaign), None)
    late = one.late if one is not None else 0
    return {
        "done_at": said(one.done_at) if one is not None else None, "late": late,
        "late_campaigns": {campaign: late} if late else {}, "left": one.left if one is not None else 0,
        "late_others": {name: count for name, count in whole.late_campaigns.items() if name != campaign},
        "unplaced": [],
    }


def _days(batches: Iterable[PlannedBatch], ramp_of: Callable[[str], Ramp | None]) -> list[Result]:
    """What goes on which day, by the calendar of each lane's ramp: batches, messages, and the day's last allowance."""
    found: dict[tuple[str, str], list[int]] = {}
    for batch in batches:
        ramp = ramp_of(batch.lane)
        day = local_date(batch.at, ramp.timezone if ramp is not None else "UTC").isoformat()
        total = found.setdefault((day, batch.lane), [0, 0, 0])
        total[0] += 1
        total[1] += batch.size
        total[2] = batch.allowance
    return [{"day": day, "lane": lane, "batches": count, "messages": messages, "allowance": allowance}
            for (day, lane), (count, messages, allowance) in sorted(found.items())]


def _is_kept_back(view: LaneView) -> bool:
    return bool(view.holds) or view.reputation.share < 1


def _kept_back(view: LaneView, now: int) -> Mapping[str, object]:
    """Why a lane is slow or held, and until when."""
    if view.holds:
        hold = view.held_for_good or max(view.holds, key=_end_of)
        return {"lane": view.lane, "state": str(LaneState.HELD), "why": hold.reason, "until": said(hold.until)}
    until = view.reputation.per_minute_until
    return {"lane": view.lane, "state": str(LaneState.SLOW), "why": view.reputation.cause,
            "until": said(until if until is not None and until > now else None)}


def _end_of(hold: Hold) -> int:
    return hold.until or 0
