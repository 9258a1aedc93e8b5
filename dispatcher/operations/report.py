"""`report`: what a campaign was promised against what it was given; who was left out, and why.

Cheap to ask for at any size: read in short transactions (report_reading.py), worked out in a thread of its own.
Instants are texts, as in every result; nobody's address or name is in it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dispatcher.core import report_words
from dispatcher.core.model import SkipReason
from dispatcher.core.report_words import Course, discreet
from dispatcher.core.slip_causes import Slip
from dispatcher.core.slip_episodes import Episode, episodes
from dispatcher.core.slip_evidence import Cause, Span
from dispatcher.core.slips import Met, counted
from dispatcher.core.times import parse_instant
from dispatcher.engine.standing import read_standing
from dispatcher.operations import report_reading
from dispatcher.operations.lanes import LaneNow, lanes_now
from dispatcher.operations.office import Args, Given, Office, Result, said
from dispatcher.operations.outlook import PlanArgs, planned
from dispatcher.operations.report_evidence import About, last_sign, reloads, spans
from dispatcher.operations.report_lanes import bucket_of, shown_lanes
from dispatcher.operations.report_reading import Found
from dispatcher.operations.report_slips import explained, matched
from dispatcher.store import customers, instances, life
from dispatcher.store.tallies import WAITING

SHOWN: Final = 20_000
"""Batches that a report lists."""
_STATES: Final = ("queued", "sending", "accepted", "rejected", "in_doubt", "skipped")
_OPEN: Final = ("queued", "sending")
_WAITING: Final = frozenset({"queued", WAITING})


class ReportArgs(Args):
    """Which campaign the report is about."""

    campaign: Given


async def report(office: Office, args: ReportArgs) -> Result:
    """Promised against actual, batch by batch, with the cause of each slip; outcomes, segments, lanes, skips."""
    works = office.works
    now = works.clock.now()
    found = await report_reading.read(works, args.campaign, now)
    states = _by_state(found)
    coming: Result = {}
    if states["queued"]:
        coming = await planned(office, PlanArgs(campaign=args.campaign, most=1))
    async with works.database.transaction() as tx:
        standing = await read_standing(tx, works.policy, works.book, now)
        lanes = {one.lane: one for one in await lanes_now(tx, works, standing, now)}
        current = await works.book.version(tx, args.campaign, found.stored.version)
        facts_at = await customers.facts_at(tx)
        running = office.engine is not None or any(one.living for one in await instances.every(tx))
        alive_at = None if running else last_sign(await life.ran_at(tx), found)
    stale = [Span(Cause.STALE, (facts_at or 0) + works.policy.stale_after)] if standing.stale else []
    about = About(args.campaign, found.stored.category, found.lanes, works.policy.settings.campaigns.approval, alive_at)
    if alive_at is not None:
        coming |= {"done_at": None}     # nothing leaves while no daemon runs, whatever the plan says

    def assembled() -> Result:
        kept_from = [*spans(found.events, about), *stale]
        met = matched(found)
        slipped = explained(found, met, kept_from, reloads(found.events), bounded=current.replies is not None)
        coming["still"] = _still(found, coming, lanes)
        return _head(found, states, coming) | _promise(found, met, slipped, coming) | _outcomes(found, states) | _lanes(
            found, lanes, kept_from)

    return await works.clock.aside(assembled)


def _by_state(found: Found) -> Counter[str]:
    states: Counter[str] = Counter()
    for _, state, _, count in found.standing:
        states["queued" if state == WAITING else state] += count
    return states


def _head(found: Found, states: Mapping[str, int], coming: Result) -> Result:
    stored, promise = found.stored, found.promise
    handed = [*found.tried.values()]
    return {
        "campaign": stored.id, "category": stored.category, "version": stored.version, "now": said(found.now),
        "started_at": said(promise.stored_at) if promise is not None else None,
        "canceled_at": said(stored.canceled_at), "canceled_reason": discreet(stored.canceled_reason),
        "messages": {state: states.get(state, 0) for state in _STATES}, "total": sum(states.values()),
        "added_later": found.added,
        "first_at": said(min((one.first_at for one in handed), default=None)),
        "last_at": said(max((one.last_at for one in handed), default=None)),
        "expected_end": coming.get("done_at"), "late_now": coming.get("late", 0), "left": coming.get("left", 0),
        "blocked": [discreet(one["why"]) for one in coming.get("blocked", ())],
        "complete": found.complete, "pruned": found.pruned,
    }


def _promise(found: Found, met: Sequence[Met], slipped: Sequence[Slip], coming: Result) -> Result:
    """The promise, what became of each of its batches, and how to say that in a sentence."""
    told = episodes(slipped)
    main = _main(told)
    course = _course(found, coming)
    promise = found.promise
    shown: Result | None = None
    if promise is not None:
        why = {(slip.met.batch.lane, slip.met.batch.at): slip for slip in slipped}
        by_place = {(one.batch.lane, one.batch.at): one for one in met}
        shown = {
            "stored_at": said(promise.stored_at), "queued": promise.queued, "done_at": said(promise.done_at),
            "late": promise.late, "cut": promise.cut, "kept": {str(word): n for word, n in counted(met).items()},
            "batches": [
                {"at": said(batch.at), "until": said(batch.until), "lane": batch.lane, "size": batch.size,
                 "segments": batch.segments, "limit": batch.limit}
                | _met(by_place[batch.lane, batch.at], why.get((batch.lane, batch.at)))
                for batch in promise.batches[:SHOWN]
            ],
        }
    return {
        "promise": shown, "promise_kept": report_words.kept(course),
        "summary": report_words.headline(course, report_words.because(main.because) if main is not None else "",
                                         coming["still"]),
        "slips": [_episode(one) for one in told],
    }


def _still(found: Found, coming: Result, lanes: Mapping[str, LaneNow]) -> str:
    """What keeps the campaign back now, by itself or on every lane that it stands in."""
    blocked = [one["why"] for one in coming.get("blocked", ())]
    waiting = [lanes.get(lane) for lane, state, _, count in found.by_lane if lane and count and state in _WAITING]
    if not blocked and all(lane is not None and lane.state == "held" for lane in waiting):
        blocked = [lane.why for lane in waiting if lane is not None]
    return discreet("; ".join(dict.fromkeys(blocked)))


def _main(told: Sequence[Episode]) -> Episode | None:
    """The episode whose cause made most of what slipped; what only follows from another does not count."""
    lost: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Episode] = {}
    for one in sorted(told, key=lambda one: one.because.follows):
        key = (str(one.because.cause), one.because.why)
        lost[key] += one.promised - one.in_time
        first.setdefault(key, one)
    return first[lost.most_common(1)[0][0]] if lost else None


def _course(found: Found, coming: Result) -> Course:
    promise = found.promise
    sent_first = found.firsts()
    firsts = {(part.lane, part.slot): part.released_at for part in found.parts if sent_first[part.lane, part.slot]}
    ended = [max(one.last_at, firsts[one.lane, one.slot]) for one in found.tried.values()
             if (one.lane, one.slot) in firsts]
    if found.pruned:
        ended = [*firsts.values()]      # to a slot
    sent = sum(count for _, state, _, count in found.standing if state in {"accepted", "rejected", "in_doubt"})
    expected = coming.get("done_at")
    return Course(
        promised=promise.queued if promise is not None else 0,
        promised_end=promise.done_at if promise is not None else None,
        promised_until=max((2 * batch.until - batch.at for batch in promise.batches), default=None)
        if promise is not None else None,
        left=sum(count for _, state, _, count in found.standing if state in {*_OPEN, WAITING}),
        ended=max(ended, default=None), expected=parse_instant(expected) if expected else None, sent=sent,
        leaving=sum(count for _, state, _, count in found.standing if state == "sending"),
        canceled=found.stored.canceled_at is not None,
        expired=sum(count for _, state, reason, count in found.standing
                    if state == "skipped" and reason == SkipReason.EXPIRED),
        promised_late=promise.late if promise is not None else 0,
    )


def _met(met: Met, slip: Slip | None) -> Result:
    told: Result = {"kept": str(met.kept), "in_time": met.in_time, "missing": met.missing, "rest_at": said(met.rest_at)}
    if slip is not None:
        told |= {"cause": str(slip.because.cause), "follows": slip.because.follows}
    return told


def _episode(one: Episode) -> Result:
    return {
        "lane": one.lane, "from": said(one.start), "until": said(one.end), "batches": one.batches,
        "promised": one.promised, "in_time": one.in_time, "missing": one.missing, "rest_at": said(one.rest_at),
        "cause": str(one.because.cause), "follows": one.because.follows, "count": one.because.count,
        "since": said(one.because.since), "ended": said(one.because.until), "why": report_words.because(one.because),
    }


def _outcomes(found: Found, states: Mapping[str, int]) -> Result:
    """What became of the messages: in sum, by segment, by batch."""
    attempts: Counter[str] = Counter()
    by_slot: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for one in found.tried.values():
        attempts[one.outcome] += one.count
        by_slot[one.lane, one.slot][one.outcome] += one.count
    skipped: Counter[str] = Counter()
    for _, state, reason, count in found.standing:
        if state == "skipped":
            skipped[reason] += count
    batches = _batches(found, by_slot)
    return {
        "attempts": dict(attempts), "deferred_now": found.deferred.total(), "skipped": dict(skipped.most_common()),
        "segments": _segments(found), "batches": batches[:SHOWN], "more_batches": max(len(batches) - SHOWN, 0),
        "left_out": sum(skipped.values()), "sent": states.get("accepted", 0),
    }


def _segments(found: Found) -> list[Result]:
    """By segment, in the campaign's order: who was sent to, and who was left out for which reason."""
    released = found.sent
    rows: dict[str, Counter[str]] = {}
    skips: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for segment, state, reason, count in found.standing:
        rows.setdefault(segment, Counter())["queued" if state == WAITING else state] += count
        if state == "skipped":
            skips[segment][reason] += count
    return [
        {"segment": segment, "messages": counts.total(), "released": released[segment],
         "deferred_now": found.deferred[segment], **{state: counts[state] for state in _STATES},
         "reasons": dict(skips[segment].most_common())}
        for segment, counts in rows.items()
    ]


def _batches(found: Found, by_slot: Mapping[tuple[str, int], Mapping[str, int]]) -> list[dict[str, Any]]:
    """The campaign's part of every batch, in order of time."""
    made: dict[tuple[int, str], Result] = {}
    firsts = found.firsts()
    for part in found.parts:
        one = made.setdefault((part.slot, part.lane), {
            "at": said(part.slot), "released_at": said(part.released_at), "lane": part.lane, "size": 0,
            "first": firsts[part.lane, part.slot], "segments": {},
        })
        one["size"] += part.size
        one["segments"][part.segment] = part.size
    return [one | dict(by_slot.get((lane, slot), {})) for (slot, lane), one in sorted(made.items())]


def _lanes(found: Found, lanes: Mapping[str, LaneNow], kept_from: Sequence[Span]) -> Result:
    ends = [batch.until for batch in found.promised]
    bucket = bucket_of(found.since, max([min(found.now, max(part.slot for part in found.parts)) if found.parts else 0,
                                         found.since, *ends]))
    return {"bucket": bucket, "lanes": shown_lanes(found, lanes, kept_from, bucket)}
