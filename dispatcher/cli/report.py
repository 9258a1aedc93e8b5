"""`report`: promised against actual, for a terminal, for programs, or as a page that stands by itself."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import typer

from dispatcher.cli.output import WRONG, CliError, say
from dispatcher.cli.report_view import report_view
from dispatcher.cli.verb import Desk, verb

CampaignArgument = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's id.")]
HtmlOption = Annotated[
    str | None, typer.Option("--html", metavar="FILE", help="Write it as one page of HTML that works offline."),
]


def add_to(app: typer.Typer) -> None:
    """Add this verb to an app."""
    verb(app, "report")(report)


def report(desk: Desk, campaign: CampaignArgument, *, html: HtmlOption = None) -> None:
    """Show what a campaign was promised and given, and the cause of each slip.

    Promised against actual batches, outcomes by segment, and who was left out and why. No addresses and no names.
    """
    if html is not None:
        check_target(Path(html))
    found = desk.call("report", campaign=campaign)
    if html is not None:
        write_page([found], Path(html))
    if html is None or desk.json:
        desk.show(found, report_view)
    else:
        say(found["summary"])
        say(f"the report is in {html}")


def check_target(path: Path) -> None:
    """Refuse, before anything is worked out, what no page can be written to."""
    if path.is_dir():
        raise CliError(f"--html {path} is a folder; name a file in it", code=WRONG)
    if not path.parent.is_dir():
        raise CliError(f"--html {path}: the folder {path.parent} does not exist; make it, or name another", code=WRONG)


def write_page(reports: Sequence[Mapping[str, Any]], path: Path, title: str = "") -> None:
    """Write the page, whole or not at all: whoever has the old one open keeps it, and nobody sees half of one."""
    from dispatcher.cli.report_page import page  # noqa: PLC0415 -- heavy, and only a page needs it
    from dispatcher.clock import SystemClock  # noqa: PLC0415 -- --help needs none of it

    text = page(reports, SystemClock().now(), title)
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        made = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            made.chmod(0o644)
            made.replace(path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
