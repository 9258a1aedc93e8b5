"""A drill file: what a dispatcher.toml has, or the name of one, and who there is, what is sent, what happens.

Strict like every file: what is unknown, wrong or out of range is refused with its line, all faults at once. What was
read is a Drill, which says no more than the file does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from config.faults import ConfigFaults, Fault, Placed, any_of, key_text, nearest, place_of
from config.fields import AbsolutePath, Timezone, between
from config.lines import Key, find_places
from config.load import across_tables, load_settings, load_table
from config.model import Settings
from config.providers import load_providers
from config.toml import read_toml
from config.units import DAY
from dispatcher.drill.moments import DateText, Moment, MomentText
from dispatcher.drill.tables import (
    MOST_DAYS,
    CustomersTable,
    EventTable,
    ExpectTable,
    HistoryTable,
    SendTable,
)
from dispatcher.intake.campaign_file import FILE_NAME

MEANINGLESS: Final = ("service", "log", "store", "http")
"""Tables of a dispatcher.toml that say where a daemon lives: a drill lives in a folder of its own."""


class DrillTable(Settings):
    """A whole drill file."""

    start: DateText
    days: Annotated[int, between(1, MOST_DAYS)] | None = None
    until: MomentText | None = None
    timezone: Timezone = "UTC"                  # of start and of all that happens
    seed: Annotated[int, between(0, 2**63 - 1)] = 1
    exact: bool = False                         # hand over to the millisecond, not by the slot
    config: AbsolutePath | None = None          # a dispatcher.toml, instead of [ramps.X], [senders.X] and the like
    customers: CustomersTable
    sends: tuple[SendTable, ...] = Field(strict=False, min_length=1)
    history: tuple[HistoryTable, ...] = Field(strict=False, default=())
    events: tuple[EventTable, ...] = Field(strict=False, default=())
    expect: ExpectTable = ExpectTable()

    @model_validator(mode="before")
    @classmethod
    def _every_table(cls, data: Any) -> Any:  # noqa: ANN401 -- whatever the file holds
        """Tables of settings that are left out are empty ones, as in dispatcher.toml."""
        return {name: {} for name in Settings.model_fields} | data if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if (self.days is None) == (self.until is None):
            raise ValueError('has no end, or two: give days = 30, or until = "day 30 20:00"')
        return self


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill as its file has it."""

    table: DrillTable
    place: str                          # the file, as it was named
    folder: Path                        # of the file
    settings: Mapping[str, Any]         # the raw tables of a dispatcher.toml
    settings_folder: Path               # where their relative paths start
    senders: tuple[str, ...]
    campaigns: Mapping[int, str]        # place among the sends -> id

    @property
    def start(self) -> int:
        """When it begins."""
        return self.table.start.instant(0, self.table.timezone)

    @property
    def end(self) -> int:
        """When it ends."""
        if self.table.until is not None:
            return self.table.until.instant(self.start, self.table.timezone)
        return self.start + (self.table.days or 0) * DAY


def read_drill(path: Path, seed: int | None = None) -> Drill:
    """A drill file, or ConfigFaults with all that is wrong in it, and in the dispatcher.toml that it names.

    A seed takes the place of the file's.
    """
    table = load_table(path, DrillTable, _across)
    if seed is not None:
        table = table.model_copy(update={"seed": seed})
    document = read_toml(path)
    lines = find_places(document.text).lines
    data = document.data
    folder = document.folder
    if table.config is not None:
        senders = tuple(load_settings(table.config, read_secrets=False).senders)
        other = read_toml(table.config)
        data, folder = other.data, other.folder
    settings = {name: value for name, value in data.items()
                if name in Settings.model_fields and name not in MEANINGLESS}
    if table.config is None:
        senders = tuple(table.senders)
    campaigns, faults = _campaigns(table)
    drill = Drill(table, str(path), document.folder, settings, folder, senders, campaigns)
    faults += _unknown(drill)
    if faults:
        raise ConfigFaults(Fault(document.file, place_of(key, lines), key_text(key), problem)
                           for key, problem in faults)
    return drill


def _across(data: Mapping[str, Any]) -> Iterator[Placed]:
    """What no one table can judge."""
    for name in MEANINGLESS:
        if name in data:
            yield (name,), "means nothing in a drill, which keeps its store and its listeners to itself; leave it out"
    if "config" in data:
        for name in Settings.model_fields:
            if name in data and name not in MEANINGLESS:
                yield (name,), "stands beside config; give one of the two"
    else:
        yield from across_tables(data)


def _campaigns(table: DrillTable) -> tuple[dict[int, str], list[Placed]]:
    """The ids of the campaigns; folders are read for theirs, and checked when they are applied."""
    found: dict[int, str] = {}
    faults: list[Placed] = []
    for number, send in enumerate(table.sends):
        name = send.id
        if send.folder is not None:
            try:
                name = str(read_toml(send.folder / FILE_NAME).data.get("id", ""))
            except ConfigFaults as error:
                faults += [(("sends", number, "folder"), str(fault)) for fault in error.faults]
                continue
        if name in found.values():
            problem = f'is "{name}" once more; it is sent again by an event, or under an id of its own'
            faults.append((("sends", number), problem))
        found[number] = name or ""
    return found, faults


def _unknown(drill: Drill) -> list[Placed]:
    """Names that nothing has: providers, senders, lanes, campaigns; and events that would come too late."""
    table, names = drill.table, _Names(drill)
    for name in table.customers.providers:
        names.look("provider", name, ("customers", "providers", name), shipped=True)
    for number, send in enumerate(table.sends):
        if send.at is not None:
            names.look_at_time(send.at, ("sends", number, "at"))
        for place, name in enumerate(send.senders or ()):
            names.look("sender", name, ("sends", number, "senders", place))
    for number, past in enumerate(table.history):
        names.look("lane", past.lane, ("history", number, "lane"))
    for number, expected in enumerate(table.expect.lanes):
        names.look("lane", expected.lane, ("expect", "lanes", number, "lane"))
        names.look_at_time(expected.at, ("expect", "lanes", number, "at"))
    if table.expect.plan_kept_from is not None:
        names.look_at_time(table.expect.plan_kept_from, ("expect", "plan_kept_from"))
    for number, event in enumerate(table.events):
        names.look_at_event(event, ("events", number))
        names.look_at_time(event.at, ("events", number, "at"))
    return names.found


class _Names:
    """What may be named in a drill."""

    def __init__(self, drill: Drill) -> None:
        self.found: list[Placed] = []
        self._drill = drill
        senders, campaigns = list(drill.senders), list(drill.campaigns.values())
        providers = list(drill.table.customers.providers)
        self._known = {
            "provider": providers, "sender": senders, "campaign": campaigns,
            "lane": [f"{sender}/{provider}" for sender in senders for provider in providers],
            "name": [*campaigns, *senders, "critical", "service", "promotional"],
        }

    def look_at_event(self, event: EventTable, key: Key) -> None:
        """Judge the names in an event."""
        for what, name in (("provider", event.provider), ("sender", event.sender), ("campaign", event.campaign)):
            if name is not None:
                self.look(what, name, (*key, what))
        if event.name is not None:
            self.look("lane" if "/" in event.name else "name", event.name, (*key, "name"))

    def look_at_time(self, moment: Moment, key: Key) -> None:
        """Judge a moment: it must lie in the drill."""
        drill = self._drill
        if not drill.start <= moment.instant(drill.start, drill.table.timezone) < drill.end:
            days = (drill.end - drill.start) / DAY
            problem = f"lies outside of the drill, which begins at {drill.table.start.text} and lasts {days:g} days"
            self.found.append((key, problem))

    def look(self, what: str, name: str, key: Key, *, shipped: bool = False) -> None:
        """Judge a name; a provider of customers is one that the shipped table has."""
        known = list(load_providers().names) if shipped else self._known[what]
        if name not in known:
            problem = f'"{name}" is no {what} of this drill{nearest(name, known)}; there is {any_of(known)}'
            self.found.append((key, problem))
