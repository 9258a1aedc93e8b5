"""How many messages a lane may send: a step's allowance, a slot's size, the spread over the slot.

The rule, in the order in which it is applied (product.md, section 4; `allowance` is its one implementation):

1. Only steps in which something was sent count. After more than `cold_after` without any, the lane starts over: what
   was before is forgotten.
2. A lane without such a step behind it starts with `start`.
3. Otherwise the last such step's allowance is the base. If it was unhealthy: three quarters of it. If one of the last
   three was unhealthy: the base again. If it was filled to 90 %: times `growth`, rounded down, but one more at least.
   If not: the base again.
4. Guard: less than `guard` times the most that was sent in any of the last 7 steps, or `start` if that is more.
5. A lane with none of its last three unhealthy is never below `start`; but one that was brought down climbs back by
   growth alone, without a jump, until it allows again what its unhealthy steps allowed, or until 30 are behind it.
6. Never above `ceiling`. (Never below 1: neither `start` nor `ceiling` can be, and shrinking stops there.)

With explicit `steps` the first of them is the start, growing means going to the next greater one, and the last is one
more ceiling; below the first one it grows by `growth`. The guard then does not apply: the timetable is the operator's
own word, and `check` warns of its jumps.

All of it follows from the settings in force and the steps behind, so a changed setting bites at once, in the middle
of a step too. Numbers are whole, and no float takes part: growth 1.2 is 6/5 here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from itertools import takewhile
from math import ceil, floor
from typing import Final

from config.ramps import Ramp
from config.units import MILLISECONDS
from dispatcher.core.calendar import Slot

_REMEMBERED: Final = 7             # sending steps that the guard looks at
_CLIMBS: Final = 30                # sending steps, at most, in which a lane that was brought down climbs back
_REST: Final = 3                   # sending steps without growth after an unhealthy one
_SHRINK: Final = Fraction(3, 4)
_FILLED: Final = Fraction(9, 10)
LEAD: Final = 60
"""Milliseconds after its release at which a batch's first message starts, where the slot allows for so much."""


@dataclass(frozen=True, slots=True)
class PastStep:
    """What became of a step, from the ledger."""

    start: int
    end: int
    allowance: int              # the last one in force
    spent: int                  # the sum of its batches
    unsent: int = 0             # of those, came back without the provider having seen them, as far as known now
    healthy: bool = True
    last_at: int | None = None  # the last release; None, as in an imported history: not known, the end counts

    @property
    def sent(self) -> int:
        """What the provider saw, or may have seen."""
        return self.spent - self.unsent


class Why(StrEnum):
    """What an allowance comes from: the rule that had the last word."""

    FIRST = "first"         # nothing was ever sent: start
    COLD = "cold"           # nothing was sent for longer than cold_after: start
    GROWN = "grown"         # the last step was filled and healthy
    SAME = "same"           # the last step was not filled, or there is nothing to grow to
    SHRUNK = "shrunk"       # the last step was unhealthy
    RESTING = "resting"     # one of the last three was
    GUARD = "guard"         # too little was really sent in the last 7 steps for what would have followed
    START = "start"         # lifted to start
    CEILING = "ceiling"     # held down to the ceiling, or to the last of the ramp's own steps


@dataclass(frozen=True, slots=True)
class Allowance:
    """The messages that a lane may send in a step, and why so many."""

    value: int
    why: Why


class Limit(StrEnum):
    """What kept a batch from being larger."""

    ALLOWANCE = "allowance"             # the slot's share of the step's allowance
    SPENT = "spent"                     # the step has less left than that share
    LARGEST_BATCH = "largest_batch"
    PENDING = "pending"                 # messages of earlier slots have not yet begun to be handed over
    SLOW = "slow"                       # the lane's reputation, or a reply rule's pace (core/reputation.py)
    LATE = "late"                       # released late: only the rest of the slot counts
    REPLIES = "replies"                 # people cannot answer more in an hour (quotas.py)
    CANARY = "canary"                   # the campaign's first messages go alone (quotas.py)
    BACKLOG = "backlog"                 # no more messages were due


@dataclass(frozen=True, slots=True)
class Size:
    """How many messages a slot may release at most, and what keeps it from more."""

    value: int
    limit: Limit


def allowance(ramp: Ramp, past: Sequence[PastStep], at: int) -> Allowance:
    """What a lane may send in one step, by the rule at this file's head.

    `past` holds the lane's earlier steps, oldest first, without the one that the allowance is for; the last few are
    enough. `at` is the start of that step: asked so, a lane does not turn cold in the middle of a step it sends in.
    """
    behind = _recent(past, ramp.cold_after, at)
    recent = behind[:_REMEMBERED]
    start, top = first_allowance(ramp), _top(ramp)
    if not recent:
        was_warm = any(step.sent > 0 for step in past)
        return _bounded(Allowance(start, Why.COLD if was_warm else Why.FIRST), top)
    well = all(step.healthy for step in recent[:_REST])
    found = _followed(ramp, recent, well=well)
    if not ramp.steps:
        most = max(step.sent for step in recent)
        found = _bounded(found, max(ceil(_exact(ramp.guard) * most) - 1, start), Why.GUARD)
    if well and found.value < start and _has_regained(behind):
        found = Allowance(start, Why.START)
    return _bounded(found, top)


def first_allowance(ramp: Ramp) -> int:
    """What a lane starts with, before the ceiling."""
    return ramp.steps[0] if ramp.steps else ramp.start


def _recent(past: Sequence[PastStep], cold_after: int, at: int) -> list[PastStep]:
    """The last sending steps since the lane last started over, newest first, as many as any rule looks at."""
    recent: list[PastStep] = []
    for step in reversed(past):
        if step.sent <= 0:
            continue
        last_at = step.end if step.last_at is None else step.last_at
        if len(recent) == _CLIMBS or at - last_at > cold_after:
            break
        recent.append(step)
        at = step.start
    return recent


def _has_regained(behind: Sequence[PastStep]) -> bool:
    """Whether the lane has allowed again, since its last unhealthy step, what its unhealthy steps allowed at most."""
    fell_from = max((step.allowance for step in behind if not step.healthy), default=0)
    return any(step.allowance >= fell_from for step in takewhile(lambda step: step.healthy, behind))


def _followed(ramp: Ramp, recent: Sequence[PastStep], *, well: bool) -> Allowance:
    """The allowance that follows from the steps behind alone (point 3)."""
    last = recent[0]
    base = last.allowance
    if not last.healthy:
        return Allowance(max(floor(base * _SHRINK), 1), Why.SHRUNK)
    if not well:
        return Allowance(base, Why.RESTING)
    if last.sent < base * _FILLED:
        return Allowance(base, Why.SAME)
    grown = _grown(ramp, base)
    return Allowance(grown, Why.GROWN if grown > base else Why.SAME)


def _grown(ramp: Ramp, base: int) -> int:
    if ramp.steps and base >= ramp.steps[0]:
        return next((step for step in ramp.steps if step > base), base)
    if ramp.growth <= 1:
        return base
    grown = max(floor(base * _exact(ramp.growth)), base + 1)
    return min(grown, ramp.steps[0]) if ramp.steps else grown


def _top(ramp: Ramp) -> int:
    return min(ramp.ceiling, ramp.steps[-1]) if ramp.steps else ramp.ceiling


def _bounded(found: Allowance, most: int, why: Why = Why.CEILING) -> Allowance:
    return found if found.value <= most else Allowance(most, why)


@lru_cache(maxsize=256)
def _exact(factor: float) -> Fraction:
    """The number that ops wrote: 1.2 is 6/5, not the float next to it."""
    return Fraction(str(factor))


@dataclass(frozen=True, slots=True)
class Brakes:
    """What holds a release back besides its ramp: how its provider takes the lane.

    Both are cut of the step's allowance, not of each slot, so that slots of one message become rarer and not empty:
    a `share` below 1 (of largest_batch, too), and `per_minute`, which comes to as many messages as the step has slots
    of so many minutes. At 10 a minute, slots of a second release one each sixth.
    """

    pending: int = 0        # released by earlier slots of the lane, and not yet begun to be handed over
    share: float = 1.0
    per_minute: int | None = None


FREE: Final = Brakes()


def release_size(ramp: Ramp, allowed: int, slot: Slot, now: int, spent: int, brakes: Brakes = FREE) -> Size:
    """How many messages a release of this slot at `now` may take; daemon and plan ask here.

    `allowed` is the step's allowance, `spent` what the step's batches have taken of it.
    """
    cut, largest = _cut(ramp, allowed, slot, brakes), _part(ramp.largest_batch, brakes.share)
    size = _whole_size(cut, slot, allowed - spent, largest, brakes.pending)
    slow = brakes.share < 1
    if (size.limit is Limit.ALLOWANCE and (slow or cut < allowed)) or (size.limit is Limit.LARGEST_BATCH and slow):
        size = Size(size.value, Limit.SLOW)
    late = late_size(size.value, slot, now)
    return size if late == size.value else Size(late, Limit.LATE)


def slot_size(allowed: int, slot: Slot, spent: int, largest_batch: int, pending: int = 0) -> int:
    """The size of a slot released in time: its share of the allowance, at most largest_batch and what is left.

    The share is floor(A * (i + 1) / n) - floor(A * i / n): all shares of a step add up to A, and none differs from
    another by more than one.
    """
    return _whole_size(allowed, slot, allowed - spent, largest_batch, pending).value


def _cut(ramp: Ramp, allowed: int, slot: Slot, brakes: Brakes) -> int:
    """What the brakes leave of a step's allowance."""
    left = _part(allowed, brakes.share)
    if brakes.per_minute is None:
        return left
    return min(left, max(brakes.per_minute * slot.count * ramp.every // MILLISECONDS["m"], 1))


def _part(whole: int, share: float) -> int:
    return whole if share >= 1 else max(int(whole * share), 1)


def _whole_size(allowed: int, slot: Slot, left: int, largest_batch: int, pending: int) -> Size:
    share = allowed * (slot.index + 1) // slot.count - allowed * slot.index // slot.count
    bounds = ((share, Limit.ALLOWANCE), (largest_batch, Limit.LARGEST_BATCH), (left, Limit.SPENT))
    size, limit = min(bounds, key=lambda bound: bound[0])
    return Size(max(size - pending, 0), Limit.PENDING if pending else limit)


def late_size(size: int, slot: Slot, now: int) -> int:
    """The size of a slot that is released at `now`.

    All of it in the slot's first tenth (or a second, where that is longer and still in its first half), later only the
    part that the rest of the slot is of all of it: what a slot did not use is not made up for.
    """
    whole, left = slot.end - slot.start, slot.end - now
    grace = max(whole // 10, min(1_000, whole // 2))
    return size if whole - left <= grace else size * max(left, 0) // whole


def slot_with_share(ramp: Ramp, allowed: int, slot: Slot) -> int:
    """Where to look on after a slot that could release nothing: the start of the step's next slot that has a share.

    So that nobody walks the empty ones: with an allowance of 10 a day, of the slots of a second only every 8,640th has
    a share. The answer may lie beyond the step's end.
    """
    whole = allowed * (slot.index + 1) // slot.count + 1            # messages once that slot has had its share
    index = -(-whole * slot.count // allowed) - 1
    return slot.start + (index - slot.index) * ramp.every


def look_on(ramp: Ramp, allowed: int, slot: Slot, spent: int, brakes: Brakes = FREE) -> int:
    """Where to look on after a slot that released nothing: the next with a share, or the next step if all is spent."""
    return slot.step_end if spent >= allowed else slot_with_share(ramp, _cut(ramp, allowed, slot, brakes), slot)


def start_times(slot: Slot, size: int, now: int) -> list[int]:
    """The instants at which the messages of a batch start, evenly over what remains of the slot at `now`."""
    begin = max(slot.start, now)
    return [start_time(begin, slot.end, size, number) for number in range(size)]


def start_time(begin: int, end: int, size: int, number: int) -> int:
    """The start of message `number`, from 0, of the `size` that leave evenly over [begin, end).

    The first leaves LEAD after the beginning, or a tenth of the time where that is shorter: time to put it into words
    and to mark it, so that it is as punctual as the others. One planned for the very start of a step would now and
    then be counted for the step before by a server whose clock is a little behind.
    """
    remaining = max(end - begin, 0)
    lead = min(LEAD, remaining // 10)
    return begin + lead + (remaining - lead) * number // size
