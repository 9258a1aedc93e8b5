"""What a command prints: tables and lines for people, one JSON document for programs, errors one line each.

On a terminal rich lays tables out and colours them. Anywhere else a table is plain columns of full width: nothing is
wrapped, shortened or framed, and rich is not even imported. What came from outside never controls the terminal.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

DONE: Final = 0
FAILED: Final = 1       # failed, or done in part
WRONG: Final = 2        # wrong usage, configuration or input

_CONTROLS: Final = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"    # compiled when first needed
_GAP: Final = "  "
_FOLDED: Final = 14     # columns of a terminal below which no cell is folded
_STYLES: Final = {
    "healthy": "green", "accepted": "green", "active": "green",
    "slow": "yellow", "waiting": "yellow", "canary": "yellow", "unapproved": "yellow", "in_doubt": "yellow",
    "held": "red", "closed": "red", "rejected": "red", "canceled": "dim", "skipped": "dim",
}


class CliError(Exception):
    """An end that was to be expected: lines for standard error, each saying what to do, and the exit code."""

    def __init__(self, *lines: str, code: int = FAILED) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


class Grid(NamedTuple):
    """A table. Cells are texts or numbers; None is empty."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


Block = str | Grid                      # what a view is made of: lines and tables
Advance = Callable[[float], None]       # tells a progress bar how much of the total is done


def on_terminal() -> bool:
    """Whether a person sees what is printed."""
    return sys.stdout.isatty()


def print_json(document: object) -> None:
    """The one document of a command, on standard output: indented for a person, on one line for a program."""
    import json  # noqa: PLC0415 -- --help needs none of it

    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    say(json.dumps(document, ensure_ascii=plain, indent=2 if on_terminal() else None))


def print_blocks(blocks: Iterable[Block]) -> None:
    """A view, on standard output."""
    if on_terminal():
        terminal = console()
        terminal.print(*renderables(blocks, terminal.width), sep="\n", crop=False)
        return
    for block in blocks:
        for line in [clean(block)] if isinstance(block, str) else _columns(block):
            say(line)


def say(text: str) -> None:
    """A text as it is, on standard output."""
    try:
        sys.stdout.write(f"{text}\n")
    except BrokenPipeError:
        raise       # nobody reads on; the end of the program knows
    except OSError as error:
        raise CliError(unwritten(error)) from None


def unwritten(error: OSError) -> str:
    """What to say where standard output takes no more."""
    return f"the output could not be written: {error.strerror}"


def complain(*lines: str) -> None:
    """Errors and warnings, one line each, on standard error."""
    for line in lines:
        sys.stderr.write(f"{clean(line)}\n")


def clean(text: str) -> str:
    """One line that cannot move the cursor, colour the terminal or turn the direction of writing."""
    return re.sub(_CONTROLS, lambda found: " " if found[0] in "\t\r\n" else "\ufffd", text)


def console(*, errors: bool = False) -> "Console":
    """The terminal, by rich; nothing in a text is taken for markup, a number or an emoji."""
    from rich.console import Console  # noqa: PLC0415 -- only a terminal needs it

    return Console(stderr=errors, markup=False, highlight=False, emoji=False)


def renderables(blocks: Iterable[Block], width: int) -> "Iterator[RenderableType]":
    """A view in the terms of rich. A table folds its cells to fit, and rather goes beyond the edge than lose one."""
    from rich import box  # noqa: PLC0415 -- only a terminal needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    for block in blocks:
        if isinstance(block, str):
            yield Text(clean(block))
            continue
        numbers = _numeric(block)
        least = sum(min(longest, _FOLDED) + len(_GAP) for longest in _widths(_table(block)))
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold",
                      width=least if least > width else None)
        for name, number in zip(block.columns, numbers, strict=True):
            table.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in block.rows:
            cells = zip(block.columns, map(_cell, row), strict=True)
            table.add_row(*(Text(cell, _STYLES.get(cell, "") if name == "state" else "") for name, cell in cells))
        yield table


@contextmanager
def progress(label: str, total: float | None) -> Iterator[Advance]:
    """A bar on standard error while the block runs; nothing where that is no terminal. No total: it only moves."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress  # noqa: PLC0415 -- only a terminal needs it

    with Progress(console=console(errors=True), transient=True) as bar:
        task = bar.add_task(clean(label), total=total)
        yield lambda done: bar.update(task, completed=done)


def both_times(instant: str | None) -> tuple[str, str]:
    """An RFC 3339 instant as this machine's clocks show it, and as it is; empty for none."""
    return ("", "") if not instant else (local_time(instant), instant)


def local_time(instant: str) -> str:
    """An RFC 3339 instant as this machine's clocks show it: `2026-03-01 09:00:00 CET`."""
    from datetime import datetime  # noqa: PLC0415 -- --help needs none of it

    return f"{datetime.fromisoformat(instant).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def counted(counts: Mapping[str, int]) -> str:
    """`DE/Berlin 40, * 3`."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def fields(values: Mapping[str, Any]) -> Grid:
    """One thing's fields, one a row; what is empty is left out."""
    shown = {name: value for name, value in values.items() if value not in (None, "", [], {})}
    return Grid(("field", "value"), [(name, inline(value)) for name, value in shown.items()])


def inline(value: object) -> object:
    """A value in one cell: lists and tables as `a, b` and `a=1, b=2`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={inline(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(inline(inner)) for inner in value)
    return value


def _cell(value: object) -> str:
    return "" if value is None else clean(str(value))


def _table(grid: Grid, empty: str = "") -> list[list[str]]:
    """Header and rows as texts."""
    return [list(grid.columns), *([_cell(value) or empty for value in row] for row in grid.rows)]


def _widths(table: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column's widest cell is."""
    return [max(map(len, column)) for column in zip(*table, strict=True)]


def _numeric(grid: Grid) -> list[bool]:
    """Which columns hold only whole numbers, and are set to the right."""
    return [
        all(value is None or (isinstance(value, int) and not isinstance(value, bool)) for value in column)
        for column in zip(*grid.rows, strict=True)
    ] if grid.rows else [False] * len(grid.columns)


def _columns(grid: Grid) -> Iterator[str]:
    """A table as lines of plain columns, each as wide as its widest cell; an empty one is "-", so that fields count."""
    table = _table(grid, "-")
    widths = _widths(table)
    numbers = _numeric(grid)
    for row in table:
        cells = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numbers, strict=True)
        )
        yield _GAP.join(cells).rstrip()
