"""The result of a drill for a person: what happened, the lanes by day, the promises, the report of every campaign."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dispatcher.cli.output import Block, Grid, counted
from dispatcher.cli.report_view import report_view

TIMELINE: Final = 80        # rows; --json has them all
DAYS: Final = 200
_BAR: Final = 20


def drill_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """All of it, in the order in which it is asked for."""
    yield (f"{result['drill']}: {result['customers']:,} customers, {result['days']} days from {result['start']}, seed "
           f"{result['seed']}, in {result['seconds']:.1f} s")
    yield from _timeline(result)
    yield from _lanes(result)
    yield from _checks(result)
    for report in result["reports"]:
        yield ""
        yield from report_view(report)
    yield ""
    yield (f"{result['handed_over']:,} hand-overs in {result['batches']:,} batches; messages: "
           f"{counted(result['messages']) or 'none'}")
    yield _verdict(result)


def _timeline(result: Mapping[str, Any]) -> Iterator[Block]:
    rows = result["timeline"]
    if rows:
        yield ""
        yield Grid(("when", "by", "what happened", "cause"),
                   [(row["when"], row["by"], row["what"], row["cause"]) for row in rows[:TIMELINE]])
    if len(rows) > TIMELINE:
        yield f"and {len(rows) - TIMELINE} more: --json has them"


def _lanes(result: Mapping[str, Any]) -> Iterator[Block]:
    rows = result["lanes"]
    if not rows:
        return
    most = max(row["sent"] for row in rows) or 1
    yield ""
    yield Grid(("day", "lane", "state", "allowance", "sent", "accepted", "deferred", "rejected", "in doubt", ""), [
        (row["day"], row["lane"], row["state"], row["allowance"], row["sent"], row["accepted"], row["deferred"],
         row["rejected"], row["in_doubt"], "#" * round(_BAR * row["sent"] / most))
        for row in rows[:DAYS]
    ])
    if len(rows) > DAYS:
        yield f"and {len(rows) - DAYS} more: --json has them"


def _checks(result: Mapping[str, Any]) -> Iterator[Block]:
    yield ""
    yield Grid(("promise", "", "what must hold", "counted"), [
        (one["promise"], _word(one), one["name"], one["figures"] if one["judged"] else f"not judged: {one['figures']}")
        for one in (*result["checks"], *result["expected"])
    ])


def _word(one: Mapping[str, Any]) -> str:
    """What a check came to; one that had nothing to judge is not called good."""
    if not one["judged"]:
        return "-"
    return "ok" if one["ok"] else "FAILED"


def _verdict(result: Mapping[str, Any]) -> str:
    checks = [*result["checks"], *result["expected"]]
    failed, idle = sum(not one["ok"] for one in checks), sum(not one["judged"] for one in checks)
    unjudged = f", {idle} had nothing to judge" if idle else ""
    if failed:
        return f"{failed} of {len(checks)} checks FAILED: see above"
    return f"{len(checks) - idle} of {len(checks)} checks are ok, none failed{unjudged}"
