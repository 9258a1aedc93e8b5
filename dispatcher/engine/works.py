"""What the parts of the engine share, and nothing else."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from dispatcher.clock import Clock
from dispatcher.core.lane_health import LaneHealth
from dispatcher.engine.book import CampaignBook
from dispatcher.engine.journal import Journal
from dispatcher.engine.underway import Underway
from dispatcher.engine.ways import Ways
from dispatcher.policy import Policy
from dispatcher.store.database import Database


def _nothing() -> None:
    """Nobody waits for changes."""


def _at_no_time(_instant: int) -> None:
    """Nobody looks at what waits."""


@dataclass(slots=True)
class Works:
    """The engine's tools and its short memory."""

    database: Database
    clock: Clock
    policy: Policy
    journal: Journal
    ways: Ways = field(default_factory=Ways)
    underway: Underway = field(default_factory=Underway)
    book: CampaignBook = field(default_factory=CampaignBook)
    health: dict[str, LaneHealth] = field(default_factory=dict)
    in_flight: set[asyncio.Task[None]] = field(default_factory=set)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)   # (lane, outcome) since the start
    changed: Callable[[], None] = _nothing                                # something may leave now that could not
    expect: Callable[[int], None] = _at_no_time                           # a message now waits until this instant
    closing: bool = False

    def health_of(self, lane: str) -> LaneHealth:
        """How a lane's server takes it."""
        return self.health.get(lane, LaneHealth())
