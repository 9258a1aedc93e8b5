"""The tables of a drill file: their keys, their meaning, their ranges. docs/drill.md has them for people."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from config.faults import Placed, any_of, nearest, placed
from config.fields import AbsolutePath, Duration, Line, Name, Table, between, duration, text_of
from config.units import DAY
from dispatcher.drill.kinds import KINDS
from dispatcher.drill.moments import Jump, MomentText

MOST_CUSTOMERS: Final = 1_000_000
MOST_DAYS: Final = 400
_REPLY: Final = re.compile(r"[45][0-9]{2} [\x20-\x7e]{1,400}")
_SUM: Final = 0.001      # by which shares may miss the whole


def _shares(shares: dict[str, float]) -> dict[str, float]:
    if not shares:
        raise ValueError("is empty; give at least one share")
    if any(not 0 <= share <= 1 for share in shares.values()):
        raise ValueError("has a share that is not from 0 to 1")
    if abs(sum(shares.values()) - 1) > _SUM:
        raise ValueError(f"comes to {sum(shares.values()):g}; shares add up to 1")
    return shares


def _kind(value: object) -> str:
    name = text_of(value, "deferrals")
    if name not in KINDS:
        raise ValueError(f"is no event that a drill knows{nearest(name, KINDS)}; it knows {any_of(KINDS)}")
    return name


def _reply(value: object) -> str:
    text = text_of(value, "450 4.2.1 Try again later")
    if not _REPLY.fullmatch(text):
        raise ValueError('is no reply of a server; write a code of 4xx or 5xx and its words, such as '
                         '"450 4.2.1 Try again later"')
    return text


Shares = Annotated[dict[str, float], AfterValidator(_shares)]
Share = Annotated[float, between(0.0, 1.0)]
Number = Annotated[int, between(1, MOST_CUSTOMERS)]
Reply = Annotated[str, PlainValidator(_reply)]
Takes = Annotated[int, duration(1, DAY)]


class CustomersTable(Table):
    """Who there is. Shares are of all customers; those of one list add up to 1."""

    count: Number
    providers: Shares = Field(default_factory=lambda: {"other": 1.0})
    locations: Shares = Field(default_factory=lambda: {"DE/Berlin": 1.0})
    plans: Shares = Field(default_factory=lambda: {"standard": 1.0})
    timezones: Shares = Field(default_factory=lambda: {"UTC": 1.0})
    active: Share = 1.0                    # the rest did nothing for twice active_within
    consent: Share = 1.0                   # to promotional messages


class WordsTable(Table):
    """What an inline campaign says."""

    subject: Line = "A drill"
    text: str = "Dear {{ customer.name }}, this is a drill."


class SendTable(Table):
    """A campaign, from a folder or in a few words, and when it is sent to its whole audience; never, without `at`."""

    folder: AbsolutePath | None = None
    id: Name | None = None
    at: MomentText | None = None
    category: Literal["critical", "service", "promotional"] = "service"
    senders: Annotated[list[Name], Field(min_length=1)] | None = None      # all, where left out
    segment_by: str | None = None
    segments: list[str] | None = None
    useful_for: Duration | None = None
    incident: Line | None = None
    sequence: Annotated[int, between(0, 1_000_000)] | None = None
    closes: bool = False
    canary: dict[str, Any] | None = None
    replies: dict[str, Any] | None = None
    audience: dict[str, Any] | None = None
    email: WordsTable = WordsTable()

    @model_validator(mode="after")
    def _folder_or_words(self) -> Self:
        if self.folder is None and self.id is None:
            raise placed([(("id",), "is required and missing; give an id and a few words, or a campaign's folder")])
        beside = sorted(self.model_fields_set - {"folder", "at"})
        if self.folder is not None and beside:
            raise placed([((name,), "stands beside folder, whose campaign.toml has it") for name in beside])
        return self


class HistoryTable(Table):
    """What a lane has sent before the drill: the days up to the one before its start, the latest last."""

    lane: str
    sent: Annotated[list[Annotated[int, between(0, 1_000_000_000)]], Field(min_length=1, max_length=400)]


class EventTable(Table):
    """Something that happens. What each kind needs stands in kinds.py."""

    at: MomentText
    kind: Annotated[str, PlainValidator(_kind)]
    provider: str | None = None
    sender: str | None = None
    share: Share | None = None             # of the hand-overs, or of the customers; all where left out
    count: Number | None = None
    reply: Reply | None = None             # what the server says, such as "421 4.7.28 Our system has detected ..."
    for_: Duration | None = Field(default=None, alias="for")
    takes: Takes | None = None
    turns: Annotated[int, between(0, 10_000)] | None = None      # of the loop that a crash comes after
    during: Literal["hand_over"] | None = None     # the crash waits for the next one to begin, an hour at most
    set: dict[str, Any] | None = None      # settings as they would be written in the file
    jump: Jump | None = None
    name: str | None = None                # of what is held: a lane, campaign, sender or category; all without it
    reason: Line | None = None
    campaign: str | None = None
    by: Line | None = None

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Self:
        kind = KINDS[self.kind]
        given = {"for" if name == "for_" else name for name in self.model_fields_set} - {"at", "kind"}
        allowed = {*kind.needs, *kind.may, *kind.one_of}
        faults: list[Placed] = [((name,), f"means nothing for {self.kind}; its keys are {any_of(sorted(allowed))}")
                                for name in sorted(given - allowed)]
        faults += [((name,), f"is required for {self.kind}, and missing") for name in kind.needs if name not in given]
        if kind.one_of and len(given & set(kind.one_of)) != 1:
            faults.append((("kind",), f"{self.kind} needs {any_of(kind.one_of)}, and one of them only"))
        if faults:
            raise placed(faults)
        return self


class LaneExpectTable(Table):
    """How a lane should stand at a moment."""

    lane: str
    at: MomentText
    state: Literal["healthy", "slow", "held"] | None = None
    allowance_at_least: Number | None = None
    allowance_at_most: Number | None = None


class ExpectTable(Table):
    """What the drill should come to; where it does not, the drill fails."""

    done_before: MomentText | None = None        # every message has ended by then
    nobody_late: bool | None = None              # nobody's message expired before its turn
    accepted_at_least: Number | None = None
    copies_at_most: Annotated[int, between(0, MOST_CUSTOMERS)] | None = None     # beyond one each
    plan_kept_from: MomentText | None = None     # what was planned then is what happened, batch by batch
    lanes: tuple[LaneExpectTable, ...] = Field(strict=False, default=())
