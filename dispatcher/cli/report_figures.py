"""The figures behind a report's tables and charts: thousands of batches, put together by day, hour or minute."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from config.units import DAY, MILLISECONDS
from dispatcher.core.times import parse_instant

_SECOND, _MINUTE, _HOUR = (MILLISECONDS[unit] for unit in ("s", "m", "h"))
_GRAINS: Final = (
    _SECOND, 5 * _SECOND, 15 * _SECOND, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 3 * _HOUR, 6 * _HOUR, DAY, 7 * DAY,
    30 * DAY,
)
MOST_BARS: Final = 100
MOST_POINTS: Final = 300
_TICKS: Final = (
    _SECOND, 2 * _SECOND, 5 * _SECOND, 10 * _SECOND, 30 * _SECOND, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE,
    30 * _MINUTE, _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY,
    90 * DAY,
)
MOST_TICKS: Final = 8


@dataclass(frozen=True, slots=True)
class DayRow:
    """What was promised and released on one day by one lane."""

    day: str
    lane: str
    promised: int
    released: int


@dataclass(slots=True)
class Bars:
    """Spans of time one after another, and several counts for each."""

    grain: int
    starts: list[int] = field(default_factory=list)
    counts: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Curves:
    """Running sums: (instant, messages so far)."""

    promised: Sequence[tuple[int, int]]
    released: Sequence[tuple[int, int]]


def local(instant: int) -> datetime:
    """An instant as this machine's clocks show it."""
    return datetime.fromtimestamp(instant / 1000).astimezone()


def span(result: Mapping[str, Any]) -> tuple[int, int]:
    """When the campaign began and ended, by promise and by what was released; both 0 where there is neither."""
    instants = [parse_instant(batch[key]) for batch in _promised(result) for key in ("at", "until")]
    instants += [parse_instant(batch["at"]) for batch in result["batches"] if batch["first"]]
    return (min(instants), max(instants)) if instants else (0, 0)


def days(result: Mapping[str, Any]) -> list[DayRow]:
    """Promised and released by day of this machine's calendar, and lane."""
    promised: Counter[tuple[str, str]] = Counter()
    released: Counter[tuple[str, str]] = Counter()
    for batch in _promised(result):
        promised[_day(batch["at"]), batch["lane"]] += batch["size"]
    for batch in result["batches"]:
        released[_day(batch["at"]), batch["lane"]] += batch["first"]
    return [DayRow(day, lane, promised[day, lane], released[day, lane])
            for day, lane in sorted(promised.keys() | released.keys())]


def curves(result: Mapping[str, Any]) -> Curves:
    """How the campaign's messages were promised to leave, and left, over time."""
    promised = ((parse_instant(batch["at"]), batch["size"]) for batch in _promised(result))
    released = ((parse_instant(batch["released_at"]), batch["first"]) for batch in result["batches"])
    start, end = span(result)
    return Curves(_sums((start, end), promised), _sums((start, end), released))


def bars(result: Mapping[str, Any], lane: str) -> Bars:
    """What one lane was promised to release of the campaign, and released, in spans of time without gaps."""
    start, end = span(result)
    made = _empty(start, end, ("promised", "released"))
    for batch in _promised(result):
        if batch["lane"] == lane:
            _put(made, "promised", parse_instant(batch["at"]), batch["size"])
    for batch in result["batches"]:
        if batch["lane"] == lane:
            _put(made, "released", parse_instant(batch["at"]), batch["first"])
    return made


def answers(result: Mapping[str, Any], lane: Mapping[str, Any]) -> Bars:
    """What a lane's provider made of all that the lane gave it, and when the lane was slow, held or stopped (1)."""
    start, end = span(result)
    instants = [parse_instant(one["at"]) for one in lane["buckets"]]
    made = _empty(min([start, *instants]), max([end, *instants]),
                  ("accepted", "deferred", "rejected", "in_doubt", "slow", "held", "stopped"), least=result["bucket"])
    for one, at in zip(lane["buckets"], instants, strict=True):
        for name in ("accepted", "deferred", "rejected", "in_doubt"):
            _put(made, name, at, one[name])
    last = made.starts[-1] + made.grain
    for state in lane["states"]:
        begun, ended = parse_instant(state["from"]), parse_instant(state["until"]) if state["until"] else last
        for place, at in enumerate(made.starts):
            if at < ended and at + made.grain > begun:
                made.counts[state["state"]][place] = 1
    return made


def ticks(start: int, end: int) -> list[tuple[int, str]]:
    """Round instants of this machine's clocks between two, few enough to be read, with their names."""
    size = next((one for one in _TICKS if (end - start) / one <= MOST_TICKS), _TICKS[-1])
    first = local(start)
    floor = first.replace(hour=0, minute=0, second=0, microsecond=0)
    at = floor
    step = timedelta(milliseconds=size)
    found: list[tuple[int, str]] = []
    while (instant := round(at.timestamp() * 1000)) <= end:
        if instant >= start:
            found.append((instant, named(instant, size)))
        at += step
    return found


def labels(made: Bars) -> list[str]:
    """The names of some of the spans, evenly, and empty texts for the others."""
    found = [""] * len(made.starts)
    if made.grain >= DAY:
        every = -(-len(found) // MOST_TICKS)
        return [named(at, made.grain) if place % every == 0 else "" for place, at in enumerate(made.starts)]
    for at, name in ticks(made.starts[0], made.starts[-1] + made.grain - 1):
        found[bisect_right(made.starts, at) - 1] = name
    return found


def named(instant: int, grain: int) -> str:
    """An instant on an axis whose steps are so long."""
    at = local(instant)
    if grain >= DAY or (at.hour == at.minute == at.second == 0 and grain >= _HOUR):
        return f"{at:%a} {at.day} {at:%b}"
    return f"{at:%H:%M:%S}" if grain < _MINUTE else f"{at:%H:%M}"


def _promised(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return result["promise"]["batches"] if result["promise"] else ()


def _day(instant: str) -> str:
    return f"{local(parse_instant(instant)):%Y-%m-%d}"


def _sums(over: tuple[int, int], sizes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    at_once: defaultdict[int, int] = defaultdict(int)
    for at, size in sizes:
        at_once[at] += size
    points, total = [(over[0], 0)], 0
    for at in sorted(at_once):
        total += at_once[at]
        points.append((at, total))
    points.append((max(over[1], points[-1][0]), total))
    if len(points) <= MOST_POINTS:
        return points
    return [*points[:-1:-(-len(points) // MOST_POINTS)], points[-1]]


def _empty(start: int, end: int, names: Iterable[str], least: int = 0) -> Bars:
    grain = next((one for one in _GRAINS if one >= least and (end - start) / one <= MOST_BARS - 1), _GRAINS[-1])
    made = Bars(grain)
    at = _floor(start, grain)
    while at <= end and len(made.starts) < MOST_BARS:
        made.starts.append(at)
        at = _next(at, grain)
    made.counts = {name: [0] * len(made.starts) for name in names}
    return made


def _put(made: Bars, name: str, at: int, size: int) -> None:
    place = bisect_right(made.starts, at) - 1
    if place >= 0:
        made.counts[name][place] += size


def _floor(instant: int, grain: int) -> int:
    """The beginning of the span that an instant is in; days are those of this machine's calendar."""
    at = local(instant)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if grain >= DAY:
        return round(midnight.timestamp() * 1000)
    begin = round(midnight.timestamp() * 1000)
    return begin + (instant - begin) // grain * grain


def _next(at: int, grain: int) -> int:
    if grain < DAY:
        return at + grain
    return _floor(at + grain + _HOUR, grain)    # a day of 23 hours, or of 25
