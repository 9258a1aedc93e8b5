"""When a lane may send: steps, the window of a step, and the slots that cut it.

Steps. A step of a day starts at midnight of the ramp's zone (times.py says which instant that is where clocks change);
it has 23, 24 or 25 hours. A shorter step divides the day by the time gone since that midnight. Where a day does not
hold a whole number of them, its last step is a cut one.

Window. For a step of a day, the ramp's hours on that date, if its weekday is allowed; for a shorter one, all of it,
on allowed weekdays. Nothing is planned after a window's end.

Slots. A window holds n = floor(length / every) slots, counted in time that really passes, so a day of 23 or 25 hours
has fewer or more. A cut step keeps the n of a whole one, and has only the first of them: it gets its share of the
allowance, no more. Slot i spans [opens + offset + i * every, opens + offset + (i + 1) * every), and ends at the latest
with the window. An "auto" offset is derived from the lane's name: off the round minute, where the whole world sends,
and the same every day.

Everything here is computed directly from the instant asked for; zone arithmetic is done once a day and zone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import sha256
from typing import Final

from config.ramps import Ramp
from config.units import DAY
from dispatcher.core.times import local_date, local_to_instant

_SEARCHED: Final = 400             # windows looked at before a ramp is said to have none; a year and a bit of days
_MINUTE: Final = 60_000
_OFF_MINUTE: Final = 5_000         # an automatic offset keeps at least so far from the round minute, where it can


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a ramp and its window. Instants; the end is the first one no longer in it."""

    start: int
    end: int
    opens: int      # the window
    closes: int
    count: int      # n, the slots of a whole window; 0 where the step has no window


@dataclass(frozen=True, slots=True)
class Slot:
    """One planned time of a lane, [start, end), with its place in its step."""

    step_start: int
    step_end: int
    index: int      # 0, 1, ... count - 1
    count: int
    start: int
    end: int


def step_at(ramp: Ramp, instant: int) -> Step:
    """The step that contains an instant, with a window or without."""
    ordinal = _day_of(ramp.timezone, instant)
    start, end = _day(ramp.timezone, ordinal)
    open_today = date.fromordinal(ordinal).weekday() in ramp.weekdays
    if ramp.step >= DAY:
        opens, closes = _window(ramp.timezone, ordinal, ramp.hours)
        return Step(start, end, opens, closes, (closes - opens) // ramp.every if open_today else 0)
    start += (instant - start) // ramp.step * ramp.step
    end = min(start + ramp.step, end)
    return Step(start, end, start, end, ramp.step // ramp.every if open_today else 0)


def slot_at(ramp: Ramp, lane: str, now: int) -> Slot | None:
    """The lane's slot that contains `now`; None between windows, and before the offset of a window's first slot."""
    step = step_at(ramp, now)
    return _slot(ramp, step, slot_offset(ramp, lane), now, rounding=0)


def next_slot(ramp: Ramp, lane: str, after: int) -> Slot:
    """The lane's first slot that starts at `after` or later.

    ValueError for a ramp that has no slot at all, because `every` is longer than its windows; the configuration
    refuses such a ramp.
    """
    offset = slot_offset(ramp, lane)
    at = after
    for _ in range(_SEARCHED):
        step = step_at(ramp, at)
        slot = _slot(ramp, step, offset, max(after, step.opens + offset), rounding=ramp.every - 1)
        if slot is not None:
            return slot
        at = step.end if step.count else _day(ramp.timezone, _day_of(ramp.timezone, at))[1]
    raise ValueError(f"the ramp of lane {lane} has no slot: make `every` shorter than its hours")


def coming_slot(ramp: Ramp, lane: str, now: int, released_until: int) -> Slot:
    """The slot that the lane releases next: the one that contains `now`, late, or else the first one to come.

    `released_until` is the end of the last slot that the lane has released (0: none yet). No slot starts before it,
    whatever a reload did to the ramp or an operator to the clock.
    """
    slot = slot_at(ramp, lane, now)
    if slot is not None and slot.start >= released_until:
        return slot
    return next_slot(ramp, lane, max(now, released_until))


def slots_from(ramp: Ramp, lane: str, after: int) -> Iterator[Slot]:
    """The lane's slots that start at `after` or later, in order, without end."""
    slot = next_slot(ramp, lane, after)
    while True:
        yield slot
        slot = next_slot(ramp, lane, slot.end)


def slot_offset(ramp: Ramp, lane: str) -> int:
    """Milliseconds between a window's start and its first slot: the ramp's own, or the lane's automatic one."""
    return _auto_offset(lane, ramp.every) if ramp.offset is None else ramp.offset


def _slot(ramp: Ramp, step: Step, offset: int, at: int, rounding: int) -> Slot | None:
    """The slot of a step that contains `at` (rounding 0), or the first that starts there or later (every - 1)."""
    first = step.opens + offset
    index = (at - first + rounding) // ramp.every
    start = first + index * ramp.every
    if not 0 <= index < step.count or max(start, at) >= step.closes:
        return None
    return Slot(step.start, step.end, index, step.count, start, min(start + ramp.every, step.closes))


@lru_cache(maxsize=4096)
def _auto_offset(lane: str, every: int) -> int:
    """A whole number of milliseconds in (0, every / 10], the same for a lane on every machine and every day.

    At least 5 s off the round minute where a tenth of `every` leaves room for that: 5 to 30 s for slots of 5 minutes.
    """
    most = every // 10
    if most == 0:
        return 0
    minutes = most // _MINUTE
    lowest = min(_OFF_MINUTE, max(most // 6, 1))
    highest = _MINUTE - _OFF_MINUTE if minutes else min(most, _MINUTE - _OFF_MINUTE)
    chance = int.from_bytes(sha256(lane.encode()).digest()[:8], "big")
    within = lowest + chance % (highest - lowest + 1)
    return within + (chance >> 32) % minutes * _MINUTE if minutes else within


@lru_cache(maxsize=4096)
def _window(timezone: str, ordinal: int, hours: tuple[int, int]) -> tuple[int, int]:
    day = date.fromordinal(ordinal)
    return local_to_instant(day, hours[0], timezone), local_to_instant(day, hours[1], timezone)


@lru_cache(maxsize=4096)
def _day(timezone: str, ordinal: int) -> tuple[int, int]:
    return _window(timezone, ordinal, (0, 1440))


def _day_of(timezone: str, instant: int) -> int:
    """The day whose [midnight, next midnight) contains an instant, as the ordinal of its date.

    Not always the date that clocks show: where they go back over midnight (St. John's did, a minute past it), the
    hour that comes twice belongs to the day that had begun.
    """
    ordinal = local_date(instant, timezone).toordinal()
    return ordinal + 1 if instant >= _day(timezone, ordinal)[1] else ordinal
