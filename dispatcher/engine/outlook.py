"""The lanes as the plan needs them: ramp, ledger, backlog, holds; read in one transaction.

`plan`, `status` and the report of a reload all look through this one window, and hand what they see to core/plan.py,
which decides with the functions that the daemon decides with.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from config.ramps import Ramp
from dispatcher.core.calendar import step_at
from dispatcher.core.plan import Hold, LaneView, Run
from dispatcher.engine.standing import Standing
from dispatcher.engine.works import Works
from dispatcher.store import ledger, queue, tallies

GRAIN = 60_000
"""Milliseconds: waiting messages are planned by the minute in which they become due."""


async def lane_names(tx: AsyncConnection) -> list[str]:
    """Every lane that has sent, or has something queued."""
    return sorted({lane for lane in (*await ledger.lanes(tx), *await tallies.queued_lanes(tx)) if lane})


async def views(tx: AsyncConnection, works: Works, standing: Standing, now: int) -> list[LaneView]:
    """All lanes that a sender is configured for.

    Blocked campaigns have no part in the backlog, unless it is known when they go on: nothing of them leaves before.
    """
    waiting: defaultdict[str, list[Run]] = defaultdict(list)
    for lane, name, priority, rank, segment, due, count in await queue.waiting_times(tx, GRAIN):
        waiting[lane].append(Run(priority, rank, segment, name, count, not_before=due))
    found = []
    for lane in await lane_names(tx):
        ramp = works.policy.ramp_of(lane)
        if ramp is not None:
            backlog = releasable([*await _due(tx, lane), *waiting[lane]], standing)
            found.append(await _view(tx, lane, ramp, backlog, standing, now))
    return [replace(view, health=works.health_of(view.lane)) for view in found]


async def _due(tx: AsyncConnection, lane: str) -> list[Run]:
    return [
        Run(run.priority, run.rank, run.segment, run.campaign, run.count,
            expires_at=await queue.first_expiry(tx, lane, (run.campaign, run.priority, run.rank)))
        for run in await tallies.runs(tx, lane, "queued")
    ]


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
    book = await ledger.read(tx, lane, step.start, step.end)
    hold = standing.lane_hold(lane)
    return LaneView(
        lane=lane, ramp=ramp, past=book.past, step_spent=book.spent, last_slot_end=book.last_slot_end,
        held=Hold(hold.reason, hold.until) if hold is not None else None, backlog=backlog,
    )
