"""A row about what a lane sent on a day, before it came to this dispatcher: `date`, `lane`, `sent`. Pure."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from dispatcher.intake.strict import NAME, RowFault, check_text, unknown_key
from dispatcher.store.history import Day

_COLUMNS: Final = ("date", "lane", "sent")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
MOST: Final = 1_000_000_000     # messages of a day


def parse_day(values: Mapping[str, Any], today: Callable[[str], str]) -> Day:
    """Read one row; raises RowFault. `today` tells which day it is for a lane: one that is still to come is refused."""
    for name in values:
        if name not in _COLUMNS:
            raise unknown_key(name, _COLUMNS)
    for name in _COLUMNS:
        if name not in values:
            raise RowFault(name, "is missing; a row has date, lane and sent")
    lane = check_text("lane", values["lane"], 200)
    sender, slash, provider = lane.partition("/")
    if not slash or NAME.fullmatch(sender) is None or NAME.fullmatch(provider) is None:
        raise RowFault("lane", "is no lane; write SENDER/PROVIDER, such as support/gmail")
    day = _date(values["date"])
    if day > today(lane):
        raise RowFault("date", "lies in the future; import what was sent")
    return Day(lane, day, _sent(values["sent"]))


def _date(value: object) -> str:
    text = check_text("date", value, 50)
    if _DATE.fullmatch(text) is None:
        raise RowFault("date", "is no date; write it so: 2026-03-01")
    try:
        date.fromisoformat(text)
    except ValueError:
        raise RowFault("date", "names a day that does not exist") from None
    return text


def _sent(value: object) -> int:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip(" ")) is not None:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RowFault("sent", "is no whole number of messages")
    if not 0 <= value <= MOST:
        raise RowFault("sent", f"must be from 0 to {MOST}")
    return value
