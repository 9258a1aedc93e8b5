"""The two sandboxes that templates run in: one for HTML, which escapes; one for subjects, plain text and addresses.

On top of Jinja's ImmutableSandboxedEnvironment: only the syntax listed here, only the filters of filters.py, only
what values.py hands out, all within the bounds of bounds.py.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from markupsafe import escape

from dispatcher.content.bounds import ITEMS, TURN, combined, fit, joined, refuse, scalar, weight
from dispatcher.content.filters import OFFERED, TURNS, Budget, turns
from dispatcher.content.standin import StandIn
from dispatcher.content.values import READERS, names, unreadable

_SYNTAX: Final = frozenset({
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.AssignBlock, nodes.With,
    nodes.FilterBlock, nodes.Macro, nodes.Name, nodes.NSRef, nodes.Const, nodes.Tuple, nodes.List, nodes.Dict,
    nodes.Pair, nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call, nodes.Getitem, nodes.Getattr,
    nodes.Slice, nodes.Concat, nodes.Compare, nodes.Operand, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.FloorDiv, nodes.Mod, nodes.Not, nodes.Neg, nodes.Pos, nodes.And, nodes.Or,
})
_WHY_NOT: Final = {
    "Extends": "{% extends %} is not available: a template stands alone",
    "Include": "{% include %} is not available: a template stands alone",
    "Import": "{% import %} is not available: a template stands alone",
    "FromImport": "{% import %} is not available: a template stands alone",
    "Block": "{% block %} is not available: a template stands alone",
    "CallBlock": "{% call %} is not available; call the macro in {{ ... }}",
    "ScopedEvalContextModifier": "{% autoescape %} is not available: HTML is escaped, text is not",
    "Pow": "** is not available",
}
GLOBALS: Final = frozenset({"range", "namespace"})


def _range(*bounds: int) -> range:
    """`range`, of at most as many numbers as a list may have."""
    numbers = range(*bounds)
    if numbers[ITEMS:]:
        raise refuse(f"counts further than {ITEMS}")
    return numbers


class _Generator(CodeGenerator):
    """Jinja's code generator, with `~` bounded."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 -- Jinja's name
        self.write("environment.joined(context, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class Sandbox(ImmutableSandboxedEnvironment):
    """See the top of this file."""

    code_generator_class = _Generator
    context_class = Budget
    intercepted_binops = frozenset({"+", "*", "%", "**"})
    concat = staticmethod(joined)

    def __init__(self, *, html: bool) -> None:
        super().__init__(
            autoescape=html, undefined=StrictUndefined, finalize=scalar, keep_trailing_newline=True, trim_blocks=True,
            lstrip_blocks=True, loader=None, cache_size=0,
        )
        self.filters = {**OFFERED, TURNS: turns}
        self.globals = {"range": _range, "namespace": Namespace}

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 -- any value
        """`obj.attribute` of a template."""
        reader = READERS.get(type(obj))
        return reader(obj, attribute) if reader is not None else unreadable(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401 -- any value
        """`obj[argument]` of a template."""
        if isinstance(obj, StandIn):
            return StandIn.read(obj, argument)
        if isinstance(argument, int | slice) and isinstance(obj, str | list | tuple | range):
            try:
                return obj[argument]
            except IndexError:
                return StrictUndefined(f"the list has no item {argument}; it has {len(obj)}")
        if isinstance(argument, str):
            return self.getattr(obj, str(argument))
        return unreadable(obj, argument)

    def is_safe_callable(self, obj: Any) -> bool:  # noqa: ANN401 -- any value
        """Whether a template may call this: what a reader handed out, its own macros, and the globals."""
        if isinstance(obj, Macro | StandIn) or obj is _range or obj is Namespace:
            return True
        return type(getattr(obj, "__self__", None)) in READERS

    def call(  # type: ignore[override] # Jinja mangles the names of these
        self, context: Budget, obj: Any, /, *args: Any, **kwargs: Any,  # noqa: ANN401 -- whatever is called
    ) -> Any:  # noqa: ANN401 -- whatever it returns
        """Call within the bounds."""
        context.spend(TURN)
        if isinstance(obj, Undefined):
            obj()       # raises, and says what is not there
        if not self.is_safe_callable(obj):
            raise SecurityError(f"a {type(obj).__name__} cannot be called here")
        made = Context.call(context, obj, *args, **kwargs)
        context.spend(weight(made))
        return fit(made)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 -- any operands
        """An operator that can grow."""
        made = combined(operator, left, right)
        context.spend(weight(made))  # type: ignore[attr-defined] # it is a Budget: context_class
        return made

    def joined(self, context: Budget, parts: Iterable[Any]) -> str:
        """`a ~ b`: escaped where either is safe HTML already, as Jinja does."""
        found = [scalar(part) for part in parts]
        html = self.autoescape and any(hasattr(part, "__html__") for part in found)
        made = joined([escape(part) if html else str(part) for part in found])
        context.spend(weight(made))
        return escape("").join([made]) if html else made

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Parse, and send every loop through `turns`."""
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, TURNS, [], [], None, None, lineno=loop.lineno, environment=self)
        return tree

    def complaints(self, tree: nodes.Template, known: frozenset[str]) -> Iterator[tuple[int, str]]:
        """What a template uses that there is not, as (line, problem); `known` are the names it may use."""
        found = False
        for node in tree.find_all(nodes.Node):
            problem = self._complaint(node)
            if problem:
                found = True
                yield node.lineno, problem
        if found:
            return  # without its syntax in order, a template's names cannot be told
        used = {node.name: node.lineno for node in reversed(list(tree.find_all(nodes.Name)))}
        own = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"}     # set in a branch, perhaps
        for name in sorted(find_undeclared_variables(tree) - known - GLOBALS - own):
            yield used.get(name, 0), unknown_name(name, known)

    def _complaint(self, node: nodes.Node) -> str:
        kind = type(node)
        if kind not in _SYNTAX:
            return _WHY_NOT.get(kind.__name__, f"{kind.__name__} is not available here")
        if isinstance(node, nodes.For) and node.recursive:
            return "a recursive loop is not available"
        if isinstance(node, nodes.Name) and node.name == "self":
            return unknown_name("self", frozenset())
        if isinstance(node, nodes.Filter | nodes.Test):
            offered: dict[str, Any] = self.filters if isinstance(node, nodes.Filter) else self.tests
            if node.name not in offered:
                return f"there is no {kind.__name__.lower()} {node.name!r} here{_nearest(node.name, offered)}"
        if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            return f"{node.attr!r} cannot be read: a name with an underscore is private"
        return ""


def unknown_name(name: str, known: frozenset[str]) -> str:
    """What to say of a name that is not there."""
    if name == "unsubscribe_url":
        return "unsubscribe_url exists only once [http] public_url is set in the configuration"
    return f"there is no {name!r}{_nearest(name, known)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    known = [one for one in known if one != TURNS]
    near = get_close_matches(name, known, 1)
    return (f"; did you mean {near[0]!r}?" if near else "") + (f"; there are: {names(tuple(known))}" if known else "")


PLAIN: Final = Sandbox(html=False)
HTML: Final = Sandbox(html=True)
