"""What stands for the producer's data where nobody knows it yet: at apply, without a [sample] in the campaign.

It has every attribute, item and method, takes part in arithmetic and prints as its path in angle quotes, so that a
template can be tried as far as its own words go.
"""

from collections.abc import Iterator
from typing import Any, Final, Self

_TIMES: Final = 2    # a loop over a stand-in runs twice; a pair can be unpacked from it
_NUMBER: Final = 2


class StandIn(str):
    """A text, so that filters of texts take it; a number where one is needed."""

    __slots__ = ("path",)
    path: str

    def __new__(cls, path: str) -> Self:
        """Make the stand-in for this path."""
        made = super().__new__(cls, f"\u2039{path}\u203a")
        made.path = path
        return made

    @staticmethod
    def read(value: "StandIn", name: object) -> "StandIn":
        """An attribute or item of it."""
        return StandIn(f"{value.path}.{name}" if isinstance(name, str) else f"{value.path}[{name}]")

    def __iter__(self) -> Iterator[str]:
        return iter([StandIn(f"{self.path}[{position}]") for position in range(_TIMES)])

    def __call__(self, *_arguments: object, **_named: object) -> "StandIn":
        """A method of it, called."""
        return StandIn(f"{self.path}()")

    def __len__(self) -> int:
        return _TIMES

    def __index__(self) -> int:
        return _NUMBER

    def __int__(self) -> int:
        return _NUMBER

    def __float__(self) -> float:
        return float(_NUMBER)

    def __add__(self, other: object) -> str:
        return super().__add__(other) if isinstance(other, str) else self

    def __contains__(self, _item: object) -> bool:
        return True

    def _itself(self, *_others: Any) -> "StandIn":  # noqa: ANN401 -- any operand
        return self

    def _more(self, _other: object) -> bool:
        return True

    __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _itself
    __abs__ = __neg__ = __pos__ = __round__ = __radd__ = _itself
    __mul__ = __rmul__ = __mod__ = __rmod__ = _itself
    __lt__ = __le__ = __gt__ = __ge__ = _more
