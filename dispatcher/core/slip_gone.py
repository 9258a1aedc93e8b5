"""Which slips are none of anybody's doing, as nobody was left to send to: messages were skipped, or left elsewhere.

Who is skipped is missing at the end of his lane, as everybody behind him moves up: so the last slips of a lane are
looked at first. But only who had gone by the end of a batch's time made that batch smaller. Who fell away after it,
such as a message that expired while it was held, would have been sent: that batch slipped by what delayed it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from dispatcher.core.slip_evidence import Because, Cause, Evidence
from dispatcher.core.slips import Met


def who_is_gone(slipped: Sequence[Met], lane: str, evidence: Evidence) -> dict[int, Because]:
    """The slips of a lane (by their place in order of time) that nobody was left for, each with how many were not."""
    lacking = {number: met.missing for number, met in enumerate(slipped) if met.missing}
    fewer = _fewer(slipped, lacking, lane, evidence)
    found = dict(fewer)
    left = evidence.moved.get(lane, 0)
    for number in sorted(lacking, reverse=True):
        if left > 0 and number not in found:
            found[number] = Because(Cause.MOVED, count=min(lacking[number], left))
            left -= lacking[number]
    return found


def _fewer(slipped: Sequence[Met], lacking: dict[int, int], lane: str, evidence: Evidence) -> dict[int, Because]:
    gone = sorted((one for one in evidence.gone if one.lane == lane), key=lambda one: one.at)
    waiting = [(one.at, one.reason, one.count) for one in gone]
    left = evidence.fewer.get(lane, 0)
    counts: dict[int, int] = {}
    reasons: Counter[str] = Counter()
    for number in sorted(lacking, reverse=True):
        until = slipped[number].batch.until
        while waiting and waiting[-1][0] >= until:
            waiting.pop()       # too late for this slip, and so for all before it
        wanted = min(lacking[number], left)
        while wanted > 0 and waiting:
            at, reason, count = waiting.pop()
            took = min(count, wanted)
            counts[number] = counts.get(number, 0) + took
            reasons[reason] += took
            wanted, left = wanted - took, left - took
            if took < count:
                waiting.append((at, reason, count - took))
    words = in_words(reasons.items())
    return {number: Because(Cause.FEWER, words, count) for number, count in counts.items()}


def in_words(counts: Iterable[tuple[str, int]]) -> str:
    """`unsubscribed 8, inactive 4`, the largest first."""
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts, key=lambda one: (-one[1], one[0])))
