"""One template text, compiled once and rendered for many messages.

Rendering gives text or raises RenderFault with the place, the line and what to do; it never gives an empty hole, and
never more than the part's limit.
"""

from collections.abc import Mapping
from types import CodeType, TracebackType
from typing import Any, Final

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.environment import Template

from dispatcher.content.bounds import WORK
from dispatcher.content.faults import RenderFault, TemplateFault, TemplateFaults
from dispatcher.content.filters import Budget
from dispatcher.content.sandbox import HTML, PLAIN

# Characters. A subject longer than a header line may be is refused; Gmail shows 102 KB of a message.
LIMITS: Final = {"subject": 998, "reply_to": 998, "text": 128 * 1024, "html": 1024 * 1024}
SOURCE: Final = 512 * 1024
# Errors whose words hold no values of a customer or producer.
_TELLING: Final = (TemplateError, TypeError, ZeroDivisionError)


class Compiled:
    """A template, ready to render; `constant` has the text of one that holds no expression."""

    __slots__ = ("_environment", "_limit", "_root", "_template", "constant", "place", "uses")

    def __init__(self, source: str, part: str, place: str, known: frozenset[str]) -> None:
        """Compile; raise TemplateFaults with everything that is wrong with it."""
        self._environment = HTML if part == "html" else PLAIN
        self._limit = LIMITS[part]
        self.place = place
        tree = self._parsed(source, known)
        self.constant = _constant(tree, source)
        if self.constant is not None and len(self.constant) > self._limit:
            raise self._faults((0, self._too_long()))
        self.uses = frozenset(node.name for node in tree.find_all(nodes.Name))
        code = self._compiled(tree)
        self._template = Template.from_code(self._environment, code, self._environment.globals, None)
        self._root = self._template.root_render_func

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text for these variables, which hold `range` and `namespace` too; raises RenderFault."""
        if self.constant is not None:
            return self.constant
        context = Budget(self._environment, variables, None, {})  # type: ignore[arg-type] # read only; a dict is asked for
        context.left = WORK
        parts: list[str] = []
        size = 0
        try:
            for part in self._root(context):
                size += len(part)
                if size > self._limit:
                    raise TemplateError(self._too_long())  # noqa: TRY301 -- so that it gets its line below
                parts.append(part)
        except Exception as error:  # noqa: BLE001 -- whatever a template does, only its message suffers
            raise RenderFault(TemplateFault(self.place, self._line(error.__traceback__), _problem(error))) from None
        return "".join(parts)

    def _parsed(self, source: str, known: frozenset[str]) -> nodes.Template:
        if len(source) > SOURCE:
            raise self._faults((0, f"is longer than {SOURCE} characters"))
        try:
            tree = self._environment._parse(source, None, self.place)  # noqa: SLF001 -- parse() rewrites the error's place
            complaints = list(self._environment.complaints(tree, known))
        except TemplateSyntaxError as error:
            raise self._faults((error.lineno, error.message or "is no template")) from None
        except (RecursionError, ValueError, MemoryError, OverflowError):
            raise self._faults((0, "cannot be read: it is nested too deep, or a number is too long")) from None
        if complaints:
            raise self._faults(*complaints)
        return tree

    def _compiled(self, tree: nodes.Template) -> CodeType:
        try:
            code = self._environment.compile(tree, None, self.place)
        except TemplateSyntaxError as error:
            raise self._faults((error.lineno, error.message or "is no template")) from None
        except (RecursionError, ValueError, MemoryError, OverflowError, SyntaxError):
            raise self._faults((0, "cannot be compiled: it is nested too deep")) from None
        return code

    def _faults(self, *found: tuple[int, str]) -> TemplateFaults:
        return TemplateFaults(tuple(TemplateFault(self.place, line, problem) for line, problem in found))

    def _too_long(self) -> str:
        return f"oversized: comes to more than {self._limit} characters"

    def _line(self, trace: TracebackType | None) -> int:
        """The innermost line of this template in a traceback."""
        line = 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.place:
                line = trace.tb_lineno
            trace = trace.tb_next
        return self._template.get_corresponding_lineno(line) if line else 0


def _constant(tree: nodes.Template, source: str) -> str | None:
    """The text of a template that is nothing but text."""
    if not source:
        return ""
    parts: list[str] = []
    for node in tree.body:
        if not isinstance(node, nodes.Output):
            return None
        for part in node.nodes:
            if not isinstance(part, nodes.TemplateData):
                return None
            parts.append(part.data)
    return "".join(parts)


def _problem(error: Exception) -> str:
    if isinstance(error, UndefinedError):
        return str(error)
    if isinstance(error, RecursionError):
        return "calls itself without end"
    if isinstance(error, _TELLING):
        return str(error) or type(error).__name__
    return f"cannot be worked out for these values ({type(error).__name__})"
