"""The lanes of a report: what each gave in which time, when it was slowed or held, what happened to it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from config.units import DAY, MILLISECONDS
from dispatcher.core.report_words import discreet
from dispatcher.core.slip_evidence import EVERY_LANE, Cause, Span
from dispatcher.operations.lanes import LaneNow
from dispatcher.operations.office import Result, said
from dispatcher.operations.report_reading import Found
from dispatcher.store.events import Event
from dispatcher.store.report_reads import SlotRow

_SECOND, _MINUTE, _HOUR = (MILLISECONDS[unit] for unit in ("s", "m", "h"))
_BUCKETS: Final = (
    _SECOND, 5 * _SECOND, 15 * _SECOND, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 3 * _HOUR, 6 * _HOUR, DAY, 7 * DAY,
)
_FINE: Final = 200
"""Spans of time that a report is cut into at most: charts show no more."""
MOST_EVENTS: Final = 500
"""Events of a lane that a report shows, the newest."""
_STATES: Final = {
    Cause.LANE_SLOWED: "slow", Cause.LANE_HELD: "held", Cause.HOLD: "held", Cause.STOPPED: "stopped",
    Cause.CLOCK: "held",
}


def bucket_of(start: int, end: int) -> int:
    """Milliseconds of the spans that a time is cut into: round ones, and not too many."""
    return next((size for size in _BUCKETS if (end - start) / size <= _FINE), _BUCKETS[-1])


def shown_lanes(found: Found, now: Mapping[str, LaneNow], spans: Sequence[Span], bucket: int) -> list[Result]:
    """Every lane of the campaign."""
    promised, had = Counter[str](), Counter[str]()
    for batch in found.promised:
        promised[batch.lane] += batch.size
    for (lane, _), count in found.firsts().items():
        had[lane] += count
    return [
        {
            "lane": lane, "state": now[lane].state if lane in now else "closed",
            "why": discreet(now[lane].why) if lane in now else "", "promised": promised[lane], "released": had[lane],
            "states": _states(spans, lane, found), "events": _events(found.events, lane, found),
            "buckets": _buckets(found.slots.get(lane, ()), bucket),
        }
        for lane in found.lanes
    ]


def _states(spans: Iterable[Span], lane: str, found: Found) -> list[Result]:
    """When it was anything but healthy."""
    mine = [span for span in spans
            if span.cause in _STATES and span.lane in {EVERY_LANE, lane} and span.end > found.since]
    return [
        {"state": _STATES[span.cause], "cause": str(span.cause), "from": said(span.start),
         "until": said(span.end) if span.end <= found.now else None, "why": discreet(span.why)}
        for span in sorted(mine, key=lambda span: span.start)
    ]


def _events(events: Iterable[Event], lane: str, found: Found) -> list[Result]:
    mine = [one for one in events if one.subject == lane and one.at >= found.since]
    return [{"at": said(one.at), "kind": str(one.kind), "cause": discreet(one.cause), "by": one.by,
             "share": one.data.get("share")} for one in mine[-MOST_EVENTS:]]


def _buckets(rows: Iterable[SlotRow], bucket: int) -> list[dict[str, Any]]:
    """What the lane released, of all campaigns, and what its provider made of it."""
    sums: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        at = row.slot // bucket * bucket
        sums[at].update(size=row.size, accepted=row.accepted, deferred=row.deferred, rejected=row.rejected,
                        in_doubt=row.in_doubt, unsent=row.unsent)
    return [{"at": said(at), **counts} for at, counts in sorted(sums.items())]
