"""Bounds on what one rendering may use. Jinja's sandbox keeps a template from escaping; nothing there keeps it small.

Work is counted, not timed, so that the same message always ends the same way: a character made costs 1, a turn of a
loop or a call costs TURN, and a rendering has WORK. A single value may be VALUE characters or ITEMS items long.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from jinja2 import TemplateRuntimeError, Undefined

from dispatcher.content.values import PRINTABLE

VALUE: Final = 256 * 1024
ITEMS: Final = 10_000
TURN: Final = 100
WORK: Final = 3_000_000
NUMBER: Final = 10**30
_DIGITS: Final = 3
# One conversion of a %-format: flags, width, precision, type. A width taken from the values ("*") is not offered.
_CONVERSION: Final = re.compile(r"%(?:%|(?:\([^)]*\))?[-+ 0#]*([0-9]*)(?:\.([0-9]*))?([a-zA-Z]))")


def refuse(problem: str) -> TemplateRuntimeError:
    """The error that ends a rendering, for the caller to raise."""
    return TemplateRuntimeError(problem)


def fit(value: Any) -> Any:  # noqa: ANN401 -- passes any value through
    """Pass a value through if it is small enough."""
    if isinstance(value, str):
        if str.__len__(value) > VALUE:
            raise refuse(f"makes a text of more than {VALUE} characters")
    elif isinstance(value, int):
        if not -NUMBER < value < NUMBER:
            raise refuse("makes a number of more than 30 digits")
    elif isinstance(value, list | tuple | dict | range) and len(value) > ITEMS:
        raise refuse(f"makes a list of more than {ITEMS} items")
    return value


def weight(value: object) -> int:
    """What it costs to make or to read through a value."""
    if isinstance(value, str):
        return str.__len__(value)
    if isinstance(value, list | tuple | dict | range):
        return len(value) * 10
    return 1


def scalar(value: object) -> object:
    """Pass a value through if it prints as one short thing; lists in lists would print without end."""
    if type(value) in PRINTABLE or isinstance(value, Undefined):
        return value
    if value is None:
        raise refuse("would print nothing (null); write ... | default('...', true)")
    raise refuse(
        f"would print a {type(value).__name__}; write a loop, ... | join(', '), or the item or field that is meant"
    )


def sized(length: int, times: int = 1) -> None:
    """Refuse before it is made what would be too long."""
    if length * times > VALUE:
        raise refuse(f"makes a text of more than {VALUE} characters")


def joined(parts: Iterable[str]) -> str:
    """Concatenate, within the bound of a value."""
    texts = list(parts)
    sized(sum(map(len, texts)))
    return "".join(texts)


def formatted(pattern: str, values: Any) -> str:  # noqa: ANN401 -- what % takes
    """`pattern % values` with widths of at most three digits, of values that print as one thing."""
    for width, precision, kind in _CONVERSION.findall(pattern):
        if len(width) > _DIGITS or len(precision) > _DIGITS or (kind and kind not in "sdifeEgGxXo"):
            raise refuse("a format takes widths below 1000 and the types s, d, f, e, g, x, o")
    if "%" in _CONVERSION.sub("", pattern):
        raise refuse("is no format; write such as '%.2f', and %% for a percent sign")
    for value in values.values() if isinstance(values, dict) else values if isinstance(values, tuple) else (values,):
        scalar(value)
        if isinstance(value, str):
            sized(str.__len__(value), pattern.count("%"))
    return str(pattern % values) if type(pattern) is str else pattern % values


def combined(operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 -- any operands
    """What `left operator right` gives, within the bounds; for + * %."""
    if operator == "%":
        return fit(formatted(left, right)) if isinstance(left, str) else left % right
    if operator == "+":
        if isinstance(left, str) and isinstance(right, str):
            sized(str.__len__(left) + str.__len__(right))
        elif isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) + len(right) > ITEMS:
            raise refuse(f"makes a list of more than {ITEMS} items")
        return fit(left + right)
    if operator == "*":
        for sequence, times in ((left, right), (right, left)):
            if isinstance(sequence, str) and isinstance(times, int):
                sized(str.__len__(sequence), times)
            elif isinstance(sequence, list | tuple) and isinstance(times, int) and len(sequence) * times > ITEMS:
                raise refuse(f"makes a list of more than {ITEMS} items")
        return fit(left * right)
    raise refuse(f"{operator} is not available here")
