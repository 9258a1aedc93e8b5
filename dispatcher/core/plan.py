"""The batches to come: what the daemon will do, computed by the functions that it decides with.

`plan` walks every lane slot by slot, as the daemon does: `coming_slot`, `allowance`, `release_size`; due messages in
the order of priority, then segment rank, then first come; a step that ends becomes a past step, so the plan grows with
the ramp. It assumes that the world stays as it is: everything released is handed over, steps to come are healthy.

A slot is released once, at its start or, where nothing is due then, as soon as something is: late, with the rest of
its size. A message that becomes due after its lane's slot has been released waits for the next one.

Cost: slots that have nothing to release are jumped over, so the work follows the batches planned, not the slots
passed; 100,000 batches take a second or two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, merge
from itertools import islice
from typing import Final

from config.ramps import Ramp
from config.units import DAY
from dispatcher.core.calendar import Slot, coming_slot, next_slot, step_at
from dispatcher.core.lane_health import HEALTHY, LaneHealth, rested
from dispatcher.core.ramp import Brakes, Limit, PastStep, allowance, look_on, release_size, start_time

HORIZON: Final = 400 * DAY         # how far a plan looks where nobody says how far


@dataclass(frozen=True, slots=True)
class Run:
    """Queued messages of a lane that a plan need not tell apart. Runs given first are the ones that came first."""

    priority: int
    rank: int
    segment: str
    campaign: str
    count: int
    not_before: int = 0             # 0: due now
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A lane that releases nothing; without `until`, until somebody resumes it."""

    reason: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class LaneView:
    """All that the plan of a lane follows from."""

    lane: str
    ramp: Ramp
    past: Sequence[PastStep] = ()   # steps before the one that contains now, oldest first
    step_spent: int = 0             # taken by the batches of the step that contains now
    step_unsent: int = 0            # of those, came back unsent
    step_healthy: bool = True
    last_slot_end: int = 0          # end of the last slot that was released; no slot starts before it
    held: Hold | None = None
    backlog: Sequence[Run] = ()
    health: LaneHealth = HEALTHY    # of its server: what a slow one takes, until when an unreachable one is waited for


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """What one slot of a lane will release: `size` messages, evenly over [at, until)."""

    at: int
    until: int
    lane: str
    size: int
    segments: Mapping[str, int]
    campaigns: Mapping[str, int]
    limit: Limit                    # what keeps it from being larger

    @property
    def last_at(self) -> int:
        """The planned start of its last message."""
        return start_time(self.at, self.until, self.size, self.size - 1)


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Messages of a lane that the plan has no time for, and why."""

    lane: str
    count: int
    why: str                        # "held: ..." with the hold's reason, or "later" than this plan looks


@dataclass(frozen=True, slots=True)
class Plan:
    """The batches of all lanes by time, then lane; what becomes of the rest."""

    batches: Sequence[PlannedBatch]
    done_at: int | None             # planned start of the very last message; None if some are left, or there are none
    late: int                       # messages that will expire before their turn: who hears too late
    left: int                       # messages with no place in this plan
    late_campaigns: Mapping[str, int] = field(default_factory=dict)
    unplaced: Sequence[Unplaced] = ()


def plan(lanes: Sequence[LaneView], now: int, until: int | None = None, most: int = 100_000) -> Plan:
    """The batches that start before `until` (400 days from now where left out), at most `most` of them."""
    horizon = now + HORIZON if until is None else until
    queues = {view.lane: _Queue(view.backlog) for view in lanes}
    walks = [_walk(view, queues[view.lane], now, horizon) for view in lanes if not _held_for_good(view)]
    batches = list(islice(merge(*walks, key=lambda batch: (batch.at, batch.lane)), most))
    if len(batches) >= most:
        horizon = min(horizon, batches[-1].at if batches else now)
    placed = dict.fromkeys(queues, 0)
    for batch in batches:
        placed[batch.lane] += batch.size
    unplaced: list[Unplaced] = []
    late: dict[str, int] = {}
    for view in lanes:
        queue = queues[view.lane]
        if not _held_for_good(view):
            queue.expire(horizon)
        count = queue.total - sum(queue.late.values()) - placed[view.lane]
        if count:
            unplaced.append(Unplaced(view.lane, count, _why_unplaced(view)))
        for campaign, number in queue.late.items():
            late[campaign] = late.get(campaign, 0) + number
    left = sum(lane.count for lane in unplaced)
    done_at = max((batch.last_at for batch in batches), default=None) if left == 0 else None
    return Plan(batches, done_at, sum(late.values()), left, late, unplaced)


def _held_for_good(view: LaneView) -> bool:
    return view.held is not None and view.held.until is None


def _why_unplaced(view: LaneView) -> str:
    return f"held: {view.held.reason}" if view.held is not None and view.held.until is None else "later"


def _walk(view: LaneView, queue: "_Queue", now: int, horizon: int) -> Iterator[PlannedBatch]:
    """The batches of one lane, in order, until its queue is empty or the horizon reached."""
    ramp, lane = view.ramp, view.lane
    begin = max(now, view.health.until, (view.held.until or 0) if view.held else 0)
    health = view.health
    ledger = _open_ledger(view, now)
    slot = coming_slot(ramp, lane, begin, view.last_slot_end)
    while (at := max(slot.start, begin)) < horizon and (due := queue.due(at)) is not None:
        if due > at:
            begin = due
            slot = coming_slot(ramp, lane, begin, slot.start)
            continue
        ledger.enter(slot)
        size = release_size(ramp, ledger.allowed, slot, at, ledger.spent, Brakes(share=health.share))
        if size.value == 0:
            slot = next_slot(ramp, lane, look_on(ramp, ledger.allowed, slot, ledger.spent, health.share))
            continue
        health = rested(health, slot.end - slot.start)
        segments, campaigns = queue.take(at, size.value)
        taken = sum(segments.values())
        ledger.spent += taken
        ledger.last_at = at
        limit = size.limit if taken == size.value else Limit.BACKLOG
        yield PlannedBatch(at, slot.end, lane, taken, segments, campaigns, limit)
        slot = next_slot(ramp, lane, slot.end)


@dataclass(slots=True)
class _Ledger:
    """The step that a walk is in, what has been spent of it, and the steps behind."""

    ramp: Ramp
    past: list[PastStep]
    start: int
    end: int
    allowed: int
    spent: int
    unsent: int
    healthy: bool
    last_at: int | None

    def enter(self, slot: Slot) -> None:
        """Go over to the slot's step, where it is another one."""
        if slot.step_start == self.start:
            return
        self.past.append(
            PastStep(self.start, self.end, self.allowed, self.spent, self.unsent, self.healthy, self.last_at)
        )
        self.start, self.end = slot.step_start, slot.step_end
        self.allowed = allowance(self.ramp, self.past, self.start).value
        self.spent, self.unsent, self.healthy, self.last_at = 0, 0, True, None


def _open_ledger(view: LaneView, now: int) -> _Ledger:
    step, past = step_at(view.ramp, now), list(view.past)
    allowed = allowance(view.ramp, past, step.start).value
    # The last release was within the last slot; its end is near enough for the question whether the lane is cold.
    last_at = view.last_slot_end or None
    return _Ledger(
        view.ramp, past, step.start, step.end, allowed, view.step_spent, view.step_unsent, view.step_healthy, last_at
    )


class _Queue:
    """A lane's backlog: what is due in the order of release, what waits, and who came too late."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self.left = [run.count for run in runs]
        self.total = sum(self.left)
        self.late: dict[str, int] = {}
        self._due: list[tuple[int, int, int]] = []
        self._waiting = [(run.not_before, number) for number, run in enumerate(runs)]
        heapify(self._waiting)

    def due(self, at: int) -> int | None:
        """`at` if a message is due then, else the instant at which the next one will be; None if there is none."""
        while self._waiting and self._waiting[0][0] <= at:
            _, number = heappop(self._waiting)
            run = self.runs[number]
            heappush(self._due, (run.priority, run.rank, number))
        if self._first(at) is not None:
            return at
        return self._waiting[0][0] if self._waiting else None

    def take(self, at: int, most: int) -> tuple[dict[str, int], dict[str, int]]:
        """The first due messages, at most so many, counted by segment and by campaign."""
        segments: dict[str, int] = {}
        campaigns: dict[str, int] = {}
        while most and (number := self._first(at)) is not None:
            run = self.runs[number]
            count = min(most, self.left[number])
            self.left[number] -= count
            most -= count
            segments[run.segment] = segments.get(run.segment, 0) + count
            campaigns[run.campaign] = campaigns.get(run.campaign, 0) + count
        return segments, campaigns

    def expire(self, at: int) -> None:
        """Count who will have heard nothing by `at`, and then would hear too late."""
        for number, run in enumerate(self.runs):
            if run.expires_at is not None and run.expires_at <= at:
                self._give_up(number)

    def _first(self, at: int) -> int | None:
        while self._due:
            number = self._due[0][2]
            expires_at = self.runs[number].expires_at
            if expires_at is not None and expires_at <= at:
                self._give_up(number)
            if self.left[number]:
                return number
            heappop(self._due)
        return None

    def _give_up(self, number: int) -> None:
        if self.left[number]:
            campaign = self.runs[number].campaign
            self.late[campaign] = self.late.get(campaign, 0) + self.left[number]
            self.left[number] = 0
