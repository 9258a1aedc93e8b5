"""When something happens in a drill: `day 3 10:02`, `3d10h02m` after the start, or a date and time. Pure."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Final

from pydantic import PlainValidator

from config.fields import text_of
from config.units import DAY, MILLISECONDS
from dispatcher.core.times import local_date, local_to_instant

_DAY: Final = re.compile(r"day ([0-9]{1,4}) ([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_AFTER: Final = re.compile(r"(?=.)(?:([0-9]{1,4})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T]([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_JUMP: Final = re.compile(r"([+-])(.+)", re.ASCII)
_WRITE: Final = 'write "day 3 10:02", "3d10h02m" after the start, or "2026-03-04 10:02"'


@dataclass(frozen=True, slots=True)
class Moment:
    """One of the three ways to say when."""

    text: str
    day: int = 0                    # 1: the day of the start
    minutes: int = 0                # of that day
    after: int | None = None        # milliseconds after the start
    on: date | None = None

    def instant(self, start: int, timezone: str) -> int:
        """When it is, in a drill that starts then, by the clocks of a zone."""
        if self.after is not None:
            return start + self.after
        day = self.on or local_date(start, timezone) + timedelta(days=self.day - 1)
        return local_to_instant(day, self.minutes, timezone)


def parse_moment(value: object) -> Moment:
    """Read one; ValueError says how it is written."""
    text = text_of(value, "day 3 10:02")
    if found := _DAY.fullmatch(text):
        day, hour, minute = (int(part) for part in found.groups())
        if not day:
            raise ValueError("names a day 0; the day of the start is day 1")
        return Moment(text, day=day, minutes=hour * 60 + minute)
    if found := _AFTER.fullmatch(text):
        return Moment(text, after=_summed(found.groups()))
    return _dated(text)


def parse_date(value: object) -> Moment:
    """Read a date and time, such as `2026-03-02 07:00`."""
    return _dated(text_of(value, "2026-03-02 07:00"), 'write a date and time, such as "2026-03-02 07:00"')


def parse_jump(value: object) -> int:
    """Read by how much a clock is put forward or back: `+1h`, `-1d`."""
    text = text_of(value, "+1h")
    sign, rest = found.groups() if (found := _JUMP.fullmatch(text)) else ("", "")
    amount = _AFTER.fullmatch(rest)
    if amount is None:
        raise ValueError('says not by how much the clock is put; write "+1h" or "-1d"')
    return _summed(amount.groups()) * (1 if sign == "+" else -1)


def spoken(elapsed: int) -> str:
    """`3d10h02m`, for so many milliseconds."""
    minutes = elapsed // MILLISECONDS["m"]
    days, hours = minutes // 1440, minutes // 60 % 24
    return "".join((f"{days}d" if days else "", f"{hours}h" if hours else "", f"{minutes % 60:02}m"))


def local_text(instant: int, timezone: str, start: int) -> str:
    """`day 3 10:02`, by the clocks of a zone."""
    day = local_date(instant, timezone)
    number = (day - local_date(start, timezone)).days + 1
    minutes = (instant - local_to_instant(day, 0, timezone)) // MILLISECONDS["m"]
    return f"day {number} {minutes // 60:02}:{minutes % 60:02}"


def _summed(parts: tuple[str | None, ...]) -> int:
    units = (DAY, MILLISECONDS["h"], MILLISECONDS["m"], MILLISECONDS["s"])
    return sum(int(part or 0) * unit for part, unit in zip(parts, units, strict=True))


def _dated(text: str, write: str = _WRITE) -> Moment:
    try:
        found = datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        raise ValueError(f"names a day that does not exist; {write}") from None
    if found is None:
        raise ValueError(f"is no time; {write}")
    return Moment(text, minutes=found.hour * 60 + found.minute, on=found.date())


MomentText = Annotated[Moment, PlainValidator(parse_moment)]
DateText = Annotated[Moment, PlainValidator(parse_date)]
Jump = Annotated[int, PlainValidator(parse_jump)]
