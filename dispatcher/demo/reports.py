"""The demo's end: what each campaign was promised and given, in a few lines, and all of it as a page that stays."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import gettempdir, mkstemp
from typing import Any, Final

from dispatcher.cli.output import Block
from dispatcher.cli.report import write_page
from dispatcher.cli.report_view import head_view

NAME: Final = "dispatcher-demo-report.html"


def summaries(reports: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Each campaign's promise in a sentence and some figures."""
    for report in reports:
        yield ""
        yield from head_view(report)


def keep(reports: Sequence[Mapping[str, Any]]) -> Path:
    """Write the page where its reader finds it: in the folder that the demo was started in, else among temporary files.

    OSError where neither can be written.
    """
    here = Path.cwd() / NAME
    if os.access(here.parent, os.W_OK) and not here.is_dir():
        try:
            write_page(reports, here, "The demo's report")
        except OSError:
            pass        # a full disk, or one that only seemed to be writable
        else:
            return here
    handle, name = mkstemp(prefix="dispatcher-demo-report-", suffix=".html", dir=gettempdir())
    os.close(handle)
    write_page(reports, Path(name), "The demo's report")
    return Path(name)
