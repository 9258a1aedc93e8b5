"""`run`, `demo` and `reload`: the daemon, a daemon to look at, and a daemon's configuration read again."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from dispatcher.cli.output import WRONG, Block, CliError, Grid, complain, local_time
from dispatcher.cli.verb import Desk, verb

CustomersOption = Annotated[int, typer.Option("--customers", metavar="N", help="So many sample customers.")]
StepOption = Annotated[int, typer.Option("--step", metavar="SECONDS", help="How long a step of the ramp lasts.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to an app."""
    verb(app, "run", json=False)(run)
    verb(app, "demo")(demo)
    verb(app, "reload")(reload)


def run(desk: Desk) -> int:
    """Run the daemon in the foreground.

    Until SIGTERM; what is in flight is finished first, for [service] stop_within at most.
    """
    # Somebody may ask for a reload before there is anyone to hear it: the file is about to be read anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from config.load import find_config  # noqa: PLC0415 -- --help needs none of it
    from dispatcher.app import run_daemon  # noqa: PLC0415

    return run_daemon(find_config(desk.config, os.environ))


def demo(desk: Desk, *, customers: CustomersOption = 1_000, step: StepOption = 6) -> int:
    """Show the main job on this machine, in a minute.

    Sample customers, a real mail server on loopback, a ramp in seconds, and a checked summary.
    """
    from dispatcher.demo.main import run as run_demo  # noqa: PLC0415 -- --help needs none of it

    return run_demo(as_json=desk.json, customers=customers, step=step)


def reload(desk: Desk) -> None:
    """Let the daemon read its configuration again.

    Whole or not at all; prints what changes, in the terms of the plan.
    """
    result = desk.call_daemon("reload")
    if result is None:
        if desk.place.faults:
            raise CliError(*map(str, desk.place.faults), code=WRONG)
        raise CliError("no daemon is running; it reads its configuration when it starts")
    complain(*(f"warning: {text}" for text in result["warnings"]))
    desk.show(result, reload_view)


def reload_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """What a reload changed, in the words of the file and in those of the plan."""
    if not result["changed"]:
        yield "nothing has changed"
    yield from result["changes"]
    yield from (f"campaign {name} is applied" for name in result["campaigns"])
    if result["lanes"]:
        yield lanes_grid(result["lanes"])


def lanes_grid(lanes: Sequence[Mapping[str, Any]]) -> Grid:
    """What changes for each lane, old -> new."""
    return Grid(("lane", "allowance", "next batch", "done at"), [
        (one["lane"], _both(one["allowance"]), _both(one["next_batch"]),
         _both([local_time(instant) if instant else None for instant in one["done_at"]]))
        for one in lanes
    ])


def _both(values: Sequence[object]) -> str:
    old, new = ("none" if value is None else str(value) for value in values)
    return old if old == new else f"{old} -> {new}"
