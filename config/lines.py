"""Where every key of a TOML text stands: key path -> line, counted from 1.

The standard library's parser gives values without places, and a fault without its line is half a fault. This scanner
reads texts that the parser has already accepted, so it need not judge them; in a text that is broken it stops at the
first thing it does not know and keeps what it found until there.
"""

import re
import tomllib
from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

Key = tuple[str | int, ...]     # ("senders", "support", "ramp"), ("retry", "delays", 0)

_BLANK: Final = re.compile(r"[ \t\r]*")
_BLANK_LINES: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL: Final = re.compile(r"'[^'\n]*'")
_BASIC: Final = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"')
_LONG_STOP: Final = {'"""': re.compile(r'\\[\s\S]|"{3,5}'), "'''": re.compile(r"'{3,5}")}
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")


class _LostError(Exception):
    """The text is no TOML from here on."""


@dataclass(frozen=True, slots=True)
class Places:
    """What the scanner found."""

    lines: dict[Key, int]
    repeated: list[tuple[Key, int, int]]     # keys written a second time: key, first line, second line


def find_places(text: str) -> Places:
    """The line of every table, key and array element of a TOML text. A table's line is its header's."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    with suppress(_LostError, RecursionError):      # broken text: what was found until there still helps
        scanner.document()
    return Places(scanner.lines, scanner.repeated)


@dataclass
class _Scanner:
    text: str
    position: int = 0
    lines: dict[Key, int] = field(default_factory=dict)
    repeated: list[tuple[Key, int, int]] = field(default_factory=list)
    written: set[Key] = field(default_factory=set)       # given by a header or an assignment, not just implied
    tables: dict[Key, int] = field(default_factory=dict)  # arrays of tables: how many there are so far
    breaks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.breaks = [found.start() for found in re.finditer("\n", self.text)]

    def document(self) -> None:
        table: Key = ()
        while True:
            self._match(_BLANK_LINES)
            if self.position >= len(self.text):
                return
            table = self._header() if self._ahead("[") else self._pair(table)

    def _line(self) -> int:
        return bisect_left(self.breaks, self.position) + 1

    def _ahead(self, token: str) -> bool:
        return self.text.startswith(token, self.position)

    def _take(self, token: str) -> None:
        if not self._ahead(token):
            raise _LostError
        self.position += len(token)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.position)
        if found is None:
            raise _LostError
        self.position = found.end()
        return found[0]

    def _record(self, base: int, path: Key, line: int) -> None:
        """Notes a path that was written out on this line, and the tables between its base and it that it implies."""
        for length in range(base + 1, len(path)):
            self.lines.setdefault(path[:length], line)
        if path in self.written:
            self.repeated.append((path, self.lines[path], line))
            return
        self.written.add(path)
        self.lines[path] = line

    def _header(self) -> Key:
        line, many = self._line(), self._ahead("[[")
        self._take("[[" if many else "[")
        *outer, last = self._key()
        self._take("]]" if many else "]")
        path: Key = ()
        for part in outer:
            path += (part,)
            self.lines.setdefault(path, line)
            if path in self.tables:
                path += (self.tables[path] - 1,)
        path += (last,)
        if many:
            self.lines.setdefault(path, line)
            index = self.tables.get(path, 0)
            self.tables[path] = index + 1
            path += (index,)
        self._record(len(path) - 1, path, line)
        return path

    def _pair(self, table: Key) -> Key:
        line = self._line()
        path = table + tuple(self._key())
        self._take("=")
        self._record(len(table), path, line)
        self._match(_BLANK)
        self._value(path)
        return table

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._match(_BLANK)
            parts.append(self._key_part())
            self._match(_BLANK)
            if not self._ahead("."):
                return parts
            self._take(".")

    def _key_part(self) -> str:
        if self._ahead("'"):
            return self._match(_LITERAL)[1:-1]
        if self._ahead('"'):
            token = self._match(_BASIC)
            try:
                return str(tomllib.loads(f"key = {token}")["key"]) if "\\" in token else token[1:-1]
            except ValueError:
                raise _LostError from None
        return self._match(_BARE)

    def _value(self, path: Key) -> None:
        if self._ahead("["):
            self._array(path)
        elif self._ahead("{"):
            self._inline_table(path)
        elif self._ahead('"""') or self._ahead("'''"):
            self._long_text(self.text[self.position:self.position + 3])
        elif self._ahead('"'):
            self._match(_BASIC)
        elif self._ahead("'"):
            self._match(_LITERAL)
        else:
            self._match(_SCALAR)

    def _long_text(self, quotes: str) -> None:
        """Up to five quotes end it: three, and up to two of its own before them."""
        self._take(quotes)
        while True:
            found = _LONG_STOP[quotes].search(self.text, self.position)
            if found is None:
                raise _LostError
            self.position = found.end()
            if not found[0].startswith("\\"):
                return

    def _array(self, path: Key) -> None:
        self._take("[")
        index = 0
        while True:
            self._match(_BLANK_LINES)
            if self._ahead("]"):
                break
            self.lines[(*path, index)] = self._line()
            self._value((*path, index))
            self._match(_BLANK_LINES)
            index += 1
            if not self._ahead(","):
                break
            self._take(",")
        self._take("]")

    def _inline_table(self, path: Key) -> None:
        self._take("{")
        while True:
            self._match(_BLANK_LINES)
            if self._ahead("}"):
                break
            self._pair(path)
            self._match(_BLANK_LINES)
            if not self._ahead(","):
                break
            self._take(",")
        self._take("}")
