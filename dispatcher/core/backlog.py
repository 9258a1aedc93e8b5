"""A lane's backlog in a plan: what is due in the order of release, what waits, and who came too late.

A Census keeps count of what is due in bounded groups, over all lanes, while time goes on: the parts that slots get of
a bound follow from it (quotas.py).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from dispatcher.core.quotas import Meter, Purse


@dataclass(frozen=True, slots=True)
class Run:
    """Queued messages of a lane that a plan need not tell apart. Runs given first are the ones that came first."""

    priority: int
    rank: int
    segment: str
    campaign: str
    count: int
    not_before: int = 0             # 0: due now
    expires_at: int | None = None
    groups: tuple[str, ...] = ()    # whose bounds over lanes hold for them
    known: int = 0                  # of them, the first ones: part of the campaign's canary already


Parts = dict[tuple[str, str], int]
"""(campaign, segment) -> messages"""


class Queue:
    """One lane's backlog."""

    def __init__(self, runs: Sequence[Run], meter: Meter) -> None:
        self.runs = runs
        self.left = [run.count for run in runs]
        self._known = [run.known for run in runs]
        self.total = sum(self.left)
        self.late: dict[str, int] = {}
        self._meter = meter
        self._due: list[tuple[int, int, int]] = []
        self._waiting = [(run.not_before, number) for number, run in enumerate(runs)]
        heapify(self._waiting)

    def due(self, at: int) -> int | None:
        """`at` if a message is due then, else the instant at which the next one will be; None if there is none."""
        while self._waiting and self._waiting[0][0] <= at:
            _, number = heappop(self._waiting)
            run = self.runs[number]
            heappush(self._due, (run.priority, run.rank, number))
        if self._first(at) is not None:
            return at
        return self.next_due()

    def next_due(self) -> int | None:
        """When the next waiting message will be due."""
        return self._waiting[0][0] if self._waiting else None

    def take(self, at: int, most: int, purse: Purse) -> Parts:
        """The first due messages, at most so many and no more than the purse allows."""
        parts: Parts = {}
        stopped: list[tuple[int, int, int]] = []
        while most and (number := self._first(at)) is not None:
            run = self.runs[number]
            count = min(most, self.left[number], purse.most(run.campaign, run.groups))
            if count <= 0:
                purse.stop(run.groups)
                stopped.append(heappop(self._due))
                continue
            known = self._known[number]
            if known:
                count = min(count, known)
                self._known[number] = known - count
            purse.take(run.campaign, run.groups, count, new=not known)
            self.left[number] -= count
            most -= count
            part = (run.campaign, run.segment)
            parts[part] = parts.get(part, 0) + count
        for entry in stopped:
            heappush(self._due, entry)
        return parts

    def expire(self, at: int) -> None:
        """Count who will have heard nothing by `at`, and then would hear too late."""
        for number, run in enumerate(self.runs):
            if run.expires_at is not None and run.expires_at <= at:
                self._give_up(number)

    def _first(self, at: int) -> int | None:
        while self._due:
            number = self._due[0][2]
            run = self.runs[number]
            if run.expires_at is not None and run.expires_at <= at:
                self._give_up(number)
            if not self.left[number]:
                heappop(self._due)
                continue
            until = self._meter.waits.get(run.campaign, 0)
            if until <= at:
                return number
            heappop(self._due)
            heappush(self._waiting, (until, number))
        return None

    def _give_up(self, number: int) -> None:
        if self.left[number]:
            campaign = self.runs[number].campaign
            self.late[campaign] = self.late.get(campaign, 0) + self.left[number]
            self.left[number] = 0


class Census:
    """What of the bounded groups is due, lane by lane: `opens` says from when on each lane releases at all."""

    def __init__(self, meter: Meter, queues: Mapping[str, Queue], opens: Mapping[str, int]) -> None:
        self._meter = meter
        self._queues = queues
        self._counted: set[tuple[str, int]] = set()
        self._gone: set[tuple[str, int]] = set()                 # expired
        self._of_campaign: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        self._events: list[tuple[int, bool, str, int]] = []      # instant, expires (else: due), lane, number of the run
        for lane, begin in opens.items():
            for number, run in enumerate(queues[lane].runs):
                if run.groups and run.count:
                    self._of_campaign[run.campaign].append((lane, number))
                    self._events.append((max(run.not_before, begin), False, lane, number))
                    if run.expires_at is not None:
                        self._events.append((run.expires_at, True, lane, number))
        heapify(self._events)

    def advance(self, at: int) -> None:
        """Count what has become due or has expired by an instant."""
        while self._events and self._events[0][0] <= at:
            instant, expires, lane, number = heappop(self._events)
            until = self._meter.waits.get(self._queues[lane].runs[number].campaign, 0)
            if expires:
                self._change(lane, number, counted=False)
                self._gone.add((lane, number))
            elif instant < until:
                heappush(self._events, (until, False, lane, number))
            else:
                self._change(lane, number, counted=True)

    def wait(self, campaign: str, until: int) -> None:
        """Nothing of a campaign is due until an instant (as the meter has it)."""
        for lane, number in self._of_campaign[campaign]:
            self._change(lane, number, counted=False)
            heappush(self._events, (until, False, lane, number))

    def _change(self, lane: str, number: int, *, counted: bool) -> None:
        place = (lane, number)
        if place in self._gone or (place in self._counted) == counted:
            return
        queue = self._queues[lane]
        left = queue.left[number]
        self._meter.count(lane, queue.runs[number].groups, left if counted else -left)
        if counted:
            self._counted.add(place)
        else:
            self._counted.discard(place)
