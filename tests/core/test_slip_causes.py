"""Why batches slipped: promised batches and evidence in, causes out. Minutes are milliseconds here; slots of ten."""

from dataclasses import replace
from typing import Any

import pytest

from dispatcher.core.slip_causes import Slip, explain
from dispatcher.core.slip_episodes import APART, episodes
from dispatcher.core.slip_evidence import FOREVER, Because, Cause, Evidence, Gone, Guest, Reload, Span, Trouble
from dispatcher.core.slips import Kept, Met, Promised

LANE = "support/gmail"
OTHER = "news/other"


def slip(place: int, size: int = 5, in_time: int = 0, missing: int = 0, lane: str = LANE) -> Met:
    """The batch of the slot `place`, which lacked something."""
    kept = Kept.MISSING if missing == size else Kept.SMALLER if in_time else Kept.LATER
    return Met(Promised(lane, 10 * place, 10 * place + 10, size), kept, in_time, missing)


def causes(met: list[Met], **evidence: Any) -> list[Because]:
    return [one.because for one in explain(met, Evidence(**evidence))]


def words(met: list[Met], **evidence: Any) -> list[str]:
    return [f"{'then ' if one.follows else ''}{one.cause}" for one in causes(met, **evidence)]


@pytest.mark.parametrize(("span", "found"), [
    (Span(Cause.STOPPED, 5, 25), "stopped"),
    (Span(Cause.HOLD, 0, 11), "hold"),
    (Span(Cause.HOLD, 19), "hold"),
    (Span(Cause.HOLD, 0, 10), "unknown"),
    (Span(Cause.HOLD, 20), "unknown"),
    (Span(Cause.HOLD, 0, lane=OTHER), "unknown"),
    (Span(Cause.LANE_HELD, 0, lane=LANE), "lane_held"),
    (Span(Cause.LANE_SLOWED, 0, lane=LANE), "lane_slowed"),
    (Span(Cause.CANCELED, 3), "canceled"), (Span(Cause.APPROVAL, 3), "approval"), (Span(Cause.CANARY, 3), "canary"),
    (Span(Cause.CLOCK, 3), "clock"), (Span(Cause.STALE, 3), "stale"),
])
def test_what_lasted_during_the_batch_is_its_cause(span: Span, found: str) -> None:
    assert words([slip(1)], spans=[span]) == [found]


def test_the_most_telling_of_several_is_named_with_its_time() -> None:
    spans = [Span(Cause.LANE_SLOWED, 0, lane=LANE), Span(Cause.HOLD, 5, 30, why="wrong price (Eve)"),
             Span(Cause.STOPPED, 8, 12)]
    assert causes([slip(1), slip(2), slip(3)], spans=spans) == [
        Because(Cause.STOPPED, since=8, until=12), Because(Cause.HOLD, "wrong price (Eve)", since=5, until=30),
        Because(Cause.LANE_SLOWED, since=0)]


def test_a_lane_slowed_again_goes_by_the_latest_time() -> None:
    spans = [Span(Cause.LANE_SLOWED, 0, lane=LANE, why="first"), Span(Cause.LANE_SLOWED, 11, FOREVER, LANE, "second")]
    assert causes([slip(1)], spans=spans) == [Because(Cause.LANE_SLOWED, "second", since=11)]


@pytest.mark.parametrize("cause", [Cause.CLOCK_PUT, Cause.STOOD_STILL])
@pytest.mark.parametrize(("start", "end", "more", "found"), [
    (12, 14, {}, "named"),                                              # a fifth of its time
    (12, 13, {}, "named"),                                              # a tenth, and nothing else is known
    (12, 13, {"late": {(LANE, 10): 4}}, "named"),
    (12, 13, {"guests": [Guest(Cause.NEW_CAMPAIGN, LANE, 10, 2, "news")]}, "new_campaign"),
    (12, 14, {"guests": [Guest(Cause.NEW_CAMPAIGN, LANE, 10, 2, "news")]}, "named"),
    (0, 11, {"replies": True}, "replies"),
    (20, 90, {}, "unknown"),
])
def test_what_lasts_for_seconds_is_a_cause_where_it_took_a_part_of_the_time(
    cause: Cause, start: int, end: int, more: dict[str, Any], found: str,
) -> None:
    assert words([slip(1)], spans=[Span(cause, start, end)], **more) == [cause if found == "named" else found]


CRASHED = Span(Cause.CRASH, 4, 4)
UNTRIED = Trouble(LANE, 0, unsent=3)


@pytest.mark.parametrize(("evidence", "found"), [
    pytest.param({"guests": [Guest(Cause.DOUBT, LANE, 10, 4)]}, Because(Cause.DOUBT, count=4), id="doubt"),
    pytest.param({"guests": [Guest(Cause.CRASH, LANE, 10, 4)]}, Because(Cause.CRASH, count=4), id="long ago"),
    pytest.param({"guests": [Guest(Cause.CRASH, LANE, 10, 4)], "spans": [CRASHED, Span(Cause.CRASH, 20, 20)]},
                 Because(Cause.CRASH, count=4, since=4), id="the crash before it"),
    pytest.param({"guests": [Guest(Cause.CRASH, LANE, 10, 1), Guest(Cause.UNSENT, LANE, 10, 3)], "spans": [CRASHED],
                  "troubles": [UNTRIED]}, Because(Cause.CRASH, count=4, since=4), id="in doubt and untried"),
    pytest.param({"guests": [Guest(Cause.UNSENT, LANE, 10, 3)], "spans": [CRASHED]}, Because(Cause.UNKNOWN),
                 id="nothing was under way"),
    pytest.param({"guests": [Guest(Cause.UNSENT, LANE, 10, 3)], "troubles": [UNTRIED],
                  "spans": [CRASHED, Span(Cause.HOLD, 6, 7)]}, Because(Cause.HOLD, since=6, until=7, follows=True),
                 id="a hold since"),
    pytest.param({"guests": [Guest(Cause.UNSENT, LANE, 10, 3)], "troubles": [UNTRIED]},
                 Because(Cause.UNSENT, count=3), id="no crash"),
    pytest.param({"guests": [Guest(Cause.DOUBT, LANE, 10, 2)], "reloads": [Reload(9, "rate")]},
                 Because(Cause.RELOAD, "rate", since=9), id="few copies, and a rate that was changed"),
    pytest.param({"guests": [Guest(Cause.DOUBT, LANE, 10, 2)]}, Because(Cause.DOUBT, count=2), id="few copies"),
    pytest.param({"guests": [Guest(Cause.DOUBT, LANE, 10, 1), Guest(Cause.DEFERRAL, LANE, 10, 2)],
                  "troubles": [Trouble(LANE, 0, deferred=3)]}, Because(Cause.DEFERRAL, count=2), id="most of them"),
    pytest.param({"guests": [Guest(Cause.DEFERRAL, LANE, 10, 4)], "troubles": [Trouble(LANE, 0, in_doubt=4)]},
                 Because(Cause.DOUBT, count=4), id="pruned, and only doubts before"),
    pytest.param({"guests": [Guest(Cause.DEFERRAL, LANE, 10, 4)], "troubles": [Trouble(LANE, 0, in_doubt=4)],
                  "spans": [CRASHED]}, Because(Cause.CRASH, count=4, since=4), id="pruned, and a crash before"),
])
def test_copies_are_named_by_what_they_come_of(evidence: dict[str, Any], found: Because) -> None:
    assert causes([slip(1)], **evidence) == [found]


DEFERRED = Trouble(LANE, 0, deferred=3)


@pytest.mark.parametrize(("evidence", "found"), [
    ({"guests": [Guest(Cause.DEFERRAL, LANE, 10, 2)], "troubles": [DEFERRED]}, Because(Cause.DEFERRAL, count=2)),
    ({"guests": [Guest(Cause.DEFERRAL, LANE, 10, 2)], "troubles": [Trouble(LANE, 0, unreached=1)]},
     Because(Cause.DEFERRAL, count=2)),
    ({"guests": [Guest(Cause.DEFERRAL, LANE, 10, 2)]}, Because(Cause.UNKNOWN)),
    ({"guests": [Guest(Cause.DEFERRAL, LANE, 10, 2)], "troubles": [Trouble(LANE, 0, unsent=4)]},
     Because(Cause.UNSENT, count=4)),
    ({"guests": [Guest(Cause.DEFERRAL, LANE, 20, 2)]}, Because(Cause.UNKNOWN)),
    ({"guests": [Guest(Cause.DEFERRAL, OTHER, 10, 2)]}, Because(Cause.UNKNOWN)),
    ({"guests": [Guest(Cause.NEW_CAMPAIGN, LANE, 10, 2, "news"), Guest(Cause.NEW_CAMPAIGN, LANE, 15, 4, "spring")]},
     Because(Cause.NEW_CAMPAIGN, "spring, news", 6)),
    ({"guests": [Guest(Cause.OTHERS, LANE, 10, 2, "old")]}, Because(Cause.OTHERS, "old", 2)),
    ({"guests": [Guest(Cause.OTHERS, LANE, 10, 2, "old")], "troubles": [Trouble(LANE, 0, unsent=4)]},
     Because(Cause.OTHERS, "old", 2)),
    ({"spans": [Span(Cause.HOLD, 2, 3, why="wait (Eve)")], "troubles": [Trouble(LANE, 0, unsent=4)]},
     Because(Cause.HOLD, "wait (Eve)", since=2, until=3, follows=True)),
    ({"spans": [Span(Cause.HOLD, 2, 3)], "troubles": [Trouble(LANE, 4, unsent=4)]}, Because(Cause.UNSENT, count=4)),
    ({"guests": [Guest(Cause.OTHERS, LANE, 10, 2, "old")], "troubles": [DEFERRED]}, Because(Cause.DEFERRAL, count=3)),
    ({"troubles": [Trouble(LANE, 0, unreached=2), DEFERRED]}, Because(Cause.UNREACHABLE, count=2)),
    ({"troubles": [Trouble(OTHER, 0, 2), Trouble(LANE, 20, 2)]}, Because(Cause.UNKNOWN)),
    ({"replies": True}, Because(Cause.REPLIES)),
    ({"late": {(LANE, 10): 4}}, Because(Cause.LATE, since=10, until=14)),
    ({"late": {(LANE, 20): 4}}, Because(Cause.UNKNOWN)),
    ({"reloads": [Reload(0, "start"), Reload(12, "ceiling")]}, Because(Cause.RELOAD, "ceiling", since=12)),
    ({"reloads": [Reload(20, "too late for it")]}, Because(Cause.UNKNOWN)),
    ({}, Because(Cause.UNKNOWN)),
])
def test_each_kind_of_evidence_is_a_cause(evidence: dict[str, Any], found: Because) -> None:
    assert causes([slip(1)], **evidence) == [found]


def test_messages_that_were_skipped_are_missing_at_the_end() -> None:
    met = [slip(1), slip(2, 5, 3, 2), slip(3, missing=5), slip(4, missing=5)]
    gone = [Gone(LANE, 1, 6, "unsubscribed"), Gone(OTHER, 1, 9, "inactive")]
    assert causes(met, fewer={LANE: 6}, gone=gone) == [
        Because(Cause.UNKNOWN), Because(Cause.UNKNOWN), Because(Cause.FEWER, "unsubscribed 6", 1),
        Because(Cause.FEWER, "unsubscribed 6", 5)]
    assert words(met, fewer={LANE: 5}, gone=gone, moved={LANE: 99}) == ["unknown", "moved", "moved", "fewer"]
    assert words(met, fewer={LANE: 5}, gone=gone, moved={LANE: 2}) == ["unknown", "unknown", "moved", "fewer"]
    assert words(met, fewer={OTHER: 5}, gone=gone) == ["unknown"] * 4


@pytest.mark.parametrize(("gone", "found"), [
    ([Gone(LANE, 40, 5, "expired")], ["then hold", "then hold"]),       # both slots were over when they fell away
    ([Gone(LANE, 39, 5, "expired")], ["then hold", "fewer"]),
    ([Gone(LANE, 29, 5, "expired")], ["then hold", "fewer"]),
    ([Gone(LANE, 29, 9, "expired")], ["fewer", "fewer"]),
    ([Gone(LANE, 39, 2, "expired"), Gone(LANE, 29, 3, "inactive"), Gone(LANE, 45, 9, "expired")],
     ["then hold", "fewer"]),
])
def test_who_fell_away_after_a_batch_was_delayed_and_is_not_fewer(gone: list[Gone], found: list[str]) -> None:
    met = [slip(1), slip(2, missing=5), slip(3, missing=5)]
    told = causes(met, spans=[Span(Cause.HOLD, 10, 20)], fewer={LANE: 10}, gone=gone)
    assert [f"{'then ' if one.follows else ''}{one.cause}" for one in told] == ["hold", *found]
    reasons = {one.why for one in told if one.cause is Cause.FEWER}
    assert reasons <= {"expired 5", "expired 9", "inactive 3, expired 2"}


def test_a_slip_may_follow_from_the_one_that_cost_most() -> None:
    spans = [Span(Cause.HOLD, 10, 20, why="short"), Span(Cause.LANE_SLOWED, 20, 50, LANE, "storm")]
    met = [slip(1), slip(2), slip(3), slip(9), slip(10)]
    found = causes(met, spans=spans)
    assert [(one.cause, one.follows) for one in found] == [
        (Cause.HOLD, False), (Cause.LANE_SLOWED, False), (Cause.LANE_SLOWED, False), (Cause.LANE_SLOWED, True),
        (Cause.LANE_SLOWED, True)]
    assert found[-1].why == "storm"


def test_a_reload_after_the_last_slip_of_its_own_cause_is_the_later_ones() -> None:
    met = [slip(1), slip(2), slip(6), slip(7)]
    spans = [Span(Cause.HOLD, 10, 20)]
    assert words(met, spans=spans, reloads=[Reload(45, "rate")]) == ["hold", "then hold", "reload", "reload"]
    assert words(met, spans=spans, reloads=[Reload(5, "rate")]) == ["hold", "then hold", "then hold", "then hold"]


def test_lanes_have_their_own_causes_and_only_slips_are_told() -> None:
    on_time = replace(slip(1), kept=Kept.ON_TIME)
    met = [on_time, slip(2, lane=OTHER), slip(2)]
    found = explain(met, Evidence(spans=[Span(Cause.HOLD, 0, lane=OTHER)]))
    assert [(one.met.batch.lane, one.because.cause) for one in found] == [(OTHER, Cause.HOLD), (LANE, Cause.UNKNOWN)]


def test_slips_for_one_cause_are_one_episode() -> None:
    hold, retried = Because(Cause.HOLD, since=3), Because(Cause.DEFERRAL, count=2)
    first = replace(slip(1, 5, 2), rest_at=90)
    told = episodes([
        Slip(first, hold), Slip(slip(1, lane=OTHER), retried), Slip(slip(2, 5, 0, 5), hold), Slip(slip(3), retried),
        Slip(slip(4), retried), Slip(slip(APART // 10 + 6), retried),
    ])
    assert [(one.lane, one.start, one.end, one.batches, one.promised, one.in_time, one.missing, one.rest_at,
             one.because.count) for one in told] == [
        (OTHER, 10, 20, 1, 5, 0, 0, None, 2), (LANE, 10, 30, 2, 10, 2, 5, 90, 0), (LANE, 30, 50, 2, 10, 0, 0, None, 4),
        (LANE, APART + 60, APART + 70, 1, 5, 0, 0, None, 2)]
