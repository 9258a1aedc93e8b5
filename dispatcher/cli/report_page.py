"""A report as one page of HTML that needs nothing else: no script, no network, no font; light or dark as its reader's.

Everything that came from outside is escaped by Jinja2; the charts are escaped by what writes them. The page's own
policy forbids a browser to load anything.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dispatcher.cli import report_figures as figures
from dispatcher.core.report_words import length
from dispatcher.core.times import parse_instant

MOST_LANES: Final = 12
"""Lanes with charts of their own; the tables have them all."""
MOST_ROWS: Final = 400
"""Rows of a table; who needs more asks for --json."""
STATES: Final = (("accepted", "accepted"), ("deferred", "deferred, to be tried again"), ("queued", "waiting"),
                 ("sending", "on the way"), ("rejected", "rejected"), ("in_doubt", "in doubt"), ("skipped", "left out"))
REASONS: Final[Mapping[str, str]] = {
    "inactive": "no counted activity for too long", "unsubscribed": "unsubscribed",
    "no_consent": "no consent to promotional messages", "suppressed": "the address is on the suppression list",
    "no_address": "no address that a sender could use", "no_segment": "not meant by the campaign",
    "capped": "had enough messages of this category already", "expired": "it would have come too late",
    "superseded": "a later update took its place", "canceled": "the campaign was canceled",
    "unknown_customer": "nobody ever told us of them",
}


def page(reports: Sequence[Mapping[str, Any]], made_at: int, title: str = "") -> str:
    """The page for one report or several."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 -- only a page needs it

    environment = Environment(loader=PackageLoader("dispatcher.cli"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "time": when, "share": share, "until": until}
    return environment.get_template("report.html.j2").render(
        title=title or f"{reports[0]['campaign']}: report", articles=[_article(one) for one in reports],
        made_at=f"{figures.local(made_at):%Y-%m-%d %H:%M %Z}", zone=f"{figures.local(made_at):%Z}", reasons=REASONS,
    )


def number(count: int) -> str:
    """1,240."""
    return f"{count:,}"


def when(instant: str | None) -> str:
    """An instant on this machine's clocks, to the minute where it is one; the page names the zone once."""
    if not instant:
        return ""
    at = figures.local(parse_instant(instant))
    return f"{at:%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def until(start: str, end: str) -> str:
    """The end of a span of time, without the day where that is the same."""
    return when(end).removeprefix(when(start)[:11])


def share(part: int, whole: int) -> str:
    """A part of a whole in percent."""
    if not whole:
        return ""
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent in {0, 100} or percent >= 10 else f"{percent:.1f} %"  # noqa: PLR2004 -- two digits are enough


def _article(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of one campaign."""
    from dispatcher.cli import report_charts as charts  # noqa: PLC0415 -- heavy, and only a page needs it

    states = _states(report)
    days = figures.days(report)
    promise = report["promise"]
    return {
        "report": report, "promise": promise, "verdict": _verdict(report), "states": states,
        "whole": sum(count for _, _, count in states),
        "outcomes": charts.outcomes([(words, count) for _, words, count in states],
                                    "What became of the messages"),
        "cumulative": charts.cumulative(figures.curves(report), "Messages promised and released so far, over time")
        if report["batches"] or (promise and promise["batches"]) else None,
        "days": days[:MOST_ROWS], "more_days": max(len(days) - MOST_ROWS, 0),
        "most": max((max(row.promised, row.released) for row in days), default=1),
        "lanes": _lanes(report), "slips": report["slips"][:MOST_ROWS],
        "more_slips": max(len(report["slips"]) - MOST_ROWS, 0),
        "left_out": sorted(report["skipped"].items(), key=lambda one: -one[1]),
    }


def _states(report: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """(name, words, count) of all messages; those that were deferred are no longer told among the waiting ones."""
    counts = Counter(report["messages"])
    counts["deferred"] = report["deferred_now"]
    counts["queued"] = max(counts["queued"] - counts["deferred"], 0)
    return [(name, words, counts[name]) for name, words in STATES]


def _verdict(report: Mapping[str, Any]) -> str:
    """kept, broken or open: how the head line is coloured."""
    return {True: "kept", False: "broken", None: "open"}[report["promise_kept"]]


def _lanes(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lanes by size; those with the most messages have charts."""
    from dispatcher.cli import report_charts as charts  # noqa: PLC0415 -- heavy, and only a page needs it

    lanes = sorted(report["lanes"], key=lambda lane: (-max(lane["promised"], lane["released"]), lane["lane"]))
    found = []
    for place, lane in enumerate(lanes):
        name = lane["lane"]
        entry = {"lane": lane, "chart": None, "answers": None, "grain": "", "answers_grain": "",
                 "states": [one | {"lasted": _lasted(one, report["now"])} for one in lane["states"]]}
        if place < MOST_LANES and (lane["promised"] or lane["released"]):
            bars = figures.bars(report, name)
            entry |= {"chart": charts.promised_and_released(bars, f"{name}: messages promised and released"),
                      "grain": length(bars.grain)}
            if lane["states"] or any(one["deferred"] or one["rejected"] for one in lane["buckets"]):
                made = figures.answers(report, lane)
                entry |= {"answers": charts.answers(made, f"{name}: what the provider answered, and the lane's state"),
                          "answers_grain": length(made.grain)}
        found.append(entry)
    return found


def _lasted(state: Mapping[str, Any], now: str) -> str:
    return length(parse_instant(state["until"] or now) - parse_instant(state["from"]))
