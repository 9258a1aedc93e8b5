"""What the parts of the engine share, and nothing else."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from channels.mail_hosts import MailHosts
from config.model import Mx
from dispatcher.clock import Clock
from dispatcher.core.calendar import Slot
from dispatcher.core.lane_health import LaneHealth
from dispatcher.core.ramp import start_times
from dispatcher.core.reputation import UNBLEMISHED, Reputation
from dispatcher.engine.book import CampaignBook
from dispatcher.engine.journal import Journal
from dispatcher.engine.underway import Underway
from dispatcher.engine.watch import Watch
from dispatcher.engine.ways import Ways
from dispatcher.policy import Policy
from dispatcher.store.database import Database

if TYPE_CHECKING:
    from dispatcher.engine.promises import Promises


Ask = Callable[[Mx, str], Awaitable[MailHosts]]
"""Who takes a domain's mail, asked of the DNS by these settings."""


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
    reputation: dict[str, Reputation] = field(default_factory=dict)       # the table `lanes`, as last written or read
    in_flight: set[asyncio.Task[None]] = field(default_factory=set)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)   # (lane, outcome) since the start
    came: dict[int, Counter[tuple[str, str]]] = field(default_factory=dict)     # of expansions: what requests came to
    pruned: int = 0                                                       # messages since the start
    changed: Callable[[], None] = _nothing                                # something may leave now that could not
    expect: Callable[[int], None] = _at_no_time                           # a message now waits until this instant
    ask: Ask | None = None                                                # None: the DNS is not asked about providers
    promises: "Promises | None" = None                                    # None: no engine, and nothing is released
    watch: Watch | None = None                                            # None: nobody shares the store with us
    clock_behind: str = ""          # what is wrong with the wall clock, where it says less than the store has seen
    mark_every: int = 60_000        # milliseconds: how old the mark of a running daemon may get (store/life.py)
    look_every: int = 1_000         # milliseconds: how soon it is seen that the clock was put, or that all stood still
    starts: Callable[[Slot, int, int], list[int]] = start_times       # of a batch's messages; coarser in a drill
    closing: bool = False

    @property
    def store_trouble(self) -> str:
        """Why nothing is sent, while the store cannot be used; "" while it can."""
        heard = self.watch.trouble if self.watch is not None else ""
        return self.database.trouble or self.journal.failing or heard

    @property
    def store_distance(self) -> str:
        """Why hand-overs wait, while the store answers so slowly that they do; "" while it does not."""
        return self.watch.distance if self.watch is not None else ""

    def health_of(self, lane: str) -> LaneHealth:
        """How a lane's server takes it."""
        return self.health.get(lane, LaneHealth())

    def reputation_of(self, lane: str) -> Reputation:
        """What the evidence about a lane has come to."""
        return self.reputation.get(lane, UNBLEMISHED)
