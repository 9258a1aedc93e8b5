"""What the causes of slips are looked for in: what lasted, who took places, what servers answered, who fell away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

EVERY_LANE: Final = ""
FOREVER: Final = 2**62


class Cause(StrEnum):
    """What kept a batch from leaving as promised."""

    STOPPED = "stopped"             # the daemon did not run
    CLOCK_PUT = "clock_put"         # somebody put the clock, so that slots went by in no time
    STOOD_STILL = "stood_still"     # the daemon stood still: it was halted, or the machine was
    HOLD = "hold"                   # a person held it
    LANE_HELD = "lane_held"         # the dispatcher held the lane
    APPROVAL = "approval"           # a new version waited to be approved
    CANARY = "canary"               # the canary was waited for, or failed
    CANCELED = "canceled"
    CLOCK = "clock"                 # the clock was behind what had been stored
    STALE = "stale"                 # facts about customers were too old to go by
    LANE_SLOWED = "lane_slowed"
    DEFERRAL = "deferral"           # further attempts of deferred messages took the places
    CRASH = "crash"                 # what was under way when the daemon ended took places again
    DOUBT = "doubt"                 # what was in doubt was sent again
    NEW_CAMPAIGN = "new_campaign"   # a campaign that started after the promise took them
    FEWER = "fewer"                 # fewer to send: skipped meanwhile
    MOVED = "moved"                 # they left by another lane
    RELOAD = "reload"
    UNREACHABLE = "unreachable"     # the server could not be reached
    UNSENT = "unsent"               # places went to messages that then came back untried
    REPLIES = "replies"             # bounded by the answers that people can give
    OTHERS = "others"               # another campaign took the places
    LATE = "late"                   # its slot had begun: it was promised then, or the store or the machine was busy
    UNKNOWN = "unknown"


BARS: Final = (
    Cause.STOPPED, Cause.CLOCK, Cause.CLOCK_PUT, Cause.STOOD_STILL, Cause.HOLD, Cause.LANE_HELD, Cause.CANCELED,
    Cause.APPROVAL, Cause.CANARY, Cause.STALE,
)
"""Causes that let nothing leave while they last, the most telling first."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that kept a lane, or all of them, for a time."""

    cause: Cause
    start: int
    end: int = FOREVER              # FOREVER: it lasts
    lane: str = EVERY_LANE
    why: str = ""


@dataclass(frozen=True, slots=True)
class Guest:
    """What took places in a slot of a lane."""

    cause: Cause
    lane: str
    slot: int
    size: int
    name: str = ""                  # the campaign


@dataclass(frozen=True, slots=True)
class Reload:
    """Another configuration that came into force, and changed rates."""

    at: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A slot of a lane in which the server did not take everything."""

    lane: str
    slot: int
    deferred: int = 0
    unreached: int = 0              # tried, and it could not be reached
    unsent: int = 0                 # released and never tried: given back, or no words could be made
    in_doubt: int = 0


@dataclass(frozen=True, slots=True)
class Gone:
    """Messages of a lane that fell away: skipped, for one reason."""

    lane: str
    at: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of the time since the promise."""

    spans: Sequence[Span] = ()
    guests: Sequence[Guest] = ()
    reloads: Sequence[Reload] = ()
    troubles: Sequence[Trouble] = ()
    fewer: Mapping[str, int] = field(default_factory=dict)      # lane -> promised messages that were skipped, at most
    gone: Sequence[Gone] = ()
    moved: Mapping[str, int] = field(default_factory=dict)      # lane -> messages that left by another one
    late: Mapping[tuple[str, int], int] = field(default_factory=dict)   # (lane, slot) -> milliseconds of delay
    replies: bool = False                                       # the campaign is bounded by answers


@dataclass(frozen=True, slots=True)
class Because:
    """A cause, in what it was; without a span for one that is no matter of time."""

    cause: Cause
    why: str = ""
    count: int = 0                  # messages, where they were counted
    since: int | None = None
    until: int | None = None
    follows: bool = False           # it is an earlier slip's, of which this one is a consequence
