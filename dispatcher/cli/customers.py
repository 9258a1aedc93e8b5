"""`customers` and `activity`: who there is, and what they did."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from dispatcher.cli.output import Block, Grid, fields, print_blocks, print_json
from dispatcher.cli.rows import Tally, shown_name, take_file
from dispatcher.cli.verb import Desk, group, verb

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help='CSV with a header, or NDJSON; "-" is standard input.'),
]
CustomerArgument = Annotated[str, typer.Argument(metavar="ID", help="The customer's id.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to an app."""
    customers = group(app, "customers", "Import, show and erase customers.")
    verb(customers, "import")(import_customers)
    verb(customers, "show")(show)
    verb(customers, "erase")(erase)
    activity = group(app, "activity", "Import what customers did.")
    verb(activity, "import")(import_activity)


def import_customers(desk: Desk, file: FileArgument) -> int:
    """Import customers; importing again updates.

    Bad rows are named and left out, the good ones stand; the exit code is 1 if there was any.
    """
    return _import(desk, "customers.import", file, ("new", "changed", "unchanged"))


def import_activity(desk: Desk, file: FileArgument) -> int:
    """Import activity: rows of customer, kind and at.

    Kinds are product, order and support. A time never moves backwards. Bad rows are named and left out.
    """
    return _import(desk, "activity.import", file, ("changed", "unchanged"))


def _import(desk: Desk, operation: str, file: str, kinds: tuple[str, ...]) -> int:
    tally = Tally(shown_name(file), keep=desk.json)
    take_file(file, tally, lambda rows: desk.call(operation, rows=rows))
    return finish_import(desk, tally, kinds)


def finish_import(desk: Desk, tally: Tally, kinds: tuple[str, ...]) -> int:
    """Print what an import came to: `imported 144: 140 new, 4 changed; 1 refused`."""
    code = tally.finish()
    counts = {kind: tally.counts[kind] for kind in kinds}
    if desk.json:
        print_json(counts | {"refused": tally.refused, "faults": tally.faults, "warnings": tally.warnings})
    elif tally.read or tally.refused:
        parts = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        refused = f"; {tally.refused} refused" if tally.refused else ""
        print_blocks([f"imported {sum(counts.values())}{': ' if parts else ''}{parts}{refused}"])
    return code


def show(desk: Desk, customer: CustomerArgument) -> None:
    """Show a customer and the latest messages."""
    desk.show(desk.call("customers.show", id=customer), customer_view)


def customer_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """A customer's fields, what is suppressed, and the latest messages."""
    yield fields({name: value for name, value in result.items() if name not in {"suppressed", "messages"}})
    if result["suppressed"]:
        yield ""
        yield Grid(("suppressed for", "reason", "note", "since"),
                   [(one["category"] or "everything", one["reason"], one["note"], one["at"])
                    for one in result["suppressed"]])
    if result["messages"]:
        yield ""
        yield Grid(("message", "campaign", "state", "reason"),
                   [(one["id"], one["campaign"], one["state"], one["reason"]) for one in result["messages"]])


def erase(desk: Desk, customer: CustomerArgument) -> None:
    """Forget a customer, and close what is queued."""
    desk.show(desk.call("customers.erase", id=customer), lambda _: [f"{customer} is forgotten"])
