"""Metrics for Prometheus: every one of them stands in METRICS with its meaning, and is read when it is asked for.

Labels are names that ops wrote (lane, sender) and words of ours (state, outcome, reason); never a person, never free
text. Where the store does not answer in time, the metrics of the process itself are told all the same.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.process_collector import ProcessCollector
from sqlalchemy.exc import DBAPIError

from dispatcher.engine.standing import read_standing
from dispatcher.operations.lanes import LaneNow, lanes_now
from dispatcher.operations.office import Office
from dispatcher.operations.reload import Reloading
from dispatcher.policy import split_lane
from dispatcher.store import customers, reading, tallies
from dispatcher.store.database import StoreError
from dispatcher.store.reading import BatchRow

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
PATIENCE: Final = 2.0        # seconds for the store to answer
STATES: Final = ("healthy", "slow", "waiting", "held", "closed")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as it is documented."""

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    meaning: str

    def family(self, *samples: tuple[tuple[str, ...], float]) -> Family:
        """The metric with its samples: label values, in the order of the labels, and a number."""
        made = (CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily)(
            self.name, self.meaning, labels=self.labels)
        for values, number in samples:
            made.add_metric(values, number)
        return made


ATTEMPTS: Final = Metric("dispatcher_attempts_total", "counter", ("lane", "sender", "outcome"),
                         "Attempts since the daemon started, by outcome: accepted, deferred, rejected, in_doubt.")
MESSAGES: Final = Metric("dispatcher_messages", "gauge", ("lane", "sender", "state"),
                         "Messages by state. waiting: queued, but not yet due. No lane: skipped when they came in.")
SKIPPED: Final = Metric("dispatcher_skipped", "gauge", ("reason",), "Messages that were skipped, by reason.")
ALLOWANCE: Final = Metric("dispatcher_lane_allowance", "gauge", ("lane", "sender"),
                          "Messages that the lane may send in the current step.")
SPENT: Final = Metric("dispatcher_lane_spent", "gauge", ("lane", "sender"),
                      "Messages of that allowance that have been released.")
LANE_STATE: Final = Metric("dispatcher_lane_state", "gauge", ("lane", "sender", "state"),
                           "1 for the state that the lane is in: healthy, slow, waiting, held or closed.")
SHARE: Final = Metric("dispatcher_lane_share", "gauge", ("lane", "sender"),
                      "The part of a slot's size that is released; below 1 where the provider asks for less.")
BATCH_SIZE: Final = Metric("dispatcher_last_batch_size", "gauge", ("lane", "sender"),
                           "Messages in the lane's latest batch.")
BATCH_AT: Final = Metric("dispatcher_last_batch_timestamp_seconds", "gauge", ("lane", "sender"),
                         "When the lane's latest batch was released.")
UNDERWAY: Final = Metric("dispatcher_underway", "gauge", (), "Messages that are released and have no outcome yet.")
IN_FLIGHT: Final = Metric("dispatcher_in_flight", "gauge", (), "Hand-overs that have begun and have no outcome yet.")
INSTANCES: Final = Metric("dispatcher_instances", "gauge", (),
                          "Daemons on the store whose lease lasts, this one among them.")
HOLDS: Final = Metric("dispatcher_holds", "gauge", (), "Holds in force.")
FACTS_AT: Final = Metric("dispatcher_facts_timestamp_seconds", "gauge", (),
                         "When facts about customers or their activity last came in; 0: never.")
UNWRITABLE: Final = Metric("dispatcher_store_failing", "gauge", (),
                           "1 while outcomes cannot be written to the store, and nothing is sent, or while it answers "
                           "so slowly that hand-overs wait for it.")
UNREAD: Final = Metric("dispatcher_store_unread", "gauge", (),
                       "1 where the store did not answer this request in time: what it knows is left out.")
PRUNED: Final = Metric("dispatcher_pruned_messages_total", "counter", (),
                       "Finished messages whose details were removed since the daemon started, by [store] keep.")
RELOADS: Final = Metric("dispatcher_reloads_total", "counter", ("outcome",),
                        "Reloads since the daemon started: accepted or rejected.")
CONFIG_AT: Final = Metric("dispatcher_config_timestamp_seconds", "gauge", (), "When the settings in force were read.")
STARTED_AT: Final = Metric("dispatcher_start_timestamp_seconds", "gauge", (), "When the daemon started.")
DRAINING: Final = Metric("dispatcher_draining", "gauge", (), "1 while the daemon is stopping.")
FAULTY: Final = Metric("dispatcher_campaign_faults", "gauge", (),
                       "Faults of campaigns in the folder that kept them from being applied at start.")

METRICS: Final = (ATTEMPTS, MESSAGES, SKIPPED, ALLOWANCE, SPENT, LANE_STATE, SHARE, BATCH_SIZE, BATCH_AT, UNDERWAY,
                  IN_FLIGHT, INSTANCES, HOLDS, FACTS_AT, UNWRITABLE, UNREAD, PRUNED, RELOADS, CONFIG_AT, STARTED_AT,
                  DRAINING, FAULTY)
"""Every metric of ours; beside them stand the process_* ones of prometheus-client."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the store says."""

    totals: list[tuple[str, str, str, int]]
    lanes: list[LaneNow]
    batches: list[BatchRow]
    holds: int
    facts_at: int


class Metrics:
    """Answers /metrics."""

    def __init__(self, office: Office, reloads: Reloading) -> None:
        self._office = office
        self._reloads = reloads
        self._look: asyncio.Task[_Seen | None] | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)

    async def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        seen = await self._seen()
        families = [*self._own(), *(_stored(seen) if seen is not None else ()),
                    UNREAD.family(((), float(seen is None)))]
        return generate_latest(_Collected(families)) + generate_latest(self._registry)

    async def _seen(self) -> _Seen | None:
        """What the store says, None where it does not in time; a look that hangs is not begun beside itself."""
        if self._look is None:
            self._look = asyncio.create_task(self._read())
            self._look.add_done_callback(self._looked)
        done, _ = await asyncio.wait({self._look}, timeout=PATIENCE)
        return next(iter(done)).result() if done else None

    def _looked(self, _task: asyncio.Task[_Seen | None]) -> None:
        self._look = None

    async def _read(self) -> _Seen | None:
        works = self._office.works
        now = works.clock.now()
        try:
            async with works.database.transaction() as tx:
                standing = await read_standing(tx, works.policy, works.book, now)
                lanes = await lanes_now(tx, works, standing, now)
                batches = [await reading.last_batch(tx, lane.lane) for lane in lanes]
                return _Seen(await tallies.totals(tx), lanes, [batch for batch in batches if batch is not None],
                             len(standing.holds), await customers.facts_at(tx) or 0)
        except (DBAPIError, StoreError):
            return None

    def _own(self) -> Iterator[Family]:
        works, reloads = self._office.works, self._reloads
        yield ATTEMPTS.family(*(((*_lane(lane), outcome), number)
                                for (lane, outcome), number in sorted(works.outcomes.items())))
        yield UNDERWAY.family(((), len(works.underway)))
        yield IN_FLIGHT.family(((), len(works.in_flight)))
        yield INSTANCES.family(((), works.watch.living if works.watch is not None else 1))
        yield UNWRITABLE.family(((), float(bool(works.store_trouble or works.store_distance))))
        yield PRUNED.family(((), works.pruned))
        yield RELOADS.family((("accepted",), reloads.done), (("rejected",), reloads.refused))
        yield CONFIG_AT.family(((), reloads.last_at / 1000))
        yield STARTED_AT.family(((), self._office.since / 1000))
        yield DRAINING.family(((), float(works.closing)))
        yield FAULTY.family(((), len(self._office.faults)))


class _Collected:
    """Families as a registry that hands them out."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Family]:
        """The families."""
        return self._families


def _stored(seen: _Seen) -> Iterator[Family]:
    states: defaultdict[tuple[str, str], int] = defaultdict(int)
    reasons: Counter[str] = Counter()
    for lane, state, reason, count in seen.totals:
        states[lane, state] += count
        if reason:
            reasons[reason] += count
    yield MESSAGES.family(*(((*_lane(lane), state), count) for (lane, state), count in sorted(states.items())))
    yield SKIPPED.family(*(((reason,), count) for reason, count in sorted(reasons.items())))
    yield ALLOWANCE.family(*((_lane(one.lane), one.allowance) for one in seen.lanes))
    yield SPENT.family(*((_lane(one.lane), one.spent) for one in seen.lanes))
    yield LANE_STATE.family(*(((*_lane(one.lane), state), float(one.state == state))
                              for one in seen.lanes for state in STATES))
    yield SHARE.family(*((_lane(one.lane), one.view.reputation.share) for one in seen.lanes if one.view is not None))
    yield BATCH_SIZE.family(*((_lane(one.lane), one.size) for one in seen.batches))
    yield BATCH_AT.family(*((_lane(one.lane), one.released_at / 1000) for one in seen.batches))
    yield HOLDS.family(((), seen.holds))
    yield FACTS_AT.family(((), seen.facts_at / 1000))


def _lane(lane: str) -> tuple[str, str]:
    """The labels of a lane."""
    return lane, split_lane(lane).sender
