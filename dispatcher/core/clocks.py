"""Whether the wall clock can be true: it is not when it says much less than the last thing that was stored.

A clock may run a little back when it is corrected; the monotonic clock, by which deadlines and leases go, never does.
One that has been put back further, or was not set at boot, would open steps and slots that are over. So the daemon
holds until the clock has come up to what was seen, or a person says that it is right.
"""

from dataclasses import dataclass
from typing import Final

from config.units import DAY
from dispatcher.core.report_words import length
from dispatcher.core.times import format_instant

TOLERANCE: Final = 60_000
"""Milliseconds that a clock may say less than the last thing stored: time services correct a running clock by less, and
set back so little it reopens nothing, as no slot starts before the end of the one released last."""

PUT: Final = 2_000
"""Milliseconds by which the wall clock and the monotonic one may part between two looks: a clock that is corrected runs
a little faster or slower for that, one that is put leaps."""
STILL: Final = 1_000
"""Milliseconds by which a look may come too late: a busy loop is late by a few, and a slot lasts a second at least."""


@dataclass(frozen=True, slots=True)
class Look:
    """What both clocks said at once. Milliseconds."""

    wall: int
    passed: int


@dataclass(frozen=True, slots=True)
class Parted:
    """What happened to time between two looks, as far as anything did. Milliseconds."""

    put: int = 0        # the wall clock was put forward by so much; back where it is less than 0
    still: int = 0      # so much later than asked came the second look


def parted(before: Look, after: Look, asked: int) -> Parted:
    """What happened between two looks of which the second was to come so much later."""
    passed = after.passed - before.passed
    put, late = after.wall - before.wall - passed, passed - asked
    return Parted(put if abs(put) > PUT else 0, late if late > STILL else 0)


def put_in_words(put: int) -> str:
    """`forward by 3 h`, `back by 40 s`."""
    return f"{'forward' if put > 0 else 'back'} by {length(abs(put))}"


def still_in_words(still: int) -> str:
    """`for 4 s`."""
    return f"for {length(still)}"


def behind(seen_at: int, now: int) -> str:
    """What is wrong with the clock and what to do, in a line for people; "" for one that can be true."""
    if now >= seen_at - TOLERANCE:
        return ""
    return f"the clock says {_minute(now)}, but the store has seen {_minute(seen_at)}: set the clock; nothing is sent"


def comes_up_at(seen_at: int, now: int) -> int | None:
    """When a clock that is behind can be true again by itself; None where that is so far off that it must be set."""
    at = seen_at - TOLERANCE
    return at if at - now <= DAY else None


def ran_ahead(last_slot_end: int, every: int, now: int) -> str:
    """Why a lane waits whose last slot, of a ramp with slots of `every`, lies ahead; "" for one that is not so."""
    if last_slot_end <= now + every:
        return ""
    return f"its last slot lies ahead, at {_minute(last_slot_end)}: the clock ran ahead then"


def _minute(instant: int) -> str:
    return f"{format_instant(instant - instant % 60_000)[:16].replace('T', ' ')} UTC"
