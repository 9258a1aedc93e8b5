"""Why promised batches slipped: one cause for each, by what is known of the time in which it did.

The order in which causes are looked for, each more direct than those behind it:

1. What let nothing leave in that time: the daemon did not run, somebody held it, the lane was held, the campaign
   waited for approval or for its canary, or was canceled.
2. The lane was slowed.
3. Others took the places: further attempts of deferred messages, a campaign that started later.
4. There was nobody left to send to: messages were skipped meanwhile, or went by another lane.
5. What lasts: a reload that changed the lane's rate; else an earlier slip of the lane, as a step that sent less lets
   the next ones grow less (the cause is then that slip's, and `follows` is set).
6. What the outcomes of the time tell: the server could not be reached, or deferred.
7. Another campaign, or a bound that many share, took what the plan had given to this one; the daemon was late.
8. Places that were spent on what then came back untried: the hold that sent it back, where one did.

With none of these it is `unknown`: nothing that was recorded explains it.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from operator import attrgetter, itemgetter
from typing import Final

from dispatcher.core.slips import Met

EVERY_LANE: Final = ""
FOREVER: Final = 2**62
_TROUBLED: Final = 4 * 86_400_000
"""Milliseconds before a slip in which outcomes of its lane count: so long is what was deferred tried again, and over a
weekend it is a Friday that lets a Monday grow less."""


class Cause(StrEnum):
    """What kept a batch from leaving as promised."""

    STOPPED = "stopped"             # the daemon did not run
    HOLD = "hold"                   # a person held it
    LANE_HELD = "lane_held"         # the dispatcher held the lane
    APPROVAL = "approval"           # a new version waited to be approved
    CANARY = "canary"               # the canary was waited for, or failed
    CANCELED = "canceled"
    CLOCK = "clock"                 # the clock was behind what had been stored
    STALE = "stale"                 # facts about customers were too old to go by
    LANE_SLOWED = "lane_slowed"
    DEFERRAL = "deferral"           # further attempts of deferred messages took the places
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
    Cause.STOPPED, Cause.CLOCK, Cause.HOLD, Cause.LANE_HELD, Cause.CANCELED, Cause.APPROVAL, Cause.CANARY, Cause.STALE,
)
"""Causes that let nothing leave while they last, the most telling first."""
_NO_CONSEQUENCE: Final = frozenset({Cause.UNKNOWN, Cause.FEWER, Cause.MOVED, Cause.RELOAD})


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


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of the time since the promise."""

    spans: Sequence[Span] = ()
    guests: Sequence[Guest] = ()
    reloads: Sequence[Reload] = ()
    troubles: Sequence[Trouble] = ()
    fewer: Mapping[str, int] = field(default_factory=dict)      # lane -> promised messages that were skipped
    skipped: Mapping[str, str] = field(default_factory=dict)    # lane -> for which reasons, in words
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


@dataclass(frozen=True, slots=True)
class Slip:
    """A promised batch that was not kept, and why."""

    met: Met
    because: Because


def explain(met: Iterable[Met], evidence: Evidence) -> list[Slip]:
    """The batches that slipped, each with its cause, in the order given."""
    slipped: defaultdict[str, list[Met]] = defaultdict(list)
    for one in met:
        if one.slipped:
            slipped[one.batch.lane].append(one)
    found = [slip for lane, some in slipped.items() for slip in _Lane(lane, evidence, some).explained()]
    return sorted(found, key=lambda slip: (slip.met.batch.at, slip.met.batch.lane))


class _Lane:
    """The evidence of one lane, in order of time, and its slips."""

    def __init__(self, lane: str, evidence: Evidence, slipped: Sequence[Met]) -> None:
        self._lane = lane
        self._evidence = evidence
        self._slipped = sorted(slipped, key=lambda met: met.batch.at)
        self._spans = sorted((one for one in evidence.spans if one.lane in {EVERY_LANE, lane}), key=attrgetter("start"))
        self._guests = sorted((one for one in evidence.guests if one.lane == lane), key=attrgetter("slot"))
        self._slots = [one.slot for one in self._guests]
        self._reloads = sorted(evidence.reloads, key=attrgetter("at"))
        self._troubles = sorted((one for one in evidence.troubles if one.lane == lane), key=attrgetter("slot"))
        self._gone = self._who_is_gone()
        self._lost: dict[tuple[Cause, int | None], tuple[int, Because]] = {}    # what slips came to, by direct cause
        self._last_at = 0                                                       # of the last one with such a cause

    def explained(self) -> Iterator[Slip]:
        """The lane's slips with their causes."""
        open_spans: list[Span] = []
        place = 0
        for number, met in enumerate(self._slipped):
            batch = met.batch
            while place < len(self._spans) and self._spans[place].start < batch.until:
                open_spans.append(self._spans[place])
                place += 1
            open_spans = [span for span in open_spans if span.end > batch.at]
            because = (
                _bar(open_spans) or _slowed(open_spans) or self._taken(met, Cause.DEFERRAL)
                or self._taken(met, Cause.NEW_CAMPAIGN) or self._left(number) or self._lasting(met)
                or self._troubled(met) or self._shared(met) or self._given_back(met) or Because(Cause.UNKNOWN)
            )
            self._remember(met, because)
            yield Slip(met, because)

    def _who_is_gone(self) -> dict[int, Because]:
        """The last slips of the lane, as far as nobody is left for them: who is skipped is missing at the end."""
        found: dict[int, Because] = {}
        reasons = ((Cause.FEWER, self._evidence.fewer.get(self._lane, 0), self._evidence.skipped.get(self._lane, "")),
                   (Cause.MOVED, self._evidence.moved.get(self._lane, 0), ""))
        number = len(self._slipped) - 1
        for cause, total, why in reasons:
            left = total
            while left > 0 and number >= 0:
                missing = self._slipped[number].missing
                if missing:
                    found[number] = Because(cause, why, min(missing, left))
                    left -= missing
                number -= 1
        return found

    def _left(self, number: int) -> Because | None:
        return self._gone.get(number)

    def _taken(self, met: Met, cause: Cause) -> Because | None:
        """Who took places in the batch's time."""
        first, last = bisect_left(self._slots, met.batch.at), bisect_left(self._slots, met.batch.until)
        names: Counter[str] = Counter()
        for guest in self._guests[first:last]:
            if guest.cause is cause:
                names[guest.name] += guest.size
        if not names or (cause is Cause.DEFERRAL and self._troubled(met) is None):
            return None     # what came back without the server's word, as after a hold, is no cause of its own
        return Because(cause, ", ".join(name for name, _ in names.most_common(3) if name), sum(names.values()))

    def _lasting(self, met: Met) -> Because | None:
        """What changed the lane's rate for good, or at least for days: a reload, or the slips that cost most."""
        place = bisect_left(self._reloads, met.batch.until, key=attrgetter("at"))
        reload = self._reloads[place - 1] if place else None
        if reload is not None and self._last_at < reload.at:
            return Because(Cause.RELOAD, reload.why, since=reload.at)
        if not self._lost:
            return None
        return replace(max(self._lost.values(), key=itemgetter(0))[1], follows=True, count=0)

    def _remember(self, met: Met, because: Because) -> None:
        """A slip for a cause of its own may cost later ones: a step that sent less lets the next grow less."""
        if because.follows or because.cause in _NO_CONSEQUENCE:
            return
        key = (because.cause, because.since)
        lost, _ = self._lost.get(key, (0, because))
        self._lost[key] = (lost + met.batch.size - met.in_time, because)
        self._last_at = met.batch.at

    def _troubled(self, met: Met) -> Because | None:
        """What the lane's server did before, where nobody wrote down that it was slow."""
        some = self._troubles_before(met)
        sums = ((Cause.UNREACHABLE, sum(one.unreached for one in some)),
                (Cause.DEFERRAL, sum(one.deferred for one in some)))
        return next((Because(cause, count=count) for cause, count in sums if count), None)

    def _given_back(self, met: Met) -> Because | None:
        """Places that were spent on what then came back untried."""
        some = [one for one in self._troubles_before(met) if one.unsent]
        if not some:
            return None
        held = [span for span in self._spans if span.cause in BARS and some[0].slot <= span.start < met.batch.until]
        if held:
            return replace(_of(held[-1]), follows=True)
        return Because(Cause.UNSENT, count=sum(one.unsent for one in some))

    def _troubles_before(self, met: Met) -> Sequence[Trouble]:
        first = bisect_left(self._troubles, met.batch.at - _TROUBLED, key=attrgetter("slot"))
        last = bisect_left(self._troubles, met.batch.until, key=attrgetter("slot"))
        return self._troubles[first:last]

    def _shared(self, met: Met) -> Because | None:
        others = self._taken(met, Cause.OTHERS)
        if others is not None:
            return others
        if self._evidence.replies:
            return Because(Cause.REPLIES)
        delay = self._evidence.late.get((self._lane, met.batch.at), 0)
        return Because(Cause.LATE, since=met.batch.at, until=met.batch.at + delay) if delay else None


def _bar(spans: Sequence[Span]) -> Because | None:
    """The most telling of what let nothing leave."""
    bars = [span for span in spans if span.cause in BARS]
    return _of(min(bars, key=lambda span: BARS.index(span.cause))) if bars else None


def _slowed(spans: Sequence[Span]) -> Because | None:
    slow = [span for span in spans if span.cause is Cause.LANE_SLOWED]
    return _of(slow[-1]) if slow else None


def _of(span: Span) -> Because:
    return Because(span.cause, span.why, since=span.start, until=None if span.end == FOREVER else span.end)
