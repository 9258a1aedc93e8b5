"""A file of NDJSON in blocks of lines, which are read elsewhere (intake/lines.py): nothing is looked for in them here.

What is no text is told here, with its line: a file in a wide encoding, a line that is not UTF-8, one that is longer
than any row may be. In its block such a line is empty, so that the others keep their numbers. Memory is bounded by a
block and the longest row.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from dispatcher.intake.rows import BOM, ROW_BYTES, TOO_LONG, BadRow, is_wide, not_utf8


class Block(NamedTuple):
    """Whole lines, the first of which has this number in the file."""

    first: int
    text: str
    bad: list[BadRow]


def read_blocks(stream: BinaryIO, size: int) -> Iterator[Block]:
    """The lines of a stream, about so many bytes of them at once; a byte order mark is taken off."""
    line = stream.readline(ROW_BYTES + 1 + len(BOM))
    if trouble := is_wide(line):
        yield Block(1, "", [BadRow(1, trouble)])
        return
    line = line.removeprefix(BOM)
    first, lines, held, bad = 1, list[bytes](), 0, list[BadRow]()
    while line:
        if len(line) > ROW_BYTES:
            bad.append(BadRow(first + len(lines), TOO_LONG))
            while line and not line.endswith(b"\n"):
                line = stream.readline(ROW_BYTES + 1)
            line = b"\n"
        lines.append(line)
        held += len(line)
        if held >= size:
            yield _block(first, lines, bad)
            first, lines, held, bad = first + len(lines), [], 0, []
        line = stream.readline(ROW_BYTES + 1)
    if lines:
        yield _block(first, lines, bad)


def _block(first: int, lines: list[bytes], bad: list[BadRow]) -> Block:
    try:
        return Block(first, b"".join(lines).decode(), sorted(bad))
    except UnicodeDecodeError:
        return _block(first, [_text(number, line, bad) for number, line in enumerate(lines, first)], bad)


def _text(number: int, line: bytes, bad: list[BadRow]) -> bytes:
    """The line, or an empty one in place of one that is no text."""
    reason = not_utf8(line)
    if reason:
        bad.append(BadRow(number, reason))
        return b"\n"
    return line
