"""`lanes`: how providers take us, lane by lane; what was sent on which day; the history of an established sender."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from dispatcher.cli.customers import FileArgument, finish_import
from dispatcher.cli.output import Block, Grid, fields, local_time
from dispatcher.cli.rows import Tally, shown_name, take_file
from dispatcher.cli.verb import Desk, group, verb

WIDEST: Final = 20          # characters of the longest bar
_PARTS: Final = " ▏▎▍▌▋▊▉"  # eighths of a character
_CHARACTER: Final = 8

LaneArgument = Annotated[str, typer.Argument(metavar="LANE", help="SENDER/PROVIDER, such as support/gmail.")]
DaysOption = Annotated[int, typer.Option("--days", metavar="N", help="The last so many days.", min=1, max=3_650)]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to an app."""
    lanes = group(app, "lanes", "How providers take each lane: list, show, history, import.")
    verb(lanes, "list")(listed)
    verb(lanes, "show")(show)
    verb(lanes, "history")(history)
    verb(lanes, "import")(import_file)


def listed(desk: Desk) -> None:
    """List the lanes with their state, and how much of their allowance they may use."""
    desk.show(desk.call("lanes.list"), list_view)


def show(desk: Desk, lane: LaneArgument) -> None:
    """Show a lane: its state and cause, its rates beside their lines, its allowance and why, what happened last."""
    desk.show(desk.call("lanes.show", lane=lane), lane_view)


def history(desk: Desk, lane: LaneArgument, *, days: DaysOption = 30) -> None:
    """Show a lane's days, imported ones too: allowance, sent, deferred, rejected, complaints, state."""
    desk.show(desk.call("lanes.history", lane=lane, days=days), history_view)


def import_file(desk: Desk, file: FileArgument) -> int:
    """Import what a lane sent before it came here: rows of date, lane and sent.

    The ramp then goes on from there. A day that is imported again is replaced. Bad rows are named and left out.
    """
    tally = Tally(shown_name(file), keep=desk.json)
    take_file(file, tally, lambda rows: desk.call("lanes.import", rows=rows))
    return finish_import(desk, tally, ("days",))


def list_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """A table of lanes."""
    if not result["lanes"]:
        yield "there are no lanes yet: nothing was sent, nothing is queued, no history was imported"
        return
    yield Grid(("lane", "state", "share", "allowance", "spent", "queued", "why"), [
        (one["lane"], one["state"], _percent(one["share"]), one["allowance"], one["spent"], one["queued"], one["why"])
        for one in result["lanes"]
    ])


def lane_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """A lane's fields, its rates, its newest events."""
    allowed, answers = result["allowance"], result["answers"]
    yield fields({
        "lane": result["lane"], "state": result["state"], "share": _percent(result["share"]), "why": result["why"],
        "since": _time(result["since"]), "until": _until(result),
        "pace": f"{result['per_minute']} a minute, until {_time(result['per_minute_until'])}"
                if result["per_minute"] else None,
        "allowance": f"{allowed['value']} ({allowed['why']})" if allowed else None,
        "spent": result["spent"], "queued": result["queued"],
        "answers in 7 days": f"{answers['accepted']} accepted, {answers['deferred']} deferred, "
                             f"{answers['rejected']} rejected, {answers['complaints']} complaints",
    })
    yield ""
    yield Grid(("signal", "bad", "of", "rate", "line", "then", "judged"), [
        (one["signal"], one["bad"], one["of"], _percent(one["bad"] / one["of"]) if one["of"] else None,
         _percent(one["line"]), one["then"], _judged(one))
        for one in result["rates"]
    ])
    if result["events"]:
        yield ""
        yield Grid(("time", "event", "cause", "by"), [
            (local_time(one["at"]), one["kind"], one["cause"], one["by"]) for one in result["events"]
        ])


def history_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """A lane's days as a table with bars: sent in full blocks; imported days say so."""
    steps = result["steps"]
    if not steps:
        yield f"{result['lane']} has sent nothing in this time; --days looks further back"
        return
    most = max(one["sent"] + one["imported"] for one in steps)
    name = "day" if result["step"] == "day" else "step"
    yield Grid((name, "allowance", "sent", "bar", "imported", "deferred", "rejected", "complaints", "state"), [
        (one["day"] if name == "day" or not one["from"] else local_time(one["from"]), one["allowance"], one["sent"],
         bar(one["sent"] + one["imported"], most), one["imported"] or None, one["deferred"], one["rejected"],
         one["complaints"], one["state"] if one["healthy"] else f"{one['state']}, no growth")
        for one in steps
    ])
    yield _summed(steps)


def bar(value: int, most: int) -> str:
    """A bar of eighths of a character, WIDEST characters for the most."""
    eighths = round(value * WIDEST * _CHARACTER / most) if most else 0
    if value and not eighths:
        eighths = 1
    whole, part = divmod(eighths, _CHARACTER)
    return "█" * whole + _PARTS[part].strip()


def _summed(steps: Sequence[Mapping[str, Any]]) -> str:
    sums = {name: sum(one[name] for one in steps)
            for name in ("sent", "imported", "deferred", "rejected", "complaints")}
    return ", ".join(f"{count} {name}" for name, count in sums.items() if count or name == "sent")


def _judged(rate: Mapping[str, Any]) -> str:
    if not rate["enough"]:
        return "too few answers"
    return "surely more" if rate["passed"] else "not surely more"


def _until(result: Mapping[str, Any]) -> str | None:
    if result["state"] != "held":
        return None
    return _time(result["until"]) or f"dispatcher resume {result['lane']}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _time(instant: str | None) -> str | None:
    return local_time(instant) if instant else None
