"""`plan`: the batches to come, by the functions that the daemon decides with."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from dispatcher.cli.output import WRONG, Block, CliError, Grid, both_times, counted, local_time, on_terminal
from dispatcher.cli.verb import Desk, verb

FARTHEST: Final = 20_000    # batches that a plan goes, as operations bound it
SHOWN: Final = 100      # batches of a table on a terminal; a pipe gets them all

CampaignOption = Annotated[str | None, typer.Option("--campaign", metavar="ID", help="Of this campaign alone.")]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="T", help='Until "2026-03-01T08:00:00Z", a date (0:00 UTC), or so far: "3d".'),
]
AllOption = Annotated[bool, typer.Option("--all", help=f"Show every batch; a terminal shows the first {SHOWN}.")]


def add_to(app: typer.Typer) -> None:
    """Add this verb to an app."""
    verb(app, "plan")(plan)


def plan(
    desk: Desk, *, campaign: CampaignOption = None, until: UntilOption = None, everything: AllOption = False,
) -> None:
    """Show the batches to come, and when it all ends.

    For each batch its time, lane, size, segments, what limits it, and what its lane waited for before it;
    then what the days and campaigns come to, and who would hear too late.
    """
    result = desk.call("plan", campaign=campaign, until=_instant(until), most=FARTHEST)
    shown = SHOWN if on_terminal() and not everything else FARTHEST
    desk.show(result, lambda found: plan_view(found, shown))


def plan_view(result: Mapping[str, Any], most: int) -> Iterator[Block]:
    """The batches, what they come to by day and lane and by campaign, what keeps lanes back, and the end."""
    batches = result["batches"]
    if batches:
        yield Grid(("time", "UTC", "lane", "size", "segments", "limit", "after"),
                   [(*both_times(one["at"]), one["lane"], one["size"], counted(one["segments"]), one["limit"],
                     one["after"]) for one in batches[:most]])
        if len(batches) > most:
            yield f"and {len(batches) - most} more batches: --all shows them"
        yield ""
        yield Grid(("day", "lane", "batches", "messages", "allowance"),
                   [tuple(one.values()) for one in result["days"]])
        yield ""
    if result["lanes"]:
        yield Grid(("lane", "state", "why", "until", "UTC"),
                   [(one["lane"], one["state"], one["why"], *both_times(one["until"])) for one in result["lanes"]])
        yield ""
    if result["campaigns"]:
        yield Grid(("campaign", "queued", "done", "UTC", "late", "left"),
                   [(one["campaign"], one["queued"], *both_times(one["done_at"]), one["late"], one["left"])
                    for one in result["campaigns"]])
        yield ""
    yield from ending(result)
    if not result["complete"]:
        yield f"planning ends after {FARTHEST} batches; the queue goes on"


def ending(result: Mapping[str, Any]) -> Iterator[str]:
    """How a plan ends: when, who hears too late, what does not move (yet), and what all this assumes."""
    if result["done_at"]:
        yield f"done at {local_time(result['done_at'])} ({result['done_at']})"
    elif not (result["left"] or result["blocked"] or result["late"] or result["unplaced"]):
        yield "nothing is to be sent"
    if result["late"]:
        by_campaign = f": {counted(result['late_campaigns'])}" if result["late_campaigns"] else ""
        yield f"{result['late']} would hear too late{by_campaign}"
    for one in result["unplaced"]:
        yield f"{one['lane']}: {one['count']} stay in the queue ({one['why']})"
    for one in result["blocked"]:
        stay = f"wait until {local_time(one['until'])}" if one["until"] else "stay in the queue"
        yield f"campaign {one['campaign']}: {one['queued']} {stay} ({one['why']})"
    for one in result["assumed"]:
        yield (f"campaign {one['campaign']}: what follows its canary leaves as planned if the canary passes at "
               f"{local_time(one['canary_passes_at'])}; if not, it stays in the queue")


def _instant(text: str | None) -> str | None:
    """RFC 3339 of --until."""
    if text is None:
        return None
    from config.units import parse_duration  # noqa: PLC0415 -- --help needs none of it
    from dispatcher.clock import SystemClock  # noqa: PLC0415
    from dispatcher.core.times import format_instant, parse_instant_or_date  # noqa: PLC0415

    try:
        return format_instant(SystemClock().now() + parse_duration(text))
    except ValueError:
        pass
    try:
        return format_instant(parse_instant_or_date(text))
    except ValueError as error:
        raise CliError(f'--until {text!r} {error}; or how far from now, such as "3d"', code=WRONG) from None
