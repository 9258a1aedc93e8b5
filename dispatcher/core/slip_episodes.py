"""Slips as people tell of them: those of a lane that followed one another for one cause are one episode."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from dispatcher.core.slip_causes import Slip
from dispatcher.core.slip_evidence import Because

APART: Final = 3 * 3_600_000
"""Milliseconds without a slip after which the next one for the same cause, if that has no time of its own, is told of
by itself."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Slips of a lane that followed one another for the same cause."""

    lane: str
    start: int
    end: int
    batches: int
    promised: int
    in_time: int
    missing: int
    rest_at: int | None             # when the last of what was late was released
    because: Because


def episodes(slips: Iterable[Slip]) -> list[Episode]:
    """Slips put together as people tell of them: of one lane, one after another, for one cause."""
    open_ones: dict[str, Episode] = {}
    found: list[Episode] = []
    for slip in slips:
        batch = slip.met.batch
        last = open_ones.get(batch.lane)
        if last is not None and _goes_on(last, slip):
            open_ones[batch.lane] = _longer(last, slip)
            continue
        if last is not None:
            found.append(last)
        open_ones[batch.lane] = Episode(batch.lane, batch.at, batch.until, 1, batch.size, slip.met.in_time,
                                        slip.met.missing, slip.met.rest_at, slip.because)
    return sorted([*found, *open_ones.values()], key=lambda one: (one.start, one.lane))


def _goes_on(episode: Episode, slip: Slip) -> bool:
    one, other = episode.because, slip.because
    if (one.cause, one.since, one.follows) != (other.cause, other.since, other.follows):
        return False
    return one.since is not None or slip.met.batch.at - episode.end <= APART


def _longer(episode: Episode, slip: Slip) -> Episode:
    rest = [at for at in (episode.rest_at, slip.met.rest_at) if at is not None]
    return replace(
        episode, end=slip.met.batch.until, batches=episode.batches + 1,
        promised=episode.promised + slip.met.batch.size, in_time=episode.in_time + slip.met.in_time,
        missing=episode.missing + slip.met.missing, rest_at=max(rest, default=None),
        because=replace(episode.because, count=episode.because.count + slip.because.count),
    )

