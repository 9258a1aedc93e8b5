"""What is wrong with an operation's arguments, in plain words and without their values."""

from typing import Any, Final

from pydantic import ValidationError

_SAY: Final = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "extra_forbidden": "is not known here",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_type": "must be an object",
    "string_too_long": "has more than {max_length} characters",
    "string_too_short": "is empty; it needs a word",
    "string_type": "must be text",
    "too_long": "has more than {max_length} entries",
    "too_short": "is empty; it needs an entry",
}


def wrong(error: ValidationError) -> list[str]:
    """One line for each thing that is wrong, with its place."""
    return [f"{_place(dict(detail))}: {_problem(dict(detail))}"
            for detail in error.errors(include_url=False, include_input=False)]


def _place(detail: dict[str, Any]) -> str:
    within = getattr(detail.get("ctx", {}).get("error"), "place", ())
    return ".".join(str(part) for part in (*detail["loc"], *within))


def _problem(detail: dict[str, Any]) -> str:
    context = detail.get("ctx", {})
    say = _SAY.get(detail["type"])
    return say.format(**context).replace("'", '"') if say else str(context.get("error", detail["msg"]))
