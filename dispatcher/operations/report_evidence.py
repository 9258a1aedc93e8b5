"""Events in the terms of core/slip_evidence.py: what kept lanes from keeping a promise, and for how long."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dispatcher.core.slip_evidence import EVERY_LANE, FOREVER, Cause, Reload, Span
from dispatcher.engine.timekeeping import CRASHED
from dispatcher.operations.report_reading import Found
from dispatcher.policy import split_lane
from dispatcher.store.events import Event, Kind

_RATES: Final = ("ramps", "senders", "replies")
"""Tables of the configuration that change how much leaves when."""


@dataclass(frozen=True, slots=True)
class About:
    """Whom the events are looked at for."""

    campaign: str
    category: str
    lanes: Sequence[str]
    approval: bool = False      # a new version waits until it is approved
    alive_at: int | None = None     # no daemon runs now: its last sign of life


def spans(events: Sequence[Event], about: About) -> list[Span]:
    """What kept the campaign's lanes, each for its time."""
    return [
        *_away(events, about.alive_at), *_clock(events), *_passed_by(events),
        *_holds(events, about), *_lanes(events, about.lanes), *_campaign(events, about),
    ]


def reloads(events: Iterable[Event]) -> list[Reload]:
    """The reloads that changed rates."""
    return [Reload(one.at, one.cause) for one in events if one.kind is Kind.RELOADED and one.cause
            and any(change.strip().startswith(_RATES) for change in one.cause.split(";"))]


def last_sign(ran_at: int, found: Found) -> int:
    """The last sign of life of a daemon: its mark may be a minute older than what it released or heard last."""
    signs = [ran_at, *(row.released_at for rows in found.slots.values() for row in rows),
             *(one.last_at for one in found.tried.values()),
             *(one.at for one in found.events if one.kind in {Kind.STARTED, Kind.STOPPED})]
    return max((at for at in signs if at <= found.now), default=0)      # a clock may have run ahead


def _away(events: Iterable[Event], alive_at: int | None) -> Iterator[Span]:
    """While the daemon did not run."""
    stopped: int | None = None
    for one in events:
        if one.data.get("beside"):
            continue
        if one.kind is Kind.STOPPED:
            stopped = one.at
        elif one.kind is Kind.STARTED:
            since = stopped if stopped is not None else one.data.get("away_since")
            if isinstance(since, int) and since < one.at:
                yield Span(Cause.STOPPED, since, one.at, why="" if stopped is not None else "it had crashed")
            if isinstance(since, int) and one.cause == CRASHED:
                yield Span(Cause.CRASH, since, since)
            stopped = None
    if stopped is not None or alive_at is not None:
        yield Span(Cause.STOPPED, stopped if stopped is not None else alive_at or 0)


def _clock(events: Sequence[Event]) -> Iterator[Span]:
    for one in events:
        if one.kind is Kind.CLOCK_BEHIND:
            seen_at = one.data.get("seen_at")
            end = seen_at if isinstance(seen_at, int) else FOREVER
            trusted = [other.at for other in events if other.kind is Kind.RESUMED and other.data.get("kind") == "clock"
                       and other.at >= one.at]
            yield Span(Cause.CLOCK, one.at, min([end, *trusted]), why=one.cause)


def _passed_by(events: Iterable[Event]) -> Iterator[Span]:
    """Times that went by in no time, or in which nothing ran; those that came twice, by a clock that was put back."""
    for one in events:
        if one.kind in _PASSED_BY:
            since, by = one.data.get("from"), one.data.get("by", 0)
            if isinstance(since, int) and isinstance(by, int):
                yield Span(_PASSED_BY[one.kind], since, max(one.at, since - by), why=one.cause)


_PASSED_BY: Final = {Kind.CLOCK_PUT: Cause.CLOCK_PUT, Kind.STOOD_STILL: Cause.STOOD_STILL}


def _holds(events: Iterable[Event], about: About) -> Iterator[Span]:
    """What people held, as far as it covers the campaign or its lanes."""
    open_ones: dict[tuple[str, str, str], Span] = {}
    for one in events:
        kind = str(one.data.get("kind", ""))
        if one.kind is Kind.HELD:
            until = one.data.get("until")
            why = f"{one.cause} ({one.by})" if one.by else one.cause
            for lane in _covered(kind, one.subject, about):
                key = (kind, one.subject, lane)
                if key in open_ones:
                    yield replace(open_ones[key], end=one.at)
                open_ones[key] = Span(Cause.HOLD, one.at, until if isinstance(until, int) else FOREVER, lane, why)
        elif one.kind is Kind.RESUMED:
            for key in [key for key in open_ones if key[:2] == (kind, one.subject)]:
                span = open_ones.pop(key)
                yield replace(span, end=min(one.at, span.end))
    yield from open_ones.values()


def _covered(kind: str, name: str, about: About) -> list[str]:
    """The campaign's lanes that a hold covers."""
    if kind == "everything" or (kind == "campaign" and name == about.campaign) \
            or (kind == "category" and name == about.category):
        return [EVERY_LANE]
    if kind == "sender":
        return [lane for lane in about.lanes if split_lane(lane).sender == name]
    return [name] if kind == "lane" and name in about.lanes else []


def _lanes(events: Iterable[Event], lanes: Sequence[str]) -> Iterator[Span]:
    """While lanes were slowed or held by the dispatcher itself."""
    now: dict[str, Span] = {}
    for one in events:
        if one.subject not in lanes or one.kind not in _LANE:
            continue
        before = now.get(one.subject)
        cause = _LANE[one.kind]
        if before is not None:
            if cause is Cause.LANE_SLOWED and before.cause is cause:
                continue        # slower still, for the same time
            yield replace(before, end=min(one.at, before.end))
            del now[one.subject]
        if cause is not None:
            until = one.data.get("until") if cause is Cause.LANE_HELD else None
            why = one.cause or (before.why if before is not None else "")
            now[one.subject] = Span(cause, one.at, until if isinstance(until, int) else FOREVER, one.subject, why)
    yield from now.values()


_LANE: Final = {
    Kind.LANE_SLOWED: Cause.LANE_SLOWED, Kind.LANE_HELD: Cause.LANE_HELD, Kind.LANE_RECOVERING: Cause.LANE_SLOWED,
    Kind.LANE_HEALTHY: None,
}


def _campaign(events: Iterable[Event], about: About) -> Iterator[Span]:
    """What kept the campaign itself."""
    unapproved: Event | None = None
    canary: Event | None = None
    for one in events:
        if one.subject != about.campaign:
            continue
        match one.kind:
            case Kind.CANCELED:
                yield Span(Cause.CANCELED, one.at, why=one.cause)
            case Kind.CAMPAIGN_APPLIED if about.approval:
                unapproved = one
            case Kind.APPROVED if unapproved is not None:
                yield Span(Cause.APPROVAL, unapproved.at, one.at)
                unapproved = None
            case Kind.CANARY_OUT | Kind.CANARY_FAILED:
                canary = one
            case Kind.CANARY_PASSED if canary is not None:
                yield Span(Cause.CANARY, canary.at, one.at, why=canary.cause)
                canary = None
            case _:
                pass
    if unapproved is not None:
        yield Span(Cause.APPROVAL, unapproved.at)
    if canary is not None:
        yield Span(Cause.CANARY, canary.at, why=canary.cause)
