"""Why promised batches slipped: one cause for each, by what is known of the time in which it did.

The order in which causes are looked for, each more direct than those behind it:

1. What let nothing leave in that time: the daemon did not run, somebody held it, the lane was held, the campaign
   waited for approval or for its canary, or was canceled. A clock that was put, or a daemon that stood still, counts
   here only where it took a good part of that time.
2. The lane was slowed.
3. Others took the places: further attempts, of what was deferred, in doubt, or under way when the daemon crashed; a
   campaign that started later.
4. There was nobody left to send to: messages were skipped before, or went by another lane (core/slip_gone.py).
5. What lasts: a reload that changed the lane's rate; else an earlier slip of the lane, as a step that sent less lets
   the next ones grow less (the cause is then that slip's, and `follows` is set).
6. What the outcomes of the time tell: the server could not be reached, or deferred.
7. Another campaign, or a bound that many share, took what the plan had given to this one; the daemon was late, as it
   stood still for a moment or for a reason of its own.
8. Places that were spent on what then came back untried: the hold that sent it back, where one did.

With none of these it is `unknown`: nothing that was recorded explains it.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter, itemgetter
from typing import Final

from dispatcher.core.slip_evidence import (
    BARS,
    EVERY_LANE,
    FOREVER,
    Because,
    Cause,
    Evidence,
    Guest,
    Span,
    Trouble,
)
from dispatcher.core.slip_gone import who_is_gone
from dispatcher.core.slips import Met

_TROUBLED: Final = 4 * 86_400_000
"""Milliseconds before a slip in which outcomes of its lane count: so long is what was deferred tried again, and over a
weekend it is a Friday that lets a Monday grow less."""
_BRIEF: Final = frozenset({Cause.CLOCK_PUT, Cause.STOOD_STILL})
"""Bars that may last for seconds only: they take a batch's places where they cover more than a tenth of its time."""
_SEND_BACK: Final = frozenset(BARS) - _BRIEF
_AGAIN: Final = frozenset({Cause.DEFERRAL, Cause.DOUBT, Cause.CRASH, Cause.UNSENT})
"""What further attempts may come of."""
_NO_CONSEQUENCE: Final = frozenset({Cause.UNKNOWN, Cause.FEWER, Cause.MOVED, Cause.RELOAD})


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
        self._gone = who_is_gone(self._slipped, lane, evidence)
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
                _bar(open_spans, met) or _slowed(open_spans) or self._again(met, least=0.5)
                or self._taken(met, Cause.NEW_CAMPAIGN) or self._gone.get(number) or self._lasting(met)
                or self._troubled(met) or self._shared(met) or _brief(open_spans) or self._late(met)
                or self._again(met) or self._given_back(met) or Because(Cause.UNKNOWN)
            )
            self._remember(met, because)
            yield Slip(met, because)

    def _taken(self, met: Met, cause: Cause) -> Because | None:
        """Who took places in the batch's time."""
        names: Counter[str] = Counter()
        for guest in self._guests_of(met):
            if guest.cause is cause:
                names[guest.name] += guest.size
        if not names:
            return None
        return Because(cause, ", ".join(name for name, _ in names.most_common(3) if name), sum(names.values()))

    def _again(self, met: Met, least: float = 0) -> Because | None:
        """Further attempts that took places, by what most of them come of.

        Copies of what was in doubt are few, and come once: they count where they make at least this share of what the
        batch lacks.
        """
        crash = next(reversed(self._between(0, met, {Cause.CRASH})), None)
        sums = self._further(met, crash)
        if not sums:
            return None
        cause, count = sums.most_common(1)[0]
        if cause is not Cause.DEFERRAL and count < least * (met.batch.size - met.in_time):
            return None
        at = crash.start if cause is Cause.CRASH and crash is not None else None
        return Because(cause, count=count, since=at)

    def _further(self, met: Met, crash: Span | None) -> Counter[Cause]:
        """How many further attempts took places, by what the attempts before came to."""
        sums: Counter[Cause] = Counter()
        for guest in self._guests_of(met):
            if guest.cause in _AGAIN:
                sums[guest.cause] += guest.size
        given_back = sums.pop(Cause.UNSENT, 0)
        if given_back and crash is not None and self._came_back_by(crash, met):
            sums[Cause.CRASH] += given_back
        if Cause.DEFERRAL in sums and self._troubled(met) is None:
            # Not for the server's word. What came back without any, as after a hold, is no cause of its own.
            untold = sums.pop(Cause.DEFERRAL)
            if any(one.in_doubt for one in self._troubles_before(met)):
                sums[Cause.DOUBT if crash is None else Cause.CRASH] += untold
        return sums

    def _guests_of(self, met: Met) -> Sequence[Guest]:
        first, last = bisect_left(self._slots, met.batch.at), bisect_left(self._slots, met.batch.until)
        return self._guests[first:last]

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
        held = self._between(some[0].slot, met, _SEND_BACK)
        if held:
            return replace(_of(held[-1]), follows=True)
        return Because(Cause.UNSENT, count=sum(one.unsent for one in some))

    def _came_back_by(self, crash: Span, met: Met) -> bool:
        """Whether a crash is what sent back untried what had been released, and nothing after it."""
        released = any(one.unsent and one.slot <= crash.start for one in self._troubles_before(met))
        return released and not self._between(crash.start + 1, met, _SEND_BACK)

    def _between(self, start: int, met: Met, causes: Collection[Cause]) -> list[Span]:
        return [span for span in self._spans if span.cause in causes and start <= span.start < met.batch.until]

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
        return None

    def _late(self, met: Met) -> Because | None:
        delay = self._evidence.late.get((self._lane, met.batch.at), 0)
        return Because(Cause.LATE, since=met.batch.at, until=met.batch.at + delay) if delay else None


def _bar(spans: Sequence[Span], met: Met) -> Because | None:
    """The most telling of what let nothing leave."""
    bars = [span for span in spans if span.cause in BARS and (span.cause not in _BRIEF or _took(span, met))]
    return _of(min(bars, key=lambda span: BARS.index(span.cause))) if bars else None


def _took(span: Span, met: Met) -> bool:
    """Whether something took a good part of a batch's time."""
    batch = met.batch
    return (min(span.end, batch.until) - max(span.start, batch.at)) * 10 > batch.until - batch.at


def _brief(spans: Sequence[Span]) -> Because | None:
    """What took a little of a batch's time only: it may have come too late by that."""
    return next((_of(span) for span in spans if span.cause in _BRIEF), None)


def _slowed(spans: Sequence[Span]) -> Because | None:
    slow = [span for span in spans if span.cause is Cause.LANE_SLOWED]
    return _of(slow[-1]) if slow else None


def _of(span: Span) -> Because:
    return Because(span.cause, span.why, since=span.start, until=None if span.end == FOREVER else span.end)
