"""Units as ops write them, strict: durations, hours, weekdays.

Every parser takes the text of the configuration file and returns a plain value, or raises ValueError with what
is allowed. Durations are milliseconds everywhere in this project: one integer, no rounding, no time zone.
"""

import re
from typing import Final

MILLISECONDS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DAY: Final = MILLISECONDS["d"]
WEEK: Final = 7 * DAY
"""The rolling time that a lane's answers are judged over."""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR: Final = 60        # minutes, as _DAY
_DAY: Final = 1440
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_HOURS = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})", re.ASCII)


def parse_duration(text: str) -> int:
    """Milliseconds of a duration such as "250ms", "30s", "5m", "12h" or "30d"."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError('is no duration; write a whole number and a unit, such as "250ms", "30s", "5m", "12h", "30d"')
    return int(found[1]) * MILLISECONDS[found[2]]


def format_duration(milliseconds: int) -> str:
    """The shortest text that parse_duration reads back as this many milliseconds."""
    for unit in ("d", "h", "m", "s"):
        if milliseconds and milliseconds % MILLISECONDS[unit] == 0:
            return f"{milliseconds // MILLISECONDS[unit]}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def parse_hours(text: str) -> tuple[int, int]:
    """Start and end of daily hours, in minutes since midnight: "08:00-20:00" is (480, 1200); the end may be 24:00.

    The end may lie before the start (hours that pass midnight); who cannot use that refuses it.
    """
    found = _HOURS.fullmatch(text)
    if found is not None:
        first, first_minute, last, last_minute = (int(part) for part in found.groups())
        start, end = first * _HOUR + first_minute, last * _HOUR + last_minute
        if max(first_minute, last_minute) < _HOUR and start < _DAY and end <= _DAY and start != end:
            return start, end
    raise ValueError('are no hours; write "08:00-20:00", or "00:00-24:00" for the whole day')


def parse_weekdays(text: str) -> frozenset[int]:
    """Days of the week, Monday 0: "mon-fri", "mon,wed,sat-sun"."""
    days: set[int] = set()
    for part in text.replace(" ", "").lower().split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if first not in WEEKDAYS or last not in WEEKDAYS:
            raise ValueError('are no weekdays; write "mon-sun", "mon-fri" or "mon,wed,sat"')
        start, end = WEEKDAYS.index(first), WEEKDAYS.index(last)
        days.update(day % 7 for day in range(start, end + (7 if end < start else 0) + 1))
    return frozenset(days)
