"""`status`: how it stands now; with --watch, again every second."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from dispatcher.cli.holds import titled
from dispatcher.cli.output import (
    WRONG,
    Block,
    CliError,
    Grid,
    console,
    local_time,
    on_terminal,
    print_blocks,
    renderables,
)
from dispatcher.cli.verb import Desk, verb

EVERY: Final = 1.0      # seconds between two looks of --watch

WatchOption = Annotated[bool, typer.Option("--watch", help="Look again every second, until Ctrl-C.")]


def add_to(app: typer.Typer) -> None:
    """Add this verb to an app."""
    verb(app, "status")(status)


def status(desk: Desk, *, watch: WatchOption = False) -> None:
    """Show lanes, the queue, and what is held.

    For each lane this step's allowance, what is spent of it, and the next batch.
    """
    if not watch:
        desk.show(desk.call("status"), status_view)
        return
    if desk.json:
        raise CliError("--watch is for people; a program calls status --json as often as it needs to", code=WRONG)
    try:
        _watch(desk)
    except KeyboardInterrupt:
        return


def _watch(desk: Desk) -> None:
    if not on_terminal():
        while True:
            print_blocks([*status_view(_look(desk)), ""])
            sys.stdout.flush()
            time.sleep(EVERY)
    from rich.console import Group  # noqa: PLC0415 -- only a terminal needs it
    from rich.live import Live  # noqa: PLC0415

    terminal = console()
    with Live(console=terminal, auto_refresh=False, screen=True) as live:
        while True:
            live.update(Group(*renderables(status_view(_look(desk)), terminal.width)), refresh=True)
            time.sleep(EVERY)


def _look(desk: Desk) -> Mapping[str, Any]:
    """The status now. The store, where this process had to open it, is given back: a daemon may want to start."""
    try:
        return desk.call("status")
    finally:
        desk.close()


def status_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """The daemon, its lanes, the queue, and whatever keeps something back."""
    yield _daemon_line(result["daemon"], [one for one in result["instances"] if one["living"]])
    if any(not one["answers"] for one in result["instances"]):
        yield _crew(result["instances"])
        yield ""
    if result["lanes"]:
        yield Grid(("lane", "state", "allowance", "spent", "queued", "next batch", "size", "why"), [
            (one["lane"], one["state"], one["allowance"], one["spent"], one["queued"],
             local_time(one["next_slot_at"]) if one["next_slot_at"] else None, one["next_size"] or None, one["why"])
            for one in result["lanes"]
        ])
        yield ""
    states = {name: count for name, count in result["messages"].items() if count}
    yield Grid(("state", "reason", "messages"), [
        *((name, "", count) for name, count in states.items() if name != "skipped"),
        *(("skipped", reason, count) for reason, count in result["skipped"].items()),
    ]) if states else "no messages"
    yield from _kept_back(result)


def _crew(instances: Sequence[Mapping[str, Any]]) -> Grid:
    """The daemons that share the store."""
    return Grid(("machine", "process", "since", "last seen", "under way", "state"), [
        (one["machine"], one["process"], local_time(one["since"]), local_time(one["seen_at"]),
         one["under_way"], "answers" if one["answers"] else "runs" if one["living"] else "ended: its lease is over")
        for one in instances
    ])


def _daemon_line(daemon: Mapping[str, Any], living: Sequence[Mapping[str, Any]]) -> str:
    if not daemon["running"]:
        if living:
            return f"no daemon answers here; {len(living)} on the store"
        return "no daemon is running: nothing is sent"
    since = f" since {local_time(daemon['since'])}" if daemon["since"] else ""
    failing = f"; the store fails: {daemon['store']}" if daemon.get("store") else ""
    late = f"; it sends late: {daemon['late']}" if daemon.get("late") and not failing else ""
    return f"the daemon runs{since}{', and is ending' if daemon['draining'] else ''}{failing}{late}"


def _kept_back(result: Mapping[str, Any]) -> Iterator[Block]:
    if result["faults"]:
        yield ""
        yield from (f"not applied: {fault}" for fault in result["faults"])
    if result["holds"]:
        yield ""
        yield Grid(("held", "reason", "by", "since", "until"), [
            (titled(one), one["reason"], one["by"], local_time(one["at"]) if one["at"] else None,
             local_time(one["until"]) if one["until"] else "resumed")
            for one in result["holds"]
        ])
    if result["campaigns"]:
        yield ""
        yield Grid(("campaign kept back", "queued", "why"),
                   [(one["campaign"], one["queued"], one["why"]) for one in result["campaigns"]])
