"""One lane's way through its slots in a plan, by the functions that the daemon decides with.

Each turn resolves the slot at hand: a batch, or nothing and the next slot to look at. A slot is released once, at its
start or, where nothing is due then, as soon as something is: late, with the rest of its size. A message that becomes
due after its lane's slot has been released waits for the next one. Slots that have nothing to release are jumped over.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from config.ramps import Ramp
from config.units import DAY
from dispatcher.core.backlog import Parts, Queue, Run
from dispatcher.core.calendar import Slot, coming_slot, next_slot, step_at
from dispatcher.core.lane_health import HEALTHY, LaneHealth
from dispatcher.core.quotas import Meter, Purse
from dispatcher.core.ramp import Brakes, Limit, PastStep, Size, allowance, look_on, release_size, start_time
from dispatcher.core.reputation import UNBLEMISHED, LaneState, Reputation, bound_at, climbed, resumed


@dataclass(frozen=True, slots=True)
class Hold:
    """A lane that releases nothing; without `until`, until somebody resumes it."""

    reason: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class LaneView:
    """All that the plan of a lane follows from, but for bounds over several lanes."""

    lane: str
    ramp: Ramp
    past: Sequence[PastStep] = ()   # steps before the one that contains now, oldest first
    step_spent: int = 0             # taken by the batches of the step that contains now
    step_unsent: int = 0            # of those, came back unsent
    step_healthy: bool = True
    last_slot_end: int = 0          # end of the last slot that was released; no slot starts before it
    held: Hold | None = None        # by a person
    backlog: Sequence[Run] = ()
    health: LaneHealth = HEALTHY    # until when its server, which cannot be reached, is waited for
    reputation: Reputation = UNBLEMISHED

    @property
    def holds(self) -> Sequence[Hold]:
        """What holds the lane: a person, its reputation, or both."""
        found = [self.held] if self.held is not None else []
        if self.reputation.state is LaneState.HELD:
            found.append(Hold(self.reputation.cause, self.reputation.held_until))
        return found

    @property
    def held_for_good(self) -> Hold | None:
        """The hold that only a person ends."""
        return next((hold for hold in self.holds if hold.until is None), None)

    def opens_at(self, now: int) -> int:
        """When the lane may release something, as far as holds go."""
        return max(now, *(hold.until or now for hold in self.holds)) if self.holds else now


class After(StrEnum):
    """What a lane waited for before a batch."""

    NOTHING = ""            # but its slot
    HOURS = "hours"         # its window was closed while something was due
    HOLD = "hold"
    CANARY = "canary"       # nothing was due before a canary's verdict, which is assumed to be good
    WAITING = "waiting"     # nothing was due


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """What one slot of a lane will release: `size` messages, evenly over [at, until)."""

    at: int
    until: int
    lane: str
    size: int
    parts: Parts                    # (campaign, segment) -> messages: a plan may have tens of thousands of these
    limit: Limit                    # what keeps it from being larger
    after: After = After.NOTHING
    allowance: int = 0              # of its step

    @property
    def campaigns(self) -> dict[str, int]:
        """Campaign -> messages."""
        return _summed((campaign, count) for (campaign, _), count in self.parts.items())

    @property
    def segments(self) -> dict[str, int]:
        """Segment -> messages, of all campaigns."""
        return _summed((segment, count) for (_, segment), count in self.parts.items())

    @property
    def last_at(self) -> int:
        """The planned start of its last message."""
        return start_time(self.at, self.until, self.size, self.size - 1)


class Walk:
    """A lane's way."""

    def __init__(self, view: LaneView, queue: Queue, now: int) -> None:
        self.lane = view.lane
        self.queue = queue
        self.over = view.held_for_good is not None      # nothing more comes
        self._ramp = view.ramp
        self._opens = view.opens_at(now)
        self._begin = max(self._opens, view.health.until)
        self._reputation = view.reputation
        if view.reputation.state is LaneState.HELD:
            self._reputation = resumed(view.reputation, self._opens, by_person=False)
        self._ledger = _open_ledger(view, now)
        self._slot = coming_slot(view.ramp, view.lane, self._begin, view.last_slot_end)
        self._since = now               # what came before has been accounted for
        self._idle = False              # nothing was due before that

    @property
    def at(self) -> int:
        """When it next looks."""
        return max(self._slot.start, self._begin)

    def turn(self, meter: Meter) -> tuple[PlannedBatch | None, Mapping[str, int]]:
        """Resolve the slot at hand; with the campaigns whose canary is now all out, and until when it is waited for."""
        at, slot, ramp = self.at, self._slot, self._ramp
        due = self.queue.due(at)
        if due is None:
            self.over = True
            return None, {}
        if due > at:
            self._since, self._idle = due, True
            self._look_at(due, slot.start)
            return None, {}
        ledger = self._ledger
        ledger.enter(slot)
        brakes = Brakes(share=self._reputation.share, per_minute=bound_at(self._reputation, at))
        size = release_size(ramp, ledger.allowed, slot, at, ledger.spent, brakes)
        if size.value == 0:
            self._slot = next_slot(ramp, self.lane, look_on(ramp, ledger.allowed, slot, ledger.spent, brakes))
            return None, {}
        purse = Purse(meter, self.lane, slot, at)
        parts = self.queue.take(at, size.value, purse)
        if not parts:
            self._pass_by(slot, purse.opens_at())
            return None, {}
        batch = self._released(slot, parts, size, purse)
        return batch, purse.settle()

    def _released(self, slot: Slot, parts: Parts, size: Size, purse: Purse) -> PlannedBatch:
        at, taken = self.at, sum(parts.values())
        self._ledger.spent += taken
        self._ledger.last_at = at
        self._reputation = climbed(self._reputation, slot)
        limit = size.limit if taken == size.value else purse.stopped_by or Limit.BACKLOG
        after = self._after(slot, {campaign for campaign, _ in parts}, purse.meter)
        self._since, self._idle = slot.end, False
        self._slot = next_slot(self._ramp, self.lane, slot.end)
        return PlannedBatch(at, slot.end, self.lane, taken, parts, limit, after, self._ledger.allowed)

    def _pass_by(self, slot: Slot, opens_at: int) -> None:
        """All that is due is stopped by bounds over lanes: the slot is gone, and the next may be a while away."""
        following = next_slot(self._ramp, self.lane, max(slot.end, opens_at))
        due = self.queue.next_due()
        if due is not None and due < following.start:
            self._look_at(due, slot.end)
        else:
            self._slot = following

    def _look_at(self, instant: int, released_until: int) -> None:
        self._begin = max(self._begin, instant)
        self._slot = coming_slot(self._ramp, self.lane, self._begin, released_until)

    def _after(self, slot: Slot, campaigns: Collection[str], meter: Meter) -> After:
        if self._since < self._opens:
            return After.HOLD
        if _was_closed(self._ramp, self._since, slot):
            return After.HOURS
        if not self._idle:
            return After.NOTHING
        judged = any(meter.waits.get(campaign) == self._since for campaign in campaigns)
        return After.CANARY if judged else After.WAITING


def _summed(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in counts:
        found[name] = found.get(name, 0) + count
    return found


def _was_closed(ramp: Ramp, since: int, slot: Slot) -> bool:
    """Whether the ramp's hours were closed at any time from an instant to a slot."""
    while since < slot.start:
        step = step_at(ramp, since)
        if step.count == 0 or since < step.opens:
            return True
        if step.start == slot.step_start:
            return False
        if ramp.step < DAY:
            since = min(since + DAY, max(slot.start - 1, since + 1))
            continue
        if step.closes < step.end:
            return True
        since = step.end
    return False


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
