"""The filters that templates have: Jinja's own where they cannot grow, bounded ones in place of those that can.

Left out are the filters whose result is as long as a number says (center, indent, batch, slice, wordwrap), those
that print the inside of a value (pprint, tojson, xmlattr, attr) and `random`: a message must come out the same twice.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from jinja2 import pass_context
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.runtime import Context
from jinja2.utils import _PassArg
from markupsafe import escape

from dispatcher.content.bounds import ITEMS, TURN, fit, formatted, refuse, scalar, sized, weight
from dispatcher.content.values import each

Filter = Callable[..., Any]

_OF_TEXT: Final = (
    "capitalize", "e", "escape", "lower", "safe", "string", "striptags", "title", "trim", "truncate", "upper",
    "urlencode", "wordcount",
)
_OF_NUMBER: Final = ("abs", "float", "int", "round")
_OF_LIST: Final = (
    "count", "dictsort", "first", "groupby", "items", "last", "length", "list", "map", "max", "min", "reject",
    "rejectattr", "reverse", "select", "selectattr", "sort", "unique",
)


class Budget(Context):
    """A rendering's context, which also counts its work (see bounds.py)."""

    left: int

    def spend(self, cost: int) -> None:
        """Take from what is left; end the rendering when nothing is."""
        self.left -= cost
        if self.left < 0:
            raise refuse("does too much: shorten its loops")


def _bounded(function: Filter, *, of_text: bool) -> Filter:
    """The filter, with its input and result counted."""
    passed = _PassArg.from_obj(function)

    @pass_context
    def metered(context: Budget, value: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 -- any filter
        if of_text:
            scalar(value)
        context.spend(TURN + weight(value))
        if passed is None:
            result = function(value, *arguments, **named)
        elif passed is _PassArg.context:
            result = function(context, value, *arguments, **named)
        elif passed is _PassArg.eval_context:
            result = function(context.eval_ctx, value, *arguments, **named)
        else:
            result = function(context.environment, value, *arguments, **named)
        context.spend(weight(result))
        return fit(result)

    return metered


@pass_context
def _join(
    context: Budget, value: Iterable[Any], between: str = "", attribute: str | None = None,
) -> str:
    """The items, which must be texts or numbers, with something between them."""
    items = [scalar(item) for item in _items(context, value, attribute)]
    if context.eval_ctx.autoescape:
        texts: list[str] = [escape(item) for item in items]
    else:
        texts = [str(item) for item in items]
    sized(sum(map(len, texts)) + len(between) * len(texts))
    context.spend(sum(map(len, texts)))
    return escape(between).join(texts) if context.eval_ctx.autoescape else between.join(texts)


@pass_context
def _sum(context: Budget, value: Iterable[Any], attribute: str | None = None) -> Any:  # noqa: ANN401 -- a number
    """The sum of the items, which must be numbers."""
    return fit(sum(_items(context, value, attribute)))


@pass_context
def _replace(context: Budget, value: Any, old: str, new: str) -> str:  # noqa: ANN401 -- whatever prints
    """The text with every `old` replaced."""
    text = escape(scalar(value)) if context.eval_ctx.autoescape else str(scalar(value))
    old, new = str(scalar(old)), str(scalar(new))
    sized(len(text) + (len(text) + 1) * len(new) if not old else len(text) + text.count(old) * len(new) * 6)
    context.spend(TURN + len(text))
    return fit(text.replace(old, new))  # type: ignore[no-any-return] # fit passes through what it is given


@pass_context
def _format(context: Budget, pattern: Any, *values: Any, **named: Any) -> str:  # noqa: ANN401 -- what % takes
    """`"%.2f" | format(data.total)`."""
    context.spend(TURN + weight(pattern))
    made = formatted(str(scalar(pattern)), named or values)
    return fit(made)  # type: ignore[no-any-return] # fit passes through what it is given


def _items(context: Budget, value: Any, attribute: str | None) -> list[Any]:  # noqa: ANN401 -- anything to loop over
    get = make_attrgetter(context.environment, attribute) if attribute is not None else None
    found: list[Any] = []
    for item in each(value):
        found.append(get(item) if get is not None else item)
        if len(found) > ITEMS:
            raise refuse(f"makes a list of more than {ITEMS} items")
    context.spend(TURN + len(found) * 10)
    return found


@pass_context
def turns(context: Budget, value: Any) -> Iterable[Any]:  # noqa: ANN401 -- whatever a `for` is given
    """The items of a value, each of which costs a turn; every `for` goes through this."""
    for item in each(value):
        context.spend(TURN)
        yield item


TURNS: Final = "for the loop"     # no name that a template could write
OFFERED: Final[dict[str, Filter]] = {
    "d": FILTERS["d"],
    "default": FILTERS["default"],
    **{name: _bounded(FILTERS[name], of_text=True) for name in _OF_TEXT},
    **{name: _bounded(FILTERS[name], of_text=False) for name in (*_OF_NUMBER, *_OF_LIST)},
    "format": _format,
    "join": _join,
    "replace": _replace,
    "sum": _sum,
}
