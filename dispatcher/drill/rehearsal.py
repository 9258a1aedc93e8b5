"""A drill under way: the stage with its servers and people, the diary of what happened, the way to the operations.

Nothing here can reach anybody: the engine's ways are built with scripted channels alone, customers live at domains
under .invalid, and the store lies in a folder that is thrown away, so that its commits need not wait for a disk.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from config.model import Settings
from dispatcher.core.calendar import Slot
from dispatcher.core.plan import PlannedBatch
from dispatcher.core.ramp import start_time
from dispatcher.drill.file import Drill
from dispatcher.drill.house import House
from dispatcher.drill.moments import local_text
from dispatcher.drill.people import People, provider_of
from dispatcher.drill.servers import Servers
from dispatcher.drill.stage import ROLE, Stage
from dispatcher.engine.works import Works
from dispatcher.operations.office import Office, OperationError, Result
from dispatcher.operations.registry import perform
from dispatcher.operations.reload import Reloader
from dispatcher.policy import Policy, policy_of
from dispatcher.providers import ProviderBook
from dispatcher.store.database import Database
from dispatcher.store.in_place import InPlace, SharedEngine, in_place
from dispatcher.store.sqlite import Keeping, SqliteStore

_EMPTY: Final[dict[str, bytes]] = {}
"""A store as it is made, kept for the next drill of this process: to make one takes as long as a small drill."""
_SHARED: Final = SharedEngine()
_MOST_TURNS: Final = 3
"""Turns that others get at most before a statement of the store, where chance decides how many."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened."""

    at: int             # by the drill's wall clock
    what: str
    by: str = "drill"   # or the dispatcher
    cause: str = ""


@dataclass(slots=True)
class Stop:
    """Something that was told to stop, for the promise that it did (P6)."""

    what: str           # everything | lane | sender | campaign | category | canceled | unapproved | address
    name: str
    begun: int          # hand-overs that had begun by then
    until: int | None = None     # hand-overs that had begun when it was let go on; None: never
    ends_at: int | None = None   # when it goes on by itself, by the wall clock


@dataclass
class Diary:
    """What happened, and what the promises are judged by beside the servers' record."""

    entries: list[Entry] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    accepted: int = 0                                         # messages that producers were told are on the queue
    final: dict[int, tuple[object, ...]] = field(default_factory=dict)
    unfinal: list[str] = field(default_factory=list)          # what changed although it had ended
    policies: list[Policy] = field(default_factory=list)      # all that were in force
    most_underway: int = 0
    crashes: int = 0
    told: list[str] = field(default_factory=list)             # what a log line gave away
    untrue: list[str] = field(default_factory=list)           # what a look at the store found on the way


class DrillStage(Stage):
    """A stage whose store is thrown away, and whose batches may leave by the slot."""

    def __init__(self, folder: Path, now: int, *, exact: bool, seed: int) -> None:
        super().__init__(folder, now)
        self._exact = exact
        turns = None
        if exact:   # others get their turns between the store's statements, as they do beside its thread
            chance = random.Random(seed)  # noqa: S311 -- the same run from the same seed, guards nothing
            turns = lambda: int(chance.random() * _MOST_TURNS)  # noqa: E731 -- said where it is made
        self._connect = in_place(turns)

    async def open_store(self) -> Database:
        """The store, which no commit waits for: nobody needs it after a power cut."""
        empty = _EMPTY.get("store")
        if empty is not None and not self.path.exists():
            self.path.write_bytes(empty)
        database = await SqliteStore.open(self.path, ROLE, Keeping(self._connect, "OFF", _SHARED))
        if empty is None:
            async with database.transaction() as tx:
                _EMPTY["store"] = await tx.run_sync(_image)
        return database

    def make_works(self) -> Works:
        """The engine's tools; without `exact` a batch is handed over at the start of its slot."""
        works = super().make_works()
        if self.build is None:
            raise RuntimeError("a drill has no channels but its own")
        if not self._exact:
            works.starts = by_the_slot
        return works


def _image(connection: Connection) -> bytes:
    """The whole of an open store."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, InPlace):
        raise TypeError("a drill's store has no thread of its own")
    return driver.image()


def by_the_slot(slot: Slot, size: int, now: int) -> list[int]:
    """All messages of a batch start where its first would: the slots are kept, what happens within one is not."""
    return [start_time(max(slot.start, now), slot.end, size, 0)] * size


class DrillBook(ProviderBook):
    """The providers of a drill's own domains, known without asking anybody."""

    def provider_of(self, domain: str) -> str:
        """The provider of a domain."""
        return provider_of(domain)


def drilled(settings: Settings) -> Policy:
    """The policy of settings, with the drill's own domains for its providers; a reload keeps these."""
    return policy_of(settings, DrillBook())


class Rehearsal:
    """A drill under way."""

    def __init__(self, drill: Drill, folder: Path) -> None:
        table = drill.table
        self.drill = drill
        self.house = House(folder, drill)
        self.people = People(table.customers)
        self.diary = Diary()
        self.planned: Sequence[PlannedBatch] | None = None      # what was planned at the moment that is expected
        self.planned_at = 0
        self.unplanned = 0                               # queued messages that no plan knows of, in the end
        self.stood: dict[int, tuple[str, int]] = {}      # an expected lane's place -> its state and allowance then
        self.stage = DrillStage(folder, drill.start, exact=table.exact, seed=table.seed)
        self.servers = Servers(self.stage.clock, seed=table.seed)
        self.stage.build = self.servers.channel
        self.use(drilled(self.house.settings()))

    @property
    def now(self) -> int:
        """The instant it is, by the drill's wall clock."""
        return self.stage.now

    @property
    def passed(self) -> int:
        """Milliseconds that have gone by, whatever the wall clock was put to."""
        return round(self.stage.clock.monotonic() * 1000)

    def use(self, policy: Policy) -> None:
        """Note a policy that comes into force."""
        self.stage.policy = policy
        self.diary.policies.append(policy)
        self.servers.names = {str(one.from_.address): name for name, one in policy.settings.senders.items()}

    def note(self, what: str, cause: str = "", by: str = "drill") -> None:
        """Write something down."""
        self.diary.entries.append(Entry(self.now, what, by, cause))

    def when(self, instant: int) -> str:
        """`day 3 10:02`."""
        return local_text(instant, self.drill.table.timezone, self.drill.start)

    def office(self) -> Office:
        """Where operations are carried out: with the daemon while it runs, else as a command without one."""
        stage = self.stage
        office = Office(stage.works, stage.engine if stage.running else None, since=self.now)
        if stage.running:
            office.reload = Reloader(stage.works, stage.engine, office, self.house.file).reload
        return office

    async def perform(self, operation: str, /, **args: Any) -> Result:  # noqa: ANN401 -- an operation checks its own
        """Carry an operation out, as the command line would."""
        result = await perform(self.office(), operation, args)
        if self.stage.running:
            await self.stage.settle()
        return result

    async def tried(self, operation: str, /, **args: Any) -> Result | None:  # noqa: ANN401 -- as above
        """As perform; None where it was refused, which is written down."""
        try:
            return await self.perform(operation, **args)
        except OperationError as error:
            self.note(f"{operation} refused", "; ".join([error.message, *error.details]))
            return None
