"""`suppress`: addresses that nothing goes to."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import typer

from dispatcher.cli.customers import FileArgument
from dispatcher.cli.holds import of_others
from dispatcher.cli.output import DONE, FAILED, WRONG, Block, CliError, Grid, complain, print_blocks, print_json
from dispatcher.cli.rows import Tally, shown_name, take_file
from dispatcher.cli.verb import Desk, group, verb

Reason = Literal["manual", "bounce", "complaint", "unsubscribe"]
COLUMNS = ("address", "category", "reason", "note", "at")

AddressesArgument = Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="Plain addresses.")]
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="One plain address.")]
CategoryOption = Annotated[
    str | None, typer.Option("--category", metavar="NAME", help="Messages of this category only; left out: all."),
]
ReasonOption = Annotated[Reason, typer.Option("--reason", help="Why.")]
NoteOption = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="A word for whoever looks later.")]
AfterOption = Annotated[str | None, typer.Option("--after", metavar="ADDRESS", help="Behind this one: the next page.")]
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.", min=1, max=1000)]

MOST: Final = 500      # addresses of one line


def add_to(app: typer.Typer) -> None:
    """Add these verbs to an app."""
    suppress = group(app, "suppress", "Addresses that nothing goes to: add, remove, list, import.")
    verb(suppress, "add")(add)
    verb(suppress, "remove")(remove)
    verb(suppress, "list")(listed)
    verb(suppress, "import")(import_file)


def add(
    desk: Desk, addresses: AddressesArgument, *, category: CategoryOption = None, reason: ReasonOption = "manual",
    note: NoteOption = None,
) -> int:
    """Never write to these addresses again.

    Within a second that covers what is released and has not begun, too.
    """
    if len(addresses) > MOST:
        raise CliError(f"{len(addresses)} addresses are too many for one line; use suppress import", code=WRONG)
    tally = Tally("address", keep=desk.json, named=addresses, read=len(addresses))
    tally.add(desk.call("suppress.add", addresses=addresses, category=category, reason=reason, note=note))
    return _finish(desk, tally)


def import_file(desk: Desk, file: FileArgument) -> int:
    """Suppress many addresses at once.

    Rows of address (or email) and, where wanted, category, reason (manual, bounce, complaint, unsubscribe) and note.
    """
    tally = Tally(shown_name(file), keep=desk.json)
    take_file(file, tally, lambda rows: desk.call("suppress.import", rows=rows))
    return _finish(desk, tally)


def _finish(desk: Desk, tally: Tally) -> int:
    code = tally.finish()
    added, stopped, elsewhere = (tally.counts[name] for name in ("added", "stopped", "elsewhere"))
    before = tally.read - added - tally.refused
    if desk.json:
        print_json({"added": added, "stopped": stopped, "elsewhere": elsewhere > 0, "refused": tally.refused,
                    "faults": tally.faults})
        return code
    notes = [f"{before} were there before" if before > 0 else "", f"{tally.refused} refused" if tally.refused else "",
             f"{stopped} released messages stopped" if stopped else ""]
    print_blocks(["; ".join([f"{added} suppressed", *(note for note in notes if note)])
                  + of_others({"elsewhere": elsewhere})])
    return code


def remove(desk: Desk, address: AddressArgument) -> int:
    """Write to an address again."""
    result = desk.call("suppress.remove", address=address)
    if desk.json:
        print_json(result)
    elif result["removed"]:
        print_blocks(["it may be written to again"])
    if result["removed"]:
        return DONE
    complain("the address was not suppressed; dispatcher suppress list shows what is")
    return FAILED


def listed(desk: Desk, *, after: AfterOption = None, limit: LimitOption = 100) -> None:
    """List suppressed addresses."""
    desk.show(desk.call("suppress.list", after=after, limit=limit), list_view)


def list_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """A page of addresses, and where the next begins."""
    if not result["suppressions"]:
        yield "no address is suppressed"
        return
    yield Grid(COLUMNS, [[one[column] for column in COLUMNS] for one in result["suppressions"]])
    if result["next"] is not None:
        yield f"there are more: --after {result['next']}"
