"""The lanes as `status`, `plan` and a reload show them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core import clocks
from dispatcher.core.calendar import step_at
from dispatcher.core.lane_health import LaneHealth
from dispatcher.core.plan import Hold, LaneView, PlannedBatch, Run, plan
from dispatcher.core.quotas import UNBOUND, Bounds
from dispatcher.core.ramp import allowance
from dispatcher.core.reputation import LaneState, Reputation
from dispatcher.engine.outlook import bounded, lane_names, releasable
from dispatcher.engine.standing import Standing
from dispatcher.engine.works import Works
from dispatcher.store import lanes, ledger, reading, tallies
from dispatcher.store.controls import Hold as Held

GUARDED = 7
"""Sending steps that a jump is measured against (rule 1 of the ramp)."""


@dataclass(frozen=True, slots=True)
class LaneNow:
    """A lane at an instant. `view` is None where its sender is not configured."""

    lane: str
    state: str
    why: str
    allowance: int
    spent: int
    queued: int
    view: LaneView | None
    bounds: Bounds = UNBOUND        # over several lanes

    def next_batch(self, now: int) -> PlannedBatch | None:
        """The batch that it releases next, if the world stays as it is."""
        if self.view is None:
            return None
        return next(iter(plan([self.view], now, most=1, bounds=self.bounds).batches), None)


async def lanes_now(
    tx: AsyncConnection, works: Works, standing: Standing, now: int, names: Sequence[str] | None = None
) -> list[LaneNow]:
    """These lanes, or every one that has sent or has something queued. Nothing in here grows with the queue."""
    queued = Counter(await tallies.queued(tx))
    soonest = await reading.soonest_waiting(tx)
    return [await _lane(tx, works, standing, lane, now, (queued[lane], soonest.get(lane)))
            for lane in (await lane_names(tx) if names is None else names)]


def jumps(view: LaneView, now: int) -> tuple[int, int] | None:
    """(allowance, the most that a recent step sent) where the first is twice or more the second; else None."""
    sent = [step.sent for step in view.past if step.sent > 0][-GUARDED:]
    if not sent:
        return None
    allowed = allowed_now(view, now)
    return (allowed, max(sent)) if allowed >= 2 * max(sent) else None


def allowed_now(view: LaneView, now: int) -> int:
    """The allowance of the step that contains now."""
    return allowance(view.ramp, view.past, step_at(view.ramp, now).start).value


def state_of(hold: Held | None, health: LaneHealth, reputation: Reputation) -> tuple[str, str]:
    """A lane's state in one word, and why it is so: held, waiting, slow or healthy, the first that is true."""
    if hold is not None:
        return str(LaneState.HELD), hold.reason
    if health.waiting:
        return "waiting", health.why
    # A hold whose time has passed is over, though it is written down only with the next release.
    state = LaneState.SLOW if reputation.share < 1 else LaneState.HEALTHY
    return str(state), reputation.cause if state is LaneState.SLOW else ""


async def _lane(
    tx: AsyncConnection, works: Works, standing: Standing, lane: str, now: int, queue: tuple[int, int | None]
) -> LaneNow:
    queued, soonest = queue
    ramp = works.policy.ramp_of(lane)
    if ramp is None:
        return LaneNow(lane, "closed", "its sender is not configured", 0, 0, queued, None)
    step = step_at(ramp, now)
    book = await ledger.read(tx, lane, step.start, step.end, ramp)
    hold = standing.lane_hold(lane)
    health, reputation = works.health_of(lane), await lanes.read(tx, lane)
    due = [Run(run.priority, run.rank, run.segment, run.campaign, run.count)
           for run in await tallies.runs(tx, lane, "queued")]
    runs = releasable(bounded(lane, due, standing), standing)
    if soonest is not None:
        runs.append(Run(0, 0, "", "", 1, not_before=soonest))
    view = LaneView(
        lane=lane, ramp=ramp, past=book.past, step_spent=book.spent, step_unsent=book.unsent,
        step_healthy=book.healthy, last_slot_end=book.last_slot_end, backlog=runs, health=health,
        held=Hold(hold.reason, hold.until) if hold is not None else None, reputation=reputation,
    )
    state, why = state_of(hold, health, reputation)
    ahead = clocks.ran_ahead(book.last_slot_end, ramp.every, now)
    if hold is None and ahead:
        state, why = "waiting", ahead
    return LaneNow(lane, state, why, allowed_now(view, now), book.spent, queued, view, standing.bounds)
