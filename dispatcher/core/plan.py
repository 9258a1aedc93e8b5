"""The batches to come: what the daemon will do, computed by the functions that it decides with.

`plan` resolves the slots of all lanes in the order of time, since bounds over several lanes (quotas.py) make what one
releases depend on the others; each lane goes slot by slot, as the daemon does (walk.py): `coming_slot`, `allowance`,
`release_size`; due messages in the order of priority, then segment rank, then first come (backlog.py); a step that ends
becomes a past step, so the plan grows with the ramp. It assumes that the world stays as it is: everything released is
handed over, steps to come are healthy, lanes climb back, canaries pass.

Cost: slots that have nothing to release are jumped over, so the work follows the batches planned, not the slots
passed; 100,000 batches take a second or two.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import Final

from config.units import DAY
from dispatcher.core.backlog import Census, Queue, Run
from dispatcher.core.quotas import NEVER, UNBOUND, Bounds, Meter
from dispatcher.core.walk import After, Hold, LaneView, PlannedBatch, Walk

__all__ = ["HORIZON", "After", "Ending", "Hold", "LaneView", "Plan", "PlannedBatch", "Run", "Unplaced", "plan"]

HORIZON: Final = 400 * DAY         # how far a plan looks where nobody says how far


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Messages of a lane that the plan has no time for, and why."""

    lane: str
    count: int
    why: str                        # "held: ..." with the hold's reason, or "later" than this plan looks


@dataclass(frozen=True, slots=True)
class Ending:
    """How a campaign ends."""

    campaign: str
    queued: int
    done_at: int | None             # planned start of its very last message; None if some are left
    late: int                       # would hear too late
    left: int                       # have no place in this plan


@dataclass(frozen=True, slots=True)
class Plan:
    """The batches of all lanes by time, then lane; what becomes of the rest."""

    batches: Sequence[PlannedBatch]
    done_at: int | None             # planned start of the very last message; None if some are left, or there are none
    late: int                       # messages that will expire before their turn: who hears too late
    left: int                       # messages with no place in this plan
    late_campaigns: Mapping[str, int] = field(default_factory=dict)
    unplaced: Sequence[Unplaced] = ()
    campaigns: Sequence[Ending] = ()
    canaries: Mapping[str, int] = field(default_factory=dict)   # campaign -> when its canary passes, as is assumed


def plan(
    lanes: Sequence[LaneView], now: int, until: int | None = None, most: int = 100_000, bounds: Bounds = UNBOUND,
) -> Plan:
    """The batches that start before `until` (400 days from now where left out), at most `most` of them."""
    horizon = now + HORIZON if until is None else until
    meter = Meter(bounds, apart={view.lane for view in lanes})
    queues = {view.lane: Queue(view.backlog, meter) for view in lanes}
    census = Census(meter, queues, {view.lane: view.opens_at(now) for view in lanes if view.held_for_good is None})
    batches = list(_batches([Walk(view, queues[view.lane], now) for view in lanes], meter, census, (horizon, most)))
    if len(batches) >= most:
        horizon = min(horizon, batches[-1].at if batches else now)
    placed = Counter[str]()
    for batch in batches:
        placed[batch.lane] += batch.size
    unplaced: list[Unplaced] = []
    late = Counter[str]()
    for view in lanes:
        queue = queues[view.lane]
        if view.held_for_good is None:
            queue.expire(horizon)
        count = queue.total - sum(queue.late.values()) - placed[view.lane]
        if count:
            unplaced.append(Unplaced(view.lane, count, _why_unplaced(view)))
        late.update(queue.late)
    left = sum(lane.count for lane in unplaced)
    done_at = max((batch.last_at for batch in batches), default=None) if left == 0 else None
    return Plan(batches, done_at, late.total(), left, dict(late), unplaced, _endings(lanes, batches, late),
                _assumed(batches, meter.waits))


def _assumed(batches: Sequence[PlannedBatch], waits: Mapping[str, int]) -> dict[str, int]:
    """The canaries that batches are planned behind: campaign -> when it is judged."""
    behind = {campaign for batch in batches for campaign, _ in batch.parts if batch.at >= waits.get(campaign, NEVER)}
    return {campaign: waits[campaign] for campaign in sorted(behind)}


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """The campaigns of which more would hear too late than before, and how many more."""
    return {name: late - before.get(name, 0) for name, late in after.items() if late > before.get(name, 0)}


def _batches(walks: Sequence[Walk], meter: Meter, census: Census, ends: tuple[int, int]) -> Iterator[PlannedBatch]:
    """The batches of all lanes: the earliest lane's slot is resolved, then its next one is awaited."""
    horizon, most = ends
    coming = [(walk.at, walk.lane, walk) for walk in walks if not walk.over]
    heapify(coming)
    while coming and most > 0 and coming[0][0] < horizon:
        at, lane, walk = coming[0]
        census.advance(at)
        batch, canaries = walk.turn(meter)
        for campaign, until in canaries.items():
            census.wait(campaign, until)
        if batch is not None:
            most -= 1
            yield batch
        if walk.over:
            heappop(coming)
        else:
            heapreplace(coming, (walk.at, lane, walk))


def _endings(
    lanes: Sequence[LaneView], batches: Sequence[PlannedBatch], late: Mapping[str, int]
) -> list[Ending]:
    """How each campaign ends, in the order of their names."""
    queued, placed = Counter[str](), Counter[str]()
    last: dict[str, int] = {}
    for view in lanes:
        for run in view.backlog:
            if run.count:
                queued[run.campaign] += run.count
    for batch in batches:
        last_at = batch.last_at
        for (campaign, _), count in batch.parts.items():
            placed[campaign] += count
            last[campaign] = max(last_at, last.get(campaign, 0))
    found = []
    for campaign, count in sorted(queued.items()):
        left = count - placed[campaign] - late.get(campaign, 0)
        found.append(Ending(campaign, count, last.get(campaign) if left == 0 else None, late.get(campaign, 0), left))
    return found


def _why_unplaced(view: LaneView) -> str:
    hold = view.held_for_good
    return f"held: {hold.reason}" if hold is not None else "later"
