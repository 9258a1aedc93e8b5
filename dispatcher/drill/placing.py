"""Which batch a hand-over belongs to, by the order of its message's attempts. Pure."""

from collections.abc import Iterator

from dispatcher.drill.evidence import Evidence
from dispatcher.drill.servers import Seen


def placed(evidence: Evidence) -> Iterator[tuple[Seen, str, int]]:
    """Every hand-over with the lane and slot of its batch, as far as an attempt is written down for it.

    It is the next of its message's attempts; an attempt that no server saw, as it was in doubt only because the daemon
    was killed, is passed over when the batch of the next one had been released.
    """
    released = {(row.lane, row.slot): row.released_at for row in evidence.batches}
    turn: dict[int, int] = {}
    for one in evidence.seen:
        told = evidence.named.get(one.message)
        if told is None:
            continue
        tried = evidence.tried.get(told.id, ())
        number = turn.get(told.id, 0)
        while number + 1 < len(tried) and released.get(tried[number + 1][:2], one.at + 1) <= one.at:
            number += 1
        turn[told.id] = number + 1
        if number < len(tried):
            yield one, *tried[number][:2]


def clock_was_put(evidence: Evidence) -> bool:
    """Whether the wall clock was put in the drill, so that instants of it cannot be compared."""
    return any(round(one.passed * 1000) - one.at != round(evidence.seen[0].passed * 1000) - evidence.seen[0].at
               for one in evidence.seen[-1:])
