"""A promise against what was really released: which batches kept it, which slipped, and when the rest left.

A promised batch is kept when its lane released as many messages of the campaign in the batch's time, or ahead of it.
So it does not matter how a reload cut the slots, or whether something left earlier. Else the batch has slipped, by the
messages that are lacking: a slip stands where it came about, and does not make every batch after it one. What leaves
beyond the promise later makes up for the oldest slips first. Only first releases count: a further attempt was promised
to nobody.

core/slip_causes.py says why.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Kept(StrEnum):
    """What became of a promised batch."""

    ON_TIME = "on_time"
    SMALLER = "smaller"     # a part of it left in time
    LATER = "later"         # nothing did; some or all of it left later
    MISSING = "missing"     # nothing of it has left
    COMING = "coming"       # its time is not over


@dataclass(frozen=True, slots=True)
class Promised:
    """A batch of the promise: so many messages of the campaign within [at, until)."""

    lane: str
    at: int
    until: int
    size: int


@dataclass(frozen=True, slots=True)
class Released:
    """What a slot of a lane released of the campaign for the first time."""

    lane: str
    slot: int
    released_at: int
    size: int


@dataclass(frozen=True, slots=True)
class Met:
    """A promised batch, and what became of it."""

    batch: Promised
    kept: Kept
    in_time: int                # messages of it that left by its end
    missing: int = 0            # messages of it that have not left at all
    rest_at: int | None = None  # when the last of what was late was released; None while some is missing

    @property
    def slipped(self) -> bool:
        """Whether the promise was not kept."""
        return self.kept not in {Kept.ON_TIME, Kept.COMING}


def match(promised: Iterable[Promised], released: Iterable[Released], now: int) -> list[Met]:
    """Every promised batch with what became of it, in order of time, then lane."""
    by_lane: defaultdict[str, list[Promised]] = defaultdict(list)
    for batch in promised:
        by_lane[batch.lane].append(batch)
    left: defaultdict[str, list[Released]] = defaultdict(list)
    for one in released:
        if one.size:
            left[one.lane].append(one)
    found = [met for lane, batches in by_lane.items() for met in _lane(batches, left[lane], now)]
    return sorted(found, key=lambda met: (met.batch.at, met.batch.lane))


def _lane(batches: Sequence[Promised], released: Sequence[Released], now: int) -> list[Met]:
    """One lane, batch after batch: what its time released beyond the promise first makes up, then counts as ahead."""
    batches = sorted(batches, key=lambda batch: (batch.at, batch.until))
    waiting = deque(sorted(released, key=lambda one: one.slot))
    debts = _Debts()
    ahead = 0
    for batch in batches:
        if batch.until > now:
            debts.found.append(Met(batch, Kept.COMING, 0))
            continue
        while waiting and waiting[0].slot < batch.at:
            one = waiting.popleft()
            ahead += debts.pay(one.size, one.released_at)
        had, at = ahead, 0
        while waiting and waiting[0].slot < batch.until:
            one = waiting.popleft()
            had, at = had + one.size, one.released_at
        debts.meet(batch, had)
        ahead = debts.pay(max(had - batch.size, 0), at)
    for one in waiting:
        debts.pay(one.size, one.released_at)
    return debts.found


class _Debts:
    """What a lane owes to its promised batches."""

    def __init__(self) -> None:
        self.found: list[Met] = []
        self._owed: deque[tuple[int, int]] = deque()     # (place in found, messages), oldest first

    def meet(self, batch: Promised, had: int) -> None:
        """A batch's time is over, and this many messages had left for it."""
        lacking = max(batch.size - had, 0)
        if not lacking:
            self.found.append(Met(batch, Kept.ON_TIME, batch.size))
            return
        kept = Kept.MISSING if lacking == batch.size else Kept.SMALLER
        self._owed.append((len(self.found), lacking))
        self.found.append(Met(batch, kept, batch.size - lacking, missing=lacking))

    def pay(self, size: int, at: int) -> int:
        """Make up for the oldest slips with so many messages that were released at an instant; how many are left."""
        while size and self._owed:
            place, owed = self._owed.popleft()
            paid = min(size, owed)
            size -= paid
            met = self.found[place]
            kept = Kept.LATER if met.kept is Kept.MISSING else met.kept
            self.found[place] = replace(met, kept=kept, missing=owed - paid, rest_at=at if paid == owed else None)
            if paid < owed:
                self._owed.appendleft((place, owed - paid))
        return size


def counted(met: Iterable[Met]) -> Mapping[Kept, int]:
    """How many batches were kept how; every word is there."""
    found = dict.fromkeys(Kept, 0)
    for one in met:
        found[one.kept] += 1
    return found
