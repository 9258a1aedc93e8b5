"""What an expression of a reply rule may take at most: a rule is tried on the loop that everything else runs on.

First by its form, the same on every machine: no group is repeated, one part at most repeats without a bound, and the
steps that trying it from one place of a reply may take are counted as if everything in it fitted. Then by the watch,
on replies made of its own letters: a second line, far above what the form lets pass on any machine of today.
"""

import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SEEN: Final = 200                   # characters of a reply that are looked at
MOST_STEPS: Final = 7_000           # from one place of a reply; SEEN times that is some milliseconds
LONGEST_TIME: Final = 10_000_000    # nanoseconds of the processor on a whole reply
_TRIES: Final = 5                   # the quickest counts: a busy machine refuses nothing
_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[:=!]|\(\?|\{\d*,?\d*\}|[*+?]|.", re.DOTALL)
_COUNTED: Final = re.compile(r"\{(\d*)(,?)(\d*)\}")
_OPENING: Final = frozenset({"(", "(?:", "(?=", "(?!"})


@dataclass(slots=True)
class _Group:
    """What is known of a group, or the whole, as far as it was read: per way to get to its start."""

    ways: int = 1           # ways through the present alternative
    steps: int = 0          # steps to try all of them
    before: int = 1         # ways to get to the last part
    last: int = 0           # steps of that part
    other_ways: int = 0     # of the alternatives before
    other_steps: int = 0

    def add(self, ways: int, steps: int) -> None:
        """One part more, with so many ways through it."""
        self.before, self.last = self.ways, self.ways * steps
        self.steps += self.last
        self.ways *= ways

    def repeat(self, more: int) -> None:
        """The last part may come so many times more than it must, or be left out."""
        self.ways += self.before * more
        self.steps += self.last * more

    def alternative(self) -> None:
        """Another alternative begins."""
        self.other_ways, self.other_steps = self.other_ways + self.ways, self.other_steps + self.steps + 1
        self.ways, self.steps, self.before, self.last = 1, 0, 1, 0


def tokens_of(text: str) -> list[str]:
    """An expression's parts: escapes, sets and counts in one piece each."""
    return _TOKEN.findall(text)


def bounded(text: str, tokens: Sequence[str]) -> None:
    """ValueError for an expression that could take long on some reply."""
    if _steps(tokens) > MOST_STEPS:
        raise ValueError("could take too long on some reply: let fewer parts repeat, be optional or have alternatives, "
                         "and write less behind one that repeats without a bound")
    with warnings.catch_warnings(action="ignore"):
        compiled = re.compile(text, re.IGNORECASE)
    if any(_too_slow(compiled, reply) for reply in _replies(tokens)):
        raise ValueError("takes too long on some replies; write it with fewer parts that repeat")


def _steps(tokens: Sequence[str]) -> int:
    """The most steps that trying an expression from one place of a reply may take."""
    groups = [_Group()]
    unbounded = 0
    for before, part in zip(["", *tokens], tokens, strict=False):
        more = _more(part)
        if part in _OPENING:
            groups.append(_Group())
        elif part == ")":
            closed = groups.pop()
            closed.alternative()
            groups[-1].add(closed.other_ways, closed.other_steps)
        elif part == "|":
            groups[-1].alternative()
        elif more is None:
            groups[-1].add(1, 1)
        elif _more(before) is None:     # else it says how the repeat before it is tried: "*?", "*+"
            if before == ")" and part != "?":
                raise ValueError("may not repeat a group; that could take for ever on some reply")
            unbounded += more == SEEN
            groups[-1].repeat(more)
    if unbounded > 1:
        raise ValueError("may have at most one part that repeats without a bound (*, + or {n,}); more could take for "
                         "ever on some reply; write .{0,80} for a few words")
    groups[0].alternative()
    return groups[0].other_steps


def _more(part: str) -> int | None:
    """How many times more than it must a part may come, by the part behind it; None for one that says no such thing.

    As many as there are characters to see is without a bound.
    """
    if part in {"*", "+"}:
        return SEEN
    if part == "?":
        return 1
    counted = _COUNTED.fullmatch(part)
    if counted is None or part == "{}":    # "{}" are two characters like others
        return None
    least, comma, most = counted.groups()
    if not comma:
        return 0
    return min(int(most) - int(least or 0), SEEN) if most else SEEN


def _replies(tokens: Sequence[str]) -> list[str]:
    """Replies made of an expression's own letters: each alone, and its words over and over."""
    letters = [part[-1] for part in tokens if part not in _OPENING and _more(part) is None and part[0] != "["]
    words = "".join(letters)
    return [(some * SEEN)[:SEEN] for some in dict.fromkeys([*letters, words, words[:-1], words[1:], "a", " "]) if some]


def _too_slow(compiled: re.Pattern[str], reply: str) -> bool:
    return all(_time(compiled, reply) > LONGEST_TIME for _ in range(_TRIES))


def _time(compiled: re.Pattern[str], reply: str) -> int:
    began = time.thread_time_ns()
    compiled.search(reply, 0, SEEN)
    return time.thread_time_ns() - began
