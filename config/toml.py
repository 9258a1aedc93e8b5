"""A file's text and TOML values, or one clear fault: missing, unreadable, too large, not UTF-8, empty, no TOML."""

import hashlib
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from config.faults import ConfigFaults, Fault, key_text
from config.lines import find_places

LARGEST: Final = 1024 * 1024     # bytes
_PLACE: Final = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)\Z")
_REPEATING: Final = ("Cannot overwrite", "Cannot declare", "Cannot mutate", "Duplicate inline table key")


@dataclass(frozen=True, slots=True)
class Document:
    """A file that is TOML."""

    file: str                   # as it was named
    folder: Path                # absolute
    text: str
    data: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_toml(path: Path) -> Document:
    """Reads and parses a file, or raises ConfigFaults with the one fault that stopped it."""
    file = str(path)
    text = _decode(file, _read(file, path))
    if not text.strip():
        _stop(file, 0, "is empty; was it written to the end?")
    return Document(file, path.absolute().parent, text, _parse(file, text))


def _stop(file: str, line: int, problem: str, key: str = "") -> NoReturn:
    raise ConfigFaults([Fault(file, line, key, problem)])


def _read(file: str, path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            _stop(file, 0, "is no file; name the TOML file itself")
        with path.open("rb") as source:
            content = source.read(LARGEST + 1)
    except FileNotFoundError:
        _stop(file, 0, "there is no such file")
    except OSError as error:
        _stop(file, 0, f"cannot be read: {error.strerror}")
    except ValueError:
        _stop(file.replace("\0", "?"), 0, "is no path")
    if len(content) > LARGEST:
        _stop(file, 0, f"is too large: a file has at most {LARGEST // 1024} KiB")
    return content


def _decode(file: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _stop(file, content.count(b"\n", 0, error.start) + 1, "is not UTF-8 here; save the file as UTF-8")


def _parse(file: str, text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        _stop(file, 0, "is nested too deeply")
    except ValueError as error:     # TOMLDecodeError, or a number that is too long to be read
        message = str(error)
    if message.startswith(_REPEATING):
        for key, first, second in find_places(text).repeated:
            _stop(file, second, f"is written a second time; the first is on line {first}", key_text(key))
    found = _PLACE.search(message)
    if found is None:
        _stop(file, 0, "holds a number that is too long")
    last = text.rstrip().count("\n") + 1
    reason = message[:found.start()]
    reason = reason[:1].lower() + reason[1:]
    if found[1] is None:
        _stop(file, last, f"is no TOML: {reason} at the end of the file; was it written to the end?")
    _stop(file, int(found[1]), f"is no TOML: {reason}")
