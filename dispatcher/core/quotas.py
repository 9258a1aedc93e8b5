"""Bounds that cover lanes together: what people can answer in an hour, and a canary that goes out alone.

Answers. A group (a campaign, or all mail with one reply address) releases at most so many messages in any hour, over
all of its lanes, and evenly. A slot takes no more than

    its length's part of the hour, times its lane's part of the group's due messages, rounded up, at least 1;
    its lane's part of what the hour has left, rounded down, at least 1 while anything is left.

Further attempts count like first ones: each may be the one that is answered. A message may belong to two groups; then
both bounds hold. An hour is taken to the second: what a slot releases within a second of its start counts as at it,
or a few milliseconds of delay would close a slot an hour later.

Canary. The first messages of a campaign leave alone, in as many slots and lanes as they need; then nothing of it
leaves until its wait is over, counted from the end of the last of these slots. Further attempts of a canary's messages
are not counted again. What follows from how they fared is not decided here.

A Meter holds the counts, a Purse is what one slot of a lane may take. Release and plan both ask here.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from config.units import MILLISECONDS
from dispatcher.core.calendar import Slot
from dispatcher.core.ramp import Limit

HOUR: Final = MILLISECONDS["h"]
PUNCTUAL: Final = MILLISECONDS["s"]
UNBOUNDED: Final = 2**62
NEVER: Final = 2**62

Place = tuple[str, str, str]
"""Where messages stand: lane, campaign, segment."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A canary that is not all out: so many of its messages have still to leave, and how long it is then waited."""

    left: int
    wait: int
    ends: int = 0       # the last end of the slots that it has been released in


@dataclass(frozen=True, slots=True)
class Bounds:
    """All bounds over lanes, and what stands against them at one instant."""

    per_hour: Mapping[str, int] = field(default_factory=dict)               # group -> messages
    groups: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)   # of those in any
    queued: Mapping[tuple[str, str], int] = field(default_factory=dict)     # (group, lane) -> due messages
    released: Sequence[tuple[int, str, int]] = ()                           # instant, group, messages; oldest first
    canaries: Mapping[str, Trial] = field(default_factory=dict)             # campaign -> what is left of it
    waits: Mapping[str, int] = field(default_factory=dict)      # campaign whose canary is all out -> when it is judged


UNBOUND: Final = Bounds()


def counted_at(slot: int, released_at: int) -> int:
    """The instant that a release counts from: its slot's start, or its own where it came more than a second later."""
    return slot if 0 <= released_at - slot < PUNCTUAL else released_at


def slot_bound(per_hour: int, length: int, mine: int, total: int, left: int) -> int:
    """What a slot so long may take for a group, by the rule at this file's head.

    `mine` of the group's `total` due messages stand in the slot's lane; `left` is what the hour has left.
    """
    if left <= 0:
        return 0
    mine = max(mine, 1)
    total = max(total, mine)
    even = -(-per_hour * length * mine // (HOUR * total))
    return min(max(even, 1), max(left * mine // total, 1))


class Meter:
    """What the groups have released and what of them is due, as time goes on; instants are asked for in order."""

    def __init__(self, bounds: Bounds, apart: Collection[str] = ()) -> None:
        """The queues of the lanes `apart` are counted by `count`, not as the bounds have them."""
        self.per_hour = bounds.per_hour
        self.canaries = dict(bounds.canaries)
        self.waits = dict(bounds.waits)
        self._released: defaultdict[str, deque[tuple[int, int]]] = defaultdict(deque)
        self._sums: defaultdict[str, int] = defaultdict(int)
        self._queued: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._totals: defaultdict[str, int] = defaultdict(int)
        for instant, group, number in bounds.released:
            self.release(group, instant, number)
        for (group, lane), number in bounds.queued.items():
            if lane not in apart:
                self.count(lane, (group,), number)

    def count(self, lane: str, groups: tuple[str, ...], change: int) -> None:
        """So many more messages of a lane are due (or fewer)."""
        for group in groups:
            self._queued[group, lane] += change
            self._totals[group] += change

    def release(self, group: str, at: int, number: int) -> None:
        """So many messages of a group were released."""
        self._released[group].append((at, number))
        self._sums[group] += number

    def left(self, group: str, at: int) -> int:
        """What the hour that ends at an instant has left."""
        gone = self._released[group]
        while gone and gone[0][0] <= at - HOUR:
            self._sums[group] -= gone.popleft()[1]
        return max(self.per_hour[group] - self._sums[group], 0)

    def bound(self, group: str, lane: str, length: int, at: int) -> int:
        """What a slot of a lane may take of a group."""
        mine, total = self._queued[group, lane], self._totals[group]
        return slot_bound(self.per_hour[group], length, mine, total, self.left(group, at))

    def opens_at(self, groups: tuple[str, ...], at: int) -> int:
        """When something of these groups may leave (again)."""
        return max((self._released[group][0][0] + HOUR for group in groups if not self.left(group, at)), default=at)


class Purse:
    """What one slot of a lane may take of each bound, and takes."""

    def __init__(self, meter: Meter, lane: str, slot: Slot, now: int) -> None:
        self.meter = meter
        self.lane = lane
        self.at = counted_at(slot.start, now)
        self.stopped_by: Limit | None = None        # what first stopped something
        self.out: dict[str, int] = {}               # messages of canaries, by campaign
        self.end = slot.end
        self._length = slot.end - self.at
        self._left: dict[str, int] = {}
        self._spent: dict[str, int] = {}
        self._stopped: set[tuple[str, ...]] = set()

    def most(self, campaign: str, groups: tuple[str, ...]) -> int:
        """How many more messages of a campaign, in these groups, this slot may take."""
        trial = self.meter.canaries.get(campaign) if self.meter.canaries else None
        most = UNBOUNDED if trial is None else trial.left - self.out.get(campaign, 0)
        for group in groups:
            left = self._left.get(group)
            if left is None:
                left = self._left[group] = self.meter.bound(group, self.lane, self._length, self.at)
            most = min(most, left)
        return most

    def take(self, campaign: str, groups: tuple[str, ...], number: int = 1, *, new: bool = True) -> None:
        """Take so many; what is not `new` to the campaign's canary is a part of it already."""
        for group in groups:
            self._left[group] -= number
            self._spent[group] = self._spent.get(group, 0) + number
        if new and campaign in self.meter.canaries:
            self.out[campaign] = self.out.get(campaign, 0) + number

    def stop(self, groups: tuple[str, ...]) -> None:
        """Something of these groups is due, and may not be taken any more."""
        if self.stopped_by is None:
            closed = any(self._left[group] <= 0 for group in groups)
            self.stopped_by = Limit.REPLIES if closed else Limit.CANARY
        self._stopped.add(groups)

    def opens_at(self) -> int:
        """The first instant at which something that was stopped may leave; for a slot that took nothing."""
        return min((self.meter.opens_at(groups, self.at) for groups in self._stopped), default=NEVER)

    def settle(self) -> dict[str, int]:
        """Write what was taken into the meter; the campaigns whose canary is all out now, and the end of its wait."""
        for group, number in self._spent.items():
            self.meter.release(group, self.at, number)
            self.meter.count(self.lane, (group,), -number)
        complete = {}
        for campaign, number in self.out.items():
            trial = self.meter.canaries[campaign]
            ends = max(trial.ends, self.end)
            if number < trial.left:
                self.meter.canaries[campaign] = Trial(trial.left - number, trial.wait, ends)
            else:
                del self.meter.canaries[campaign]
                complete[campaign] = self.meter.waits[campaign] = ends + trial.wait
        return complete
