"""A report for a terminal: the promise in a sentence, outcomes, days, what slipped and why, who was left out."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dispatcher.cli.output import Block, Grid, counted, local_time

DAYS: Final = 60        # rows of days and lanes; --json has them all
SLIPS: Final = 40
_BAR: Final = 24
_KEPT: Final = {"on_time": "on time", "smaller": "smaller", "later": "later", "missing": "missing", "coming": "to come"}


def report_view(report: Mapping[str, Any]) -> Iterator[Block]:
    """All of it, the most important first."""
    yield from head_view(report)
    yield ""
    yield _outcomes(report)
    yield from _days(report)
    yield from _slips(report)
    yield from _left_out(report)


def head_view(report: Mapping[str, Any]) -> Iterator[Block]:
    """The campaign, and its promise in a sentence and some figures."""
    yield f"{report['campaign']} ({report['category']}, version {report['version']}): {report['total']} messages"
    yield report["summary"]
    promise = report["promise"]
    if promise:
        end = f"done {local_time(promise['done_at'])}" if promise["done_at"] else "no end in the plan"
        late = f", {promise['late']} too late" if promise["late"] else ""
        yield f"promised  {promise['queued']} messages, {end}{late} (stored {local_time(promise['stored_at'])})"
    yield f"actual    {_actual(report)}"
    if promise:
        kept = {words: promise["kept"][name] for name, words in _KEPT.items() if promise["kept"][name]}
        cut = "; the promise covers the first batches only" if promise["cut"] else ""
        yield f"batches   {counted(kept) or 'none were promised'}{cut}"
    for why in report["blocked"]:
        yield f"kept back {why}"
    if not report["complete"]:
        yield "not complete: the campaign has more batches or events than one report reads"
    if report["pruned"]:
        yield f"pruned    the details of {report['pruned']} attempts: [store] keep has passed"


def _actual(report: Mapping[str, Any]) -> str:
    released = sum(batch["first"] for batch in report["batches"])
    parts = [f"{released} messages"]
    if report["first_at"]:
        parts.append(f"from {local_time(report['first_at'])}")
    if report["expected_end"]:
        parts.append(f"expected to end {local_time(report['expected_end'])}")
    elif report["last_at"]:
        parts.append(f"the last {local_time(report['last_at'])}")
    if report["late_now"]:
        parts.append(f"{report['late_now']} would hear too late")
    if report["added_later"]:
        parts.append(f"{report['added_later']} added after the promise")
    return ", ".join(parts)


def _outcomes(report: Mapping[str, Any]) -> Grid:
    """By segment, and all of them."""
    names = ("messages", "released", "accepted", "deferred_now", "rejected", "in_doubt", "skipped")
    rows = [(row["segment"] or "none", *(row[name] for name in names)) for row in report["segments"]]
    if len(rows) > 1:
        rows.append(("all", *(sum(row[name] for row in report["segments"]) for name in names)))
    return Grid(("segment", "messages", "sent", "accepted", "deferred now", "rejected", "in doubt", "left out"), rows)


def _days(report: Mapping[str, Any]) -> Iterator[Block]:
    """Promised and released, as numbers and bars."""
    from dispatcher.cli.report_figures import days  # noqa: PLC0415 -- --help needs none of it

    rows = days(report)
    if not rows:
        return
    most = max(max(row.promised, row.released) for row in rows) or 1
    yield ""
    yield Grid(("day", "lane", "promised", "released", ""),
               [(row.day, row.lane, row.promised, row.released, _bar(row.promised, row.released, most))
                for row in rows[:DAYS]])
    if len(rows) > DAYS:
        yield f"and {len(rows) - DAYS} more: --json has them"


def _bar(promised: int, released: int, most: int) -> str:
    """What was released, solid; what was promised beyond that, light."""
    solid, light = ("\u2588", "\u2591") if _draws() else ("#", ".")
    full, whole = round(_BAR * released / most), round(_BAR * max(promised, released) / most)
    if released and not full:
        full, whole = 1, max(whole, 1)
    return solid * full + light * (whole - full)


def _draws() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _slips(report: Mapping[str, Any]) -> Iterator[Block]:
    slips = report["slips"]
    if not slips:
        return
    yield ""
    yield Grid(("slipped from", "until", "lane", "batches", "promised", "in time", "the rest left by", "why"), [
        (local_time(one["from"]), local_time(one["until"]), one["lane"], one["batches"], one["promised"],
         one["in_time"], _rest(one), one["why"])
        for one in slips[:SLIPS]
    ])
    if len(slips) > SLIPS:
        yield f"and {len(slips) - SLIPS} more: --html or --json has them"


def _rest(slip: Mapping[str, Any]) -> str:
    rest = local_time(slip["rest_at"]) if slip["rest_at"] else ""
    if not slip["missing"]:
        return rest
    return f"{slip['missing']} have not left" + (f", others {rest}" if rest else "")


def _left_out(report: Mapping[str, Any]) -> Iterator[Block]:
    if not report["skipped"]:
        return
    yield ""
    yield Grid(("left out because", "messages", "segments"), [
        (reason, count, counted({row["segment"] or "none": row["reasons"][reason] for row in report["segments"]
                                 if reason in row["reasons"]}))
        for reason, count in report["skipped"].items()
    ])
