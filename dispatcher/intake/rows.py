"""Files of rows, CSV or NDJSON, read as a stream: every row comes out with its line, a bad one with its reason.

Promise: whatever the bytes are, nothing is raised for them, memory stays bounded by one row, and time by the length of
the file. A quote that is never closed costs the row where it stands: reading goes on with the next line, unless more
than 1,000 lines hang on it. Only trouble with the file itself (OSError) is raised. Lines are counted as an editor does;
a row is named by the line where it starts, and the header of a CSV file is line 1.
"""

import csv
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from dispatcher.intake.strict import CONTROLS, strict_json

ROW_BYTES: Final = 1024 * 1024
CELL_LENGTH: Final = 64 * 1024
COLUMNS: Final = 1_000
KINDS: Final = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
_READ_AGAIN: Final = 1_000            # lines at most that are read a second time behind an unclosed quote
BOM: Final = b"\xef\xbb\xbf"
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")
TOO_LONG: Final = f"is longer than {ROW_BYTES} bytes"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Row(NamedTuple):
    """One row that could be read. An empty CSV cell is not among the values: it says nothing."""

    line: int
    values: dict[str, Any]
    size: int = 0                         # bytes in the file


class BadRow(NamedTuple):
    """One row that could not be read, and why."""

    line: int
    reason: str


def read_rows(source: str | Path | BinaryIO, kind: str = "") -> Iterator[Row | BadRow]:
    """Read a file, a binary stream, or with "-" standard input, row by row.

    `kind` is "csv" or "ndjson"; left out, the file's suffix says it, else its first character (a brace is NDJSON).
    A path is opened at the first row and closed with the iterator; a stream stays its owner's.
    """
    if isinstance(source, str | Path) and str(source) != "-":
        with Path(source).open("rb") as file:
            yield from read_rows(file, kind or KINDS.get(Path(source).suffix.lower(), ""))
        return
    lines = _Lines(sys.stdin.buffer if isinstance(source, str | Path) else source)
    trouble = lines.open()
    if trouble:
        yield BadRow(1, trouble)
    elif (kind or lines.sniff()) == "ndjson":
        yield from _read_ndjson(lines)
    else:
        yield from _read_csv(lines)


def neutralise(cell: str) -> str:
    """A cell for a CSV export, which no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def is_wide(start: bytes) -> str:
    """Why a file that begins so cannot be read as lines; "" where it can."""
    return "the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8" if start.startswith(_WIDE) else ""


class _Lines:
    """The physical lines of a stream, counted and bounded; csv gets them decoded; a row's can be read again."""

    def __init__(self, stream: BinaryIO) -> None:
        self._readline = stream.readline
        self._again: deque[bytes] = deque()
        self.line = 0                      # the last one taken
        self.taken: list[bytes] = []       # of this row
        self.size = 0                      # of those, in bytes
        self.undecoded = False             # one of them is not UTF-8

    def open(self) -> str:
        """Take off the byte order mark; a reason if the text is in a wide encoding."""
        first = self._readline(ROW_BYTES + 1 + len(BOM))
        if trouble := is_wide(first):
            return trouble
        if first := first.removeprefix(BOM):
            self._again.append(first)
        return ""

    def sniff(self) -> str:
        """Say "ndjson" if the first line that is not blank begins with a brace; nothing is taken."""
        while self._again and self._again[-1].isspace() and max(len(self._again), len(self._again[-1])) < _READ_AGAIN:
            line = self._readline(ROW_BYTES + 1)
            if not line:
                break
            self._again.append(line)
        return "ndjson" if self._again and self._again[-1].lstrip().startswith(b"{") else "csv"

    def begin(self) -> int:
        """Begin a row; the line where it starts."""
        self.taken.clear()
        self.size = 0
        self.undecoded = False
        return self.line + 1

    def take(self) -> bytes:
        """One line more of this row, "" at the end; the row has become too large if `size` passes ROW_BYTES."""
        line = self._again.popleft() if self._again else self._readline(ROW_BYTES + 1)
        if line:
            self.line += 1
            self.size += len(line)
            self.taken.append(line)
        return line

    def skip(self, *, quoted: bool) -> None:
        """Go to the end of a row that is too large, keeping nothing of it; `quoted`: line ends in quotes are text."""
        last = self.taken[-1]
        quotes = sum(line.count(b'"') for line in self.taken)
        self.taken.clear()
        while not last.endswith(b"\n") or (quoted and quotes % 2):
            ended = last.endswith(b"\n")
            last = self._again.popleft() if self._again else self._readline(ROW_BYTES + 1)
            if not last:
                return
            self.line += ended
            quotes += last.count(b'"')

    def back(self) -> None:
        """Give back all of this row's lines but the first."""
        if len(self.taken) <= _READ_AGAIN:
            self.line -= len(self.taken) - 1
            self._again.extendleft(reversed(self.taken[1:]))

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.take()
        if not line:
            raise StopIteration
        if self.size > ROW_BYTES:
            raise _TooLargeError
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.undecoded = True
            return line.decode("utf-8", "surrogateescape")  # so that the row's end is found all the same


class _TooLargeError(Exception):
    """A row has passed ROW_BYTES."""


def _read_ndjson(lines: _Lines) -> Iterator[Row | BadRow]:
    while True:
        number = lines.begin()
        line = lines.take()
        if not line:
            return
        if lines.size > ROW_BYTES:
            lines.skip(quoted=False)
            yield BadRow(number, TOO_LONG)
        elif not line.isspace():
            yield object_row(number, line)


def object_row(number: int, line: bytes | str) -> Row | BadRow:
    """The row that one line of NDJSON holds."""
    try:
        value = strict_json(line)
    except ValueError as error:
        return BadRow(number, (not_utf8(line) if isinstance(line, bytes) else "") or str(error))
    if not isinstance(value, dict):
        return BadRow(number, "is no JSON object; write one a line, in braces")
    return Row(number, value, len(line))


def _read_csv(lines: _Lines) -> Iterator[Row | BadRow]:
    header: list[str] = []
    for number, cells in _cells(lines):
        if isinstance(cells, str):
            yield BadRow(number, cells)
            if not header:
                return
        elif not header:
            header = [name.strip() for name in cells]
            trouble = _header_trouble(header)
            if trouble:
                yield BadRow(number, trouble)
                return
        elif len(cells) != len(header):
            count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
            yield BadRow(number, f"has {count}, and the header has {len(header)}; put text with commas in quotes")
        else:
            yield Row(number, {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()},
                      lines.size)
    if not header:
        yield BadRow(1, "the file is empty; the first line must name the columns")


def _cells(lines: _Lines) -> Iterator[tuple[int, list[str] | str]]:
    """Every row that is not blank: its line, and its cells or what is wrong with it."""
    reader = csv.reader(lines, strict=True)
    while True:
        number = lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _TooLargeError:
            lines.skip(quoted=True)
            yield number, TOO_LONG + _after(lines)
        except csv.Error as error:
            reason = _csv_reason(str(error), lines)
            yield number, reason
        else:
            if lines.undecoded:
                yield number, next(filter(None, map(not_utf8, lines.taken)))
            elif lines.size > CELL_LENGTH and any(len(cell) > CELL_LENGTH for cell in cells):
                yield number, f"has a cell of more than {CELL_LENGTH} characters"
            elif cells:
                yield number, cells


def _csv_reason(error: str, lines: _Lines) -> str:
    """What csv could not read, in words; and go to where reading can go on."""
    if "field larger" in error:
        lines.skip(quoted=True)
        return f"has a cell of more than {CELL_LENGTH} characters{_after(lines)}"
    last, several = lines.line, len(lines.taken) > 1
    lines.back()
    lost = "" if lines.line < last or not several else f"; lines up to {last} were not read"
    if "unexpected end" in error:
        return f"opens a quote that is never closed{lost}"
    if several:
        return f"opens a quote that is closed only in line {last}, in the middle of a cell{lost}"
    if "new-line" in error:
        return "has a carriage return inside; lines must end with LF or CR LF"
    return 'has text behind a closing quote; write a quote inside quotes twice: ""'


def _after(lines: _Lines) -> str:
    return f"; is a quote not closed? Reading goes on in line {lines.line + 1}"


def not_utf8(line: bytes) -> str:
    """Why a line is no text; "" if it is."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        try:
            line.decode("cp1252")
        except UnicodeDecodeError:
            guess = "convert it to UTF-8"
        else:
            guess = "it looks like Windows-1252; convert it: iconv -f CP1252 -t UTF-8"
        return f"is not UTF-8 (byte 0x{line[error.start]:02x}); {guess}"
    return ""


def _header_trouble(header: list[str]) -> str:
    if len(header) > COLUMNS:
        return f"the header has {len(header)} columns; at most {COLUMNS} are allowed"
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        return "the columns are separated by semicolons or tabs; save the file with commas"
    for position, name in enumerate(header, 1):
        if not name:
            return f"column {position} of the header has no name"
        if CONTROLS.search(name) or "@" in name:
            what = "is an address" if "@" in name else "holds a control character"
            return f"the name of column {position} {what}; the first line must name the columns"
        if header.index(name) != position - 1:
            return f"the header names {name[:64]!r} twice (columns {header.index(name) + 1} and {position})"
    return ""
