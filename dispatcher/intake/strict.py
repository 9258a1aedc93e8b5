"""Strictness shared by everything that users hand in: JSON without surprises, texts without control characters.

What passes here can go into a database, a header or a log line without changing its meaning. Reasons never repeat the
value that they refuse: it may be personal.
"""

import json
import re
from collections.abc import Collection
from difflib import get_close_matches
from json import JSONDecodeError, JSONDecoder, JSONEncoder
from typing import Any, Final

DEPTH: Final = 64                     # of nested objects and lists
LARGEST: Final = 2**63 - 1            # what a database's integer holds
_DIGITS: Final = len(str(LARGEST))
ID_LENGTH: Final = 200                # of customers' ids and requests' keys

# C0, DEL, C1, line and paragraph separator, surrogates that have lost their partner.
CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HALF: Final = r"holds half of a surrogate pair (such as \ud800), which is no character"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class RowFault(ValueError):  # noqa: N818 -- it is a fault of a row, reported beside the good ones, no error of ours
    """What one row or request gets wrong: the field, and why it is refused; the value itself is never repeated."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def strict_json(text: str | bytes) -> Any:  # noqa: ANN401 -- JSON is any of seven types, the caller asks which
    """Read one JSON text, or raise ValueError with the reason in one line.

    Refused beyond what the format itself forbids: bytes that are not UTF-8, a key twice in one object, NaN and
    infinities, integers that no database holds, more than 64 levels, half of a surrogate pair.
    """
    source = _checked(text)
    try:
        value = _decoded(source)
    except JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise ValueError(f"is no JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise ValueError(f"is nested more than {DEPTH} deep") from None
    if source.count("[") + source.count("{") > DEPTH and too_deep(value):
        raise ValueError(f"is nested more than {DEPTH} deep")
    if _SURROGATE.search(source) and _halved(value):
        raise ValueError(_HALF)
    return value


def _decoded(source: str) -> Any:  # noqa: ANN401 -- as above
    """The value, found without a look for white space where there is none, as there is in hardly any line of a file."""
    if source.startswith("{"):
        value, end = _DECODER.raw_decode(source)
        if end == len(source) or source[end:] == "\n":
            return value
    return _DECODER.decode(source)


def too_deep(value: object) -> bool:
    """Whether objects and lists are nested more than 64 deep; found level by level, without recursion."""
    level: list[Any] = [value]
    for _ in range(DEPTH + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return True


def canonical_json(value: object) -> str:
    """One text for one value: keys sorted, no spaces. Raises ValueError for what JSON cannot hold."""
    return _ENCODER.encode(value)


def check_text(field: str, value: object, longest: int) -> str:
    """The text without spaces around it, or RowFault: not a text, too long, or with control characters in it."""
    if not isinstance(value, str):
        raise RowFault(field, 'must be text, such as "..."')
    text = value.strip(" ")
    if len(text) > longest:
        raise RowFault(field, f"has {len(text)} characters; at most {longest} are allowed")
    if not text.isprintable() and CONTROLS.search(text):
        raise RowFault(field, "holds a control character or line break; leave it out")
    return text


def check_id(field: str, value: object) -> str:
    """An identifier of 1 to 200 characters, kept exactly as it is, or RowFault."""
    text = check_text(field, value, ID_LENGTH)
    if not text:
        raise RowFault(field, "is empty; every one needs it")
    if text != value:
        raise RowFault(field, "begins or ends with a space; leave it out")
    return text


def unknown_key(name: str, known: Collection[str]) -> RowFault:
    """The fault of a key that is not known, with the nearest one that is."""
    near = get_close_matches(name[:64], list(known), n=1)
    return RowFault(repr(name[:64]), f"is not known; did you mean {near[0]!r}?" if near
                    else f"is not known; allowed are {', '.join(known)}")


def _checked(text: str | bytes) -> str:
    """The text, surely of characters only: no byte that is not UTF-8, no half of a surrogate pair."""
    try:
        if isinstance(text, bytes):
            return text.decode()
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(_HALF) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: byte {error.start + 1} is 0x{error.object[error.start]:02x}") from None
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value] # add() is None, so "or" goes on
        raise ValueError(f"has the key {twice[:64]!r} twice in one object")
    return made


def _integer(digits: str) -> int:
    if len(digits) < _DIGITS or (len(digits) <= _DIGITS + 1 and -LARGEST - 1 <= int(digits) <= LARGEST):
        return int(digits)
    raise ValueError("holds an integer beyond 2^63-1; write it as text")


def _number(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError("holds a number too large for a float; write it as text")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"holds {name}, which JSON does not know")


_ENCODER = JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_DECODER = JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant)


def _halved(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
