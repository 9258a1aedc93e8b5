"""When a rate is surely too high: counts of answers in, the line that they pass out. Pure.

A rate counts when its lower confidence bound passes the line. The bound is the exact one of Clopper and Pearson, one
side, 95 %: with the rate of the line itself, so many bad answers or more would come by chance in fewer than 5 of 100
samples of this size. (Wilson's bound, which is easier to compute, would take one complaint in 200 for more than
0.1 %; chance alone brings that in 18 of 100 such samples.)

The lines and the minimum sample are those of numbers.md's table of signals: bounces by what Amazon SES reviews and
pauses, complaints by Google's sender guidelines. There is no public number for deferrals.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import exp, lgamma, log, log1p
from typing import Final

from config.units import MILLISECONDS

RECENT: Final = MILLISECONDS["h"]
"""Deferrals older than this say nothing about now."""
RECENT_ANSWERS: Final = 20
"""The newest answers, by whole batches, that deferrals are judged on, at least."""
SURE: Final = 0.05
_NEGLIGIBLE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Counts:
    """What a provider answered, in some time."""

    accepted: int = 0
    deferred: int = 0
    rejected: int = 0
    complaints: int = 0

    @property
    def answered(self) -> int:
        """Attempts that the provider answered."""
        return self.accepted + self.deferred + self.rejected

    @property
    def settled(self) -> int:
        """Messages that it took or refused; a deferral is no word on the address."""
        return self.accepted + self.rejected

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.accepted + other.accepted, self.deferred + other.deferred, self.rejected + other.rejected,
                      self.complaints + other.complaints)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A lane's answers, by the times that lines are judged over."""

    week: Counts = Counts()             # the last seven days
    since_resumed: Counts = Counts()    # of those, since a person last let the lane go on
    since_judged: Counts = Counts()     # of those, since the lane was last slowed or held
    recent: Counts = Counts()           # the newest batches, since the same
    recent_from: int = 0                # the slot of the oldest of them


class Signal(StrEnum):
    """What a line is drawn for."""

    BOUNCES = "bounces"
    COMPLAINTS = "complaints"
    DEFERRALS = "deferrals"


@dataclass(frozen=True, slots=True)
class Line:
    """The rates from which on a lane is slowed, and held."""

    slow: float
    hold: float


@dataclass(frozen=True, slots=True)
class Lines:
    """All of them, and the answers in seven days below which none is judged."""

    minimum: int = 200
    bounces: Line = Line(0.03, 0.05)
    complaints: Line = Line(0.001, 0.003)
    deferrals: float = 0.2


@dataclass(frozen=True, slots=True)
class Rate:
    """One signal against one line."""

    signal: Signal
    holds: bool             # the line is the one from which on the lane is held
    bad: int
    of: int                 # the sample
    line: float
    enough: bool            # the sample is large enough to be judged

    @property
    def passes(self) -> bool:
        """Whether it counts."""
        return self.enough and surely_more(self.bad, self.of, self.line)

    @property
    def cause(self) -> str:
        """For a person: "bounces: 14 of the last 230 messages, surely more than 3 %"."""
        sample = f"{self.bad} of the last {self.of} {_SAMPLES[self.signal]}"
        return f"{self.signal}: {sample}, surely more than {percent(self.line)}"


_SAMPLES: Final = {
    Signal.BOUNCES: "messages", Signal.COMPLAINTS: "accepted messages", Signal.DEFERRALS: "attempts",
}


def rates(evidence: Evidence, lines: Lines) -> Iterator[Rate]:
    """Every signal against every line, in the order in which they are judged: holds first.

    Beside the minimum of the seven days, a lane that was slowed, held or resumed in them needs half of it again
    since then, so that a single answer, looked at slot after slot, decides nothing.
    """
    whole = evidence.week.answered >= lines.minimum
    for holds, counts in ((True, evidence.since_resumed), (False, evidence.since_judged)):
        enough = whole and 2 * counts.answered >= lines.minimum
        bounces, complaints = (line.hold if holds else line.slow for line in (lines.bounces, lines.complaints))
        yield Rate(Signal.BOUNCES, holds, counts.rejected, counts.settled, bounces, enough)
        yield Rate(Signal.COMPLAINTS, holds, counts.complaints, counts.accepted, complaints, enough)
    recent = evidence.recent
    enough = whole and recent.answered >= RECENT_ANSWERS
    yield Rate(Signal.DEFERRALS, holds=False, bad=recent.deferred, of=recent.answered, line=lines.deferrals,
               enough=enough)


def surely_more(bad: int, of: int, line: float) -> bool:
    """Whether `bad` of `of` shows a rate above the line: its exact lower bound, one side, 95 %, lies above it."""
    if bad <= of * line:
        return False
    if bad > of:
        return True     # complaints about what was sent before the sample began
    return _tail(bad, of, line) < SURE


def _tail(bad: int, of: int, line: float) -> float:
    """The chance of so many or more of `of`, each with the chance `line`; for more than are to be expected."""
    choices = lgamma(of + 1) - lgamma(bad + 1) - lgamma(of - bad + 1)
    rest = log1p(-line) * (of - bad) if bad < of else 0.0
    one = exp(choices + bad * log(line) + rest)
    total = 0.0
    for number in range(bad, of + 1):
        total += one
        if one < _NEGLIGIBLE:
            break
        one *= (of - number) / (number + 1) * line / (1 - line)
    return total


def percent(rate: float) -> str:
    """A rate as a person reads it: "0.3 %"."""
    return f"{rate * 100:.4g} %"
