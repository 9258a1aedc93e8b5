"""What a round came to, in figures: from the mail server's record first, and from the store only what that cannot know.

Which step a copy counts for follows from its message's attempts: the last whose slot had begun when the copy arrived.
Pure: tests/faults/test_judge.py shows that each figure can be other than nought.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

Name = tuple[str, str]      # campaign, customer

STILL: Final = frozenset({"queued", "sending"})


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt that the server knows of: it was told for whom it is."""

    name: Name
    at: int             # milliseconds since the epoch


@dataclass(frozen=True, slots=True)
class Copy(Try):
    """A letter whose last byte the server has read."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as the store has it in the end."""

    state: str
    doubts: int
    slots: Sequence[int]    # of its attempts, in order


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known after a round."""

    told: frozenset[Name]               # what the producer was told is accepted
    tries: Sequence[Try]
    copies: Sequence[Copy]
    kept: Mapping[Name, Kept]
    lanes: Mapping[str, str]            # campaign -> lane: each has one
    allowance: int                      # of every step of every lane
    step: int                           # milliseconds
    untrue: Sequence[str]               # what the store's own check found


@dataclass(frozen=True, slots=True)
class Figures:
    """A row of the table. Nothing may be lost, over, excess, unequal, unreserved, unknown or untrue."""

    kills: int              # or whatever else was done to it, so many times
    messages: int           # that the producer was told are accepted
    lost: int               # of these, not in the store, or finished without that the server has it
    over: int               # copies above the allowance of their step
    copies: int             # beyond the first of a message
    doubts: int             # attempts that ended in doubt: so many copies there may be
    excess: int             # copies beyond a message's own doubts
    unequal: int            # messages of which there are different letters
    unreserved: int         # copies that no batch had been released for
    unknown: int            # copies of what nobody sent
    untrue: int             # sums in the store that are not those of what they sum up

    def faults(self) -> list[str]:
        """What must not be, in words; an empty list where all held."""
        return [f"{name} {getattr(self, name)}" for name in BAD if getattr(self, name)]


BAD: Final = ("lost", "over", "excess", "unequal", "unreserved", "unknown", "untrue")
COLUMNS: Final = tuple(field.name for field in fields(Figures))


def judge(record: Record, kills: int) -> Figures:
    """The figures of a round."""
    by_name: defaultdict[Name, list[Copy]] = defaultdict(list)
    for copy in record.copies:
        by_name[copy.name].append(copy)
    known = {name: copies for name, copies in by_name.items() if name in record.kept}
    steps, unreserved = by_step(record, record.copies)
    return Figures(
        kills=kills, messages=len(record.told),
        lost=sum(_is_lost(record.kept.get(name), by_name.get(name, ())) for name in record.told),
        over=over(record, steps),
        copies=sum(len(copies) - 1 for copies in by_name.values()),
        doubts=sum(one.doubts for one in record.kept.values()),
        excess=sum(_excess(record.kept[name], len(copies)) for name, copies in known.items()),
        unequal=sum(len({copy.digest for copy in copies}) > 1 for copies in by_name.values()),
        unreserved=unreserved, unknown=len(by_name) - len(known), untrue=len(record.untrue),
    )


def _is_lost(kept: Kept | None, copies: Sequence[Copy]) -> bool:
    return kept is None or kept.state in STILL or not copies


def _excess(kept: Kept, copies: int) -> int:
    """An attempt that was taken is a copy; one in doubt may be."""
    return max(copies - (kept.state == "accepted") - kept.doubts, 0)


def by_step(record: Record, seen: Iterable[Try]) -> tuple[Counter[tuple[str, int]], int]:
    """What the server saw of each lane and step, and of how much no slot had begun; of what the store knows."""
    steps: Counter[tuple[str, int]] = Counter()
    unreserved = 0
    for one in seen:
        if one.name in record.kept:
            begun = [slot for slot in record.kept[one.name].slots if slot <= one.at]
            if begun:
                steps[record.lanes[one.name[0]], begun[-1] - begun[-1] % record.step] += 1
            else:
                unreserved += 1
    return steps, unreserved


def over(record: Record, steps: Mapping[tuple[str, int], int]) -> int:
    """How much of it is above the allowances of the steps."""
    return sum(max(count - record.allowance, 0) for count in steps.values())
