"""What an SMTP server says, read whole: bytes in, one reply out. Pure.

A reply is complete with a line of three digits that no hyphen follows (RFC 5321, 4.2.1); its last line's code counts.
Whatever else comes is nonsense (code 0) and never raises. Memory is bounded: a reply longer than LONGEST is nonsense.
"""

import re
from typing import Final, NamedTuple

LONGEST: Final = 32_768    # bytes of a whole reply; a real EHLO has a few hundred
DETAIL: Final = 500        # characters of a detail (channels/contract.py)
NONSENSE: Final = 0        # the code of what is no reply

_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED: Final = re.compile(r"([245])(\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])", re.ASCII)
# controls, line and paragraph separators, and the marks that turn the direction of writing
_UNPRINTED: Final = re.compile("[\x00-\x20\x7f-\xa0\u061c\u200b-\u200f\u2028-\u202f\u2060-\u2069\ufeff]+")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class Reply(NamedTuple):
    """One reply of the server."""

    code: int    # 200 to 599, or NONSENSE
    text: str    # without codes at the line starts; lines parted by "\n"

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463) that opens the text and fits the code, such as "5.1.1"; or ""."""
        found = _ENHANCED.match(self.text)
        return found[0] if found is not None and int(found[1]) == self.code // 100 else ""

    @property
    def short(self) -> str:
        """The codes alone: "550 5.1.1", or "550"; empty for nonsense."""
        return f"{self.code} {self.enhanced}".rstrip() if self.code else ""

    @property
    def line(self) -> str:
        """The whole reply as one clean line for a person."""
        return clean_line(f"{self.code} {self.text}" if self.code else f"no SMTP reply: {self.text}")


def clean_line(text: str) -> str:
    """One line of at most DETAIL characters: no controls, no lone surrogates, nothing that hides or turns text."""
    if len(text) <= DETAIL and text.isascii() and text.isprintable():
        return text
    line = _UNPRINTED.sub(" ", _SURROGATES.sub("\ufffd", text[:8 * DETAIL])).strip()
    return line if len(line) <= DETAIL else line[:DETAIL - 1] + "…"


class ReplyReader:
    """Puts a reply together from bytes as they come; `ahead` says that more came than one reply.

    What came ahead is read by feeding nothing.
    """

    __slots__ = ("_buffer", "_lines", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[str] = []
        self._size = 0

    @property
    def ahead(self) -> bool:
        """True if bytes stand here that belong to no finished reply."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> Reply | None:
        """Take bytes in; the reply once it is whole. What follows it in the same bytes stays, and `ahead` is true."""
        self._size += len(data)
        if self._size > LONGEST:
            return self._finish(NONSENSE, "a reply without end")
        if b"\n" not in data and b"\n" not in self._buffer:
            self._buffer += data
            return None
        *lines, rest = (self._buffer + data).split(b"\n")
        for place, line in enumerate(lines):
            found = _LINE.fullmatch(line.rstrip(b"\r"))
            if found is None:
                return self._finish(NONSENSE, line[:DETAIL].decode("utf-8", "replace"))
            code, mark, text = found.groups()
            self._lines.append((text or b"").decode("utf-8", "replace").strip())
            if mark != b"-":
                reply = self._finish(int(code), "\n".join(self._lines))
                self._buffer = b"\n".join((*lines[place + 1:], rest))
                return reply
        self._buffer = rest
        return None

    def _finish(self, code: int, text: str) -> Reply:
        """The reply, and an empty reader."""
        self._buffer, self._lines, self._size = b"", [], 0
        return Reply(code, text)
