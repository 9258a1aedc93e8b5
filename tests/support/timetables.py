"""Ramps, instants and past steps, written so that a test reads like a timetable."""

from typing import Any

from config.ramps import Ramp
from config.units import DAY, parse_duration, parse_hours, parse_weekdays
from dispatcher.core.ramp import PastStep
from dispatcher.core.times import parse_instant

CAREFUL: dict[str, Any] = {
    "start": 100, "growth": 1.2, "ceiling": 10_000, "steps": (), "step": "1d", "every": "5m", "hours": "08:00-20:00",
    "weekdays": "mon-sun", "timezone": "Europe/Berlin", "largest_batch": 200, "offset": "0s", "guard": 2.0,
    "cold_after": "30d",
}


def ramp(**changes: Any) -> Ramp:
    """The careful ramp of the documentation without offset, with changes as ops would write them."""
    keys = CAREFUL | changes
    for key in ("step", "every", "cold_after", "offset"):
        keys[key] = parse_duration(keys[key]) if keys[key] != "auto" else None
    return Ramp(**keys | {"hours": parse_hours(keys["hours"]), "weekdays": parse_weekdays(keys["weekdays"])})


def at(text: str) -> int:
    """An instant, "2026-03-01 08:00" or "2026-03-01 08:00:05", in UTC."""
    return parse_instant(f"{text}Z" if len(text) > len("2026-03-01 08:00") else f"{text}:00Z")


def days(*sent: int | tuple[int, int], healthy: bool = True, first: int = 0) -> list[PastStep]:
    """Past steps of a day each, from day `first` of 1970: (sent, allowance), or one number for a filled one."""
    pairs = [(one, one) if isinstance(one, int) else one for one in sent]
    return [
        PastStep((first + number) * DAY, (first + number + 1) * DAY, allowance, spent, healthy=healthy)
        for number, (spent, allowance) in enumerate(pairs)
    ]
