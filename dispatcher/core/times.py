"""Instants and local times: the only place where milliseconds, calendars and zones meet.

An instant is a whole number of milliseconds since 1970-01-01T00:00:00Z. A local time names the first instant at which
the zone's clocks have come to it or passed it. So one that a change of clocks leaves out is the instant of that change,
and one that comes twice is the first of the two; and of two local times, the later never names the earlier instant.
"""

import re
from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

FIRST_INSTANT: Final = 0                        # 1970-01-01T00:00:00Z
LAST_INSTANT: Final = 253_370_764_799_999       # the last of 9998; one year is kept free for sums

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])",
    re.ASCII,
)
_WRITE: Final = 'write it with its zone, such as "2026-03-01T08:00:00Z" or "2026-03-01T09:00:00+01:00"'


def parse_instant(text: str) -> int:
    """The instant of an RFC 3339 text; what is finer than a millisecond is cut off.

    ValueError for anything else: no zone, no seconds, a day that does not exist, a year outside 1970 to 9998.
    """
    if _INSTANT.fullmatch(text) is None:
        raise ValueError(f"is no instant; {_WRITE}")
    return _instant_of(text.upper())


def parse_instant_or_date(text: str) -> int:
    """As parse_instant; a bare date, such as "2026-03-01", is its midnight in UTC."""
    if _DATE.fullmatch(text) is not None:
        return _instant_of(f"{text}T00:00:00Z")
    if _INSTANT.fullmatch(text) is None:
        raise ValueError(f'is neither a date, such as "2026-03-01", nor an instant; {_WRITE}')
    return _instant_of(text.upper())


def _instant_of(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"names a day that does not exist; {_WRITE}") from None
    instant = _to_instant(moment)
    if not FIRST_INSTANT <= instant <= LAST_INSTANT:
        raise ValueError("lies outside the years 1970 to 9998; check the year")
    return instant


def format_instant(instant: int) -> str:
    """RFC 3339 in UTC, "2026-03-01T08:00:00Z"; with milliseconds only where there are any."""
    moment = _EPOCH + timedelta(milliseconds=instant)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{instant % 1000:03}Z" if instant % 1000 else "Z")


def local_date(instant: int, timezone: str) -> date:
    """The date that clocks in this zone (an IANA name) show at an instant."""
    return datetime.fromtimestamp(instant // 1000, ZoneInfo(timezone)).date()


def local_to_instant(day: date, minutes: int, timezone: str) -> int:
    """The instant of a local time, given as minutes since midnight; 1440 is 24:00, the next day's midnight.

    See this file's head for local times that do not exist or come twice.
    """
    zone = ZoneInfo(timezone)
    wall = datetime.combine(day, time(0), zone) + timedelta(minutes=minutes)
    instant = _to_instant(wall)
    if datetime.fromtimestamp(instant // 1000, zone) == wall:
        return instant
    return _clock_change(_to_instant(wall.replace(fold=1)), instant, zone)


def _clock_change(before: int, after: int, zone: ZoneInfo) -> int:
    """The instant of the one change of clocks later than `before` and not later than `after`."""

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, zone).utcoffset()

    seconds = range(before // 1000, after // 1000)
    changed = offset(after // 1000)
    return (seconds.start + bisect_left(seconds, 1, key=lambda second: offset(second) == changed)) * 1000


def quiet_until(now: int, hours: tuple[int, int], timezone: str) -> int | None:
    """When the daily hours that hold at `now` end, or None outside of them.

    Hours are minutes since local midnight, and may pass midnight: (1260, 480) is 21:00-08:00.
    """
    today = local_date(now, timezone)
    start, end = hours
    for day in (today - timedelta(days=1), today):
        ends = local_to_instant(day, end if end > start else end + 1440, timezone)
        if local_to_instant(day, start, timezone) <= now < ends:
            return ends
    return None


def _to_instant(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
