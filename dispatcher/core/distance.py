"""Whether the store is so far away that hand-overs wait for its answers, and what to do then.

Nothing that is right becomes wrong by it: what is late is sent later. But each transaction is many questions, one after
another, so that what is a trifle for one answer is long for a release; and without a word nobody would know why.
"""

from collections.abc import Iterable
from statistics import median
from typing import Final

MARK_TRIPS: Final = 5
"""Answers that a mark before hand-overs waits for, one after another: begin, the store's lock, the mark, the number of
the transaction, commit."""
RELEASE_TRIPS: Final = 33
"""And a release of one campaign that takes something, as it was counted; a few more with canaries and bounds."""
LIMIT: Final = 100
"""Milliseconds for an answer. A mark is asked for half a second before its hand-over (engine/deliver.py), and has to
wait for five of them: where each takes longer than this, hand-overs wait for marks."""
BACK: Final = LIMIT // 2
"""And below which it is near again: one that is about the limit is not said to be near and far in turn."""
LOOKS: Final = 5
"""Answers that have to agree: a busy moment, here or there, is no distance."""


def is_far(trips: Iterable[int], *, before: bool) -> bool:
    """Whether the store is far away, by the milliseconds that its latest answers took, and what was said before."""
    latest = [*trips][-LOOKS:]
    if len(latest) < LOOKS:
        return before
    return max(latest) >= BACK if before else min(latest) > LIMIT


def in_words(trips: Iterable[int]) -> str:
    """What is wrong and what to do, in a line for people."""
    answer = median([*trips][-LOOKS:]) / 1000
    return (f"the store answers after {answer:.2g} s, so a release waits some {answer * RELEASE_TRIPS:.0f} s for it, "
            f"and hand-overs {answer * MARK_TRIPS:.2g} s: bring the database nearer, or give slots more time than that")
