"""Files of rows on their way to an operation: in chunks, with a progress bar, every bad row named.

A bad row costs only itself. The first hundred are named on standard error as `FILE:LINE: reason`, the others counted;
with --json the document has them all.
"""

import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from dispatcher import collector
from dispatcher.cli.output import FAILED, WRONG, CliError, complain, progress

if TYPE_CHECKING:
    from dispatcher.intake.rows import BadRow, Row

CHUNK: Final = 8_000            # rows of one request
CHUNK_BYTES: Final = 2 * 1024 * 1024    # and about so much text: one request stays small whatever the rows hold
BLOCK: Final = 1024 * 1024              # bytes of lines in one request; as JSON they may come to six times as many
BLOCK_ALONE: Final = 8 * 1024 * 1024    # and where no daemon has to read them between its messages
NAMED: Final = 100              # bad rows that are named on standard error

Take = Callable[[list[dict[str, Any]]], Mapping[str, Any]]      # an operation on one chunk of rows


@dataclass
class Tally:
    """What became of a file's rows."""

    name: str                                                   # of the file, as people know it
    keep: bool                                                  # every fault is wanted, not only counted
    named: Sequence[str] = ()                                   # where the rows are words of the command line
    counts: Counter[str] = field(default_factory=Counter)       # the operation's numbers, summed
    skipped: Counter[str] = field(default_factory=Counter)      # its skips by reason, where it has them
    before: Counter[str] = field(default_factory=Counter)       # those it had before, by state, where it says so
    faults: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0                                               # rows that could be read
    refused: int = 0
    warned: int = 0

    def place(self, line: int) -> str:
        """Where a row stands."""
        return f"{self.name} {self.named[line - 1]}" if self.named else f"{self.name}:{line}"

    def refuse(self, line: int, reason: str) -> None:
        """One row is refused."""
        self.refused += 1
        if self.keep:
            self.faults.append({"line": line, "reason": reason})
        if self.refused <= NAMED:
            complain(f"{self.place(line)}: {reason}")

    def warn(self, line: int, text: str) -> None:
        """One row is taken, and worth a word."""
        self.warned += 1
        if self.keep:
            self.warnings.append({"line": line, "text": text})
        if self.warned <= NAMED:
            complain(f"{self.place(line)}: warning: {text}")

    def add(self, result: Mapping[str, Any]) -> None:
        """One chunk's answer."""
        for key, value in result.items():
            if isinstance(value, int):
                self.counts[key] += value
        self.skipped.update(result.get("skipped", {}))
        self.before.update(result.get("before", {}))
        for fault in result.get("faults", ()):
            self.refuse(fault["line"], fault["reason"])
        for warning in result.get("warnings", ()):
            self.warn(warning["line"], warning["text"])

    def finish(self) -> int:
        """Say how many were not named; the exit code."""
        if self.refused > NAMED:
            complain(f"{self.name}: {self.refused - NAMED} more rows are refused; --json has them all")
        if self.warned > NAMED:
            complain(f"{self.name}: {self.warned - NAMED} more warnings; --json has them all")
        if not self.read:
            complain(*([] if self.refused else [f"{self.name}: holds no rows; give it at least one"]))
            return WRONG
        return FAILED if self.refused else 0


def take_lines(source: str, tally: Tally, take: Callable[[int, str], Mapping[str, Any]], size: int) -> None:
    """Feed a file's lines to an operation, so many bytes at once, each time with the number of the first.

    What is no text is told here; all else about a line is for the operation to say.
    """
    collector.spare(collector.COMMAND)
    with _opened(source) as (file, whole), progress(tally.name, whole) as advance:
        from dispatcher.intake.blocks import read_blocks  # noqa: PLC0415 -- --help needs none of it

        for block in read_blocks(file, size):
            result = take(block.first, block.text)
            tally.read += result["read"]
            faults = [*({"line": line, "reason": reason} for line, reason in block.bad), *result["faults"]]
            tally.add({**result, "faults": sorted(faults, key=itemgetter("line"))})
            advance(file.tell() if whole is not None else tally.read)


def take_file(source: str, tally: Tally, take: Take) -> None:
    """Feed a file's rows to an operation; "-" is standard input."""
    collector.spare(collector.COMMAND)
    with _opened(source) as (file, size), progress(tally.name, size) as advance:
        from dispatcher.intake.rows import KINDS, read_rows  # noqa: PLC0415 -- --help needs none of it

        rows = read_rows(file, KINDS.get(Path(source).suffix.lower(), ""))
        for chunk in _chunks(rows, file.tell if size is not None else None):
            tally.read += chunk.read
            for line, reason in chunk.refused:
                tally.refuse(line, reason)
            if chunk.rows:
                tally.add(take(chunk.rows))
            advance(chunk.upto if size is not None else tally.read)


@dataclass
class _Chunk:
    """Rows of a file as an operation takes them, and those among them that cannot be read."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    read: int = 0
    upto: int = 0                   # bytes of the file

    @property
    def full(self) -> bool:
        """Whether it is enough for one request, or for the eye."""
        return len(self.rows) >= CHUNK or len(self.refused) >= CHUNK


@contextmanager
def _opened(source: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """A file of rows, and its size where it has one."""
    try:
        with _stream(source) as found:
            yield found
    except KeyboardInterrupt:
        complain(f"{shown_name(source)}: interrupted; what was taken stands, and the same command takes the rest")
        raise


@contextmanager
def _stream(source: str) -> Iterator[tuple[BinaryIO, int | None]]:
    if source == "-":
        yield sys.stdin.buffer, None
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115 -- closed below, where a fault is not the opening's
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "this is no path"
        raise CliError(f'{source}: cannot be read: {why}; name a CSV or NDJSON file, or "-" for standard input',
                       code=WRONG) from None
    with file:
        status = os.fstat(file.fileno())
        yield file, status.st_size if stat.S_ISREG(status.st_mode) else None


def shown_name(source: str) -> str:
    """A file's name as faults show it."""
    return "stdin" if source == "-" else source


def _chunks(rows: "Iterator[Row | BadRow]", tell: Callable[[], int] | None) -> Iterator[_Chunk]:
    """The rows in chunks; `tell` says how far the file has been read."""
    from dispatcher.intake.rows import BadRow  # noqa: PLC0415 -- --help needs none of it

    chunk, size = _Chunk(), 0
    for row in rows:
        if isinstance(row, BadRow):
            chunk.refused.append((row.line, row.reason))
        else:
            chunk.read += 1
            chunk.rows.append({"line": row.line, "values": row.values})
            size += row.size
        if chunk.full or size >= CHUNK_BYTES:
            chunk.upto = tell() if tell is not None else 0
            yield chunk
            chunk, size = _Chunk(), 0
    chunk.upto = tell() if tell is not None else 0
    yield chunk
