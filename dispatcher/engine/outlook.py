"""The lanes as the plan needs them: ramp, ledger, backlog, holds; read in one transaction.

`plan`, `status` and the report of a reload all look through this one window, and hand what they see to core/plan.py,
which decides with the functions that the daemon decides with.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from sqlalchemy.ext.asyncio import AsyncConnection

from config.ramps import Ramp
from dispatcher.core.calendar import coming_slot, step_at
from dispatcher.core.plan import Hold, LaneView, Plan, Run, plan
from dispatcher.core.quotas import UNBOUND, Bounds
from dispatcher.engine import evidence
from dispatcher.engine.standing import Standing
from dispatcher.engine.waits import GRAIN, Ahead, read_waits
from dispatcher.engine.works import Works
from dispatcher.store import canaries, ledger, queue, tallies


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that a plan follows from, as read in one transaction."""

    lanes: Sequence[LaneView]
    now: int
    bounds: Bounds = UNBOUND        # over several lanes

    def plan(self, until: int | None = None, most: int = 100_000) -> Plan:
        """The batches to come; for large queues to be called in a thread of its own."""
        return plan(self.lanes, self.now, until, most, self.bounds)


async def look(
    tx: AsyncConnection, works: Works, standing: Standing, now: int, ahead: Ahead | None = None
) -> Outlook:
    """Look at every lane; `ahead` is what waits, where it was read before (see waits.py)."""
    return Outlook(await views(tx, works, standing, now, ahead), now, standing.bounds)


async def lane_names(tx: AsyncConnection) -> list[str]:
    """Every lane that has sent, or has something queued."""
    return sorted({lane for lane in (*await ledger.lanes(tx), *await tallies.queued_lanes(tx)) if lane})


async def views(
    tx: AsyncConnection, works: Works, standing: Standing, now: int, ahead: Ahead | None = None
) -> list[LaneView]:
    """All lanes that a sender is configured for.

    Blocked campaigns have no part in the backlog, unless it is known when they go on: nothing of them leaves before.
    """
    waiting: defaultdict[str, list[Run]] = defaultdict(list)
    tested = await canaries.queued(tx, standing.bounds.canaries, GRAIN) if standing.bounds.canaries else {}
    for some in await read_waits(tx, ahead):
        lane, name, priority, rank, segment = some.spot
        known = tested.get((*some.spot, some.due // GRAIN), 0)
        waiting[lane].append(Run(priority, rank, segment, name, some.count, not_before=some.due, known=known))
    found = []
    for lane in await lane_names(tx):
        ramp = works.policy.ramp_of(lane)
        if ramp is not None:
            backlog = releasable(bounded(lane, [*await _due(tx, lane, tested), *waiting[lane]], standing), standing)
            view = replace(await _view(tx, lane, ramp, backlog, standing, now), health=works.health_of(lane))
            slot = coming_slot(ramp, lane, max(now, view.health.until), view.last_slot_end)
            reputation = await evidence.foreseen(tx, lane, slot, works.policy.lines, now)
            found.append(replace(view, reputation=reputation))
    return found


async def _due(tx: AsyncConnection, lane: str, tested: Mapping[canaries.Stand, int]) -> list[Run]:
    """What is due in a lane, what came first first; of `tested` messages are part of their campaign's canary."""
    found = []
    for run in await tallies.runs(tx, lane, "queued"):
        first, expires_at = await queue.first_due(tx, lane, (run.campaign, run.priority, run.rank))
        known = tested.get((lane, run.campaign, run.priority, run.rank, run.segment, None), 0)
        found.append((first, Run(run.priority, run.rank, run.segment, run.campaign, run.count, expires_at=expires_at,
                                 known=known)))
    return [run for _, run in sorted(found, key=itemgetter(0))]


def bounded(lane: str, runs: Sequence[Run], standing: Standing) -> list[Run]:
    """Runs with the groups whose bounds over several lanes hold for them."""
    groups = standing.bounds.groups
    return [replace(run, groups=groups.get((lane, run.campaign, run.segment), ())) for run in runs] if groups else \
        list(runs)


def releasable(runs: Sequence[Run], standing: Standing) -> list[Run]:
    """Runs of campaigns that may be released, or will be from a known instant on."""
    found = []
    for run in runs:
        resumes_at = standing.resumes.get(run.campaign, 0)
        if standing.allows(run.campaign):
            found.append(run)
        elif resumes_at:
            found.append(replace(run, not_before=max(run.not_before, resumes_at)))
    return found


async def _view(
    tx: AsyncConnection, lane: str, ramp: Ramp, backlog: Sequence[Run], standing: Standing, now: int
) -> LaneView:
    step = step_at(ramp, now)
    book = await ledger.read(tx, lane, step.start, step.end, ramp)
    hold = standing.lane_hold(lane)
    return LaneView(
        lane=lane, ramp=ramp, past=book.past, step_spent=book.spent, step_unsent=book.unsent,
        step_healthy=book.healthy, last_slot_end=book.last_slot_end,
        held=Hold(hold.reason, hold.until) if hold is not None else None, backlog=backlog,
    )
