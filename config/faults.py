"""What is wrong in a file that ops or marketing wrote: one fault for each thing, with its file, line and key.

A fault says what is wrong and what is allowed, in the words of the file; a value that might be a secret is never
repeated.
"""

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from config.lines import Key

Placed = tuple[Key, str]     # the key at fault, and the problem

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLACED: Final = "placed"
_EXPECTED: Final = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_attributes_type": "a table",
    "model_type": "a table",
    "string_type": "a text in quotes",
    "tuple_type": "a list",
}
_SAY: Final = {
    "literal_error": "must be {expected}",
    "missing": "is required and missing",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must not be empty",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, or worth a warning, in a file."""

    file: str
    line: int       # counted from 1; 0 where the file as a whole is meant
    key: str        # dotted, as one would write it; "" where no key is meant
    problem: str    # what is wrong, and what is allowed

    def __str__(self) -> str:
        """One line: `dispatcher.toml:12: senders.support.ramp: what is wrong, what is allowed`."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.problem) if part)


class ConfigFaults(Exception):  # noqa: N818 -- it carries many, and is named for what it carries
    """A file cannot be used; all its faults, in the order of their lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults), key=lambda fault: (fault.line, fault.key, fault.problem)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


def key_text(key: Key) -> str:
    """A key path as one would write it: `segments."DE/Berlin".subject`, `retry.delays[0]`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            word = part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            text += f".{word}" if text else word
    return text


def place_of(key: Key, lines: dict[Key, int]) -> int:
    """The line of a key, or of the innermost table around it that is written in the file."""
    for length in range(len(key), 0, -1):
        if key[:length] in lines:
            return lines[key[:length]]
    return 1


def nearest(word: str, allowed: Iterable[str]) -> str:
    """` (did you mean "growth"?)`, or nothing where nothing comes near."""
    found = difflib.get_close_matches(word, list(allowed), n=1)
    return f" (did you mean {json.dumps(found[0], ensure_ascii=False)}?)" if found else ""


def any_of(allowed: Iterable[str]) -> str:
    """The choices as a person reads them: `"careful", "standard" or "fast"`."""
    *most, last = (json.dumps(word, ensure_ascii=False) for word in allowed)
    return f"{', '.join(most)} or {last}" if most else last


def kind_of(value: object) -> str:
    """What a TOML value is, in TOML's words."""
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list",
             dict: "a table"}
    return kinds.get(type(value), "a date or time")


def placed(faults: Iterable[Placed]) -> PydanticCustomError:
    """What a model's validator raises to report any number of faults, each at its own key below the model."""
    return PydanticCustomError(_PLACED, "faults at keys of their own", {"faults": tuple(faults)})


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[Placed]:
    """The faults that pydantic found, in the words of TOML."""
    found: list[Placed] = []
    for detail in error.errors(include_url=False):
        key = tuple(part for part in detail["loc"] if part != "[key]")
        if detail["type"] == _PLACED:
            found += [((*key, *inner), problem) for inner, problem in detail["ctx"]["faults"]]
        else:
            found.append((key, _problem(detail, key, model)))
    return found


def _problem(detail: ErrorDetails, key: Key, model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = keys_at(model, key[:-1])
        return f"is no key here{nearest(str(key[-1]), allowed)}; the keys here are {', '.join(allowed)}"
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}, not {kind_of(detail['input'])}"
    say = _SAY.get(kind)
    return say.format(**context).replace("'", '"') if say else str(context.get("error", detail["msg"]))


def keys_at(model: type[BaseModel], key: Key) -> list[str]:
    """The keys that may stand in the table at this path, in the order of the model."""
    here: Any = model
    for part in key:
        here = _inside(_bare(here), part)
    here = _bare(here)
    return list(_fields(here)) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _inside(annotation: Any, part: str | int) -> Any:  # noqa: ANN401 -- annotations have no type of their own
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _fields(annotation).get(str(part))
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple:
        return arguments[0]
    return arguments[-1] if arguments else None


def _bare(annotation: Any) -> Any:  # noqa: ANN401 -- annotations have no type of their own
    """Without "or None" and without what is annotated."""
    while annotation is not None and get_origin(annotation) not in {dict, tuple, list, None}:
        arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
        annotation = arguments[0] if arguments else None
    return annotation
