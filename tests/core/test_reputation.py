"""A lane's reputation as a timetable: what slows it, what holds it, and how it comes back slot by slot."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.reply_rules import ANY, Action, ReplyRule
from config.units import MILLISECONDS
from dispatcher.core.calendar import Slot
from dispatcher.core.evidence import Counts, Evidence, Lines
from dispatcher.core.reputation import (
    LEAST_SHARE,
    UNBLEMISHED,
    LaneState,
    Reputation,
    bound_at,
    busy,
    climbed,
    is_held,
    judged,
    resumed,
    ruled,
    set_up_held,
)

NOON = 1_700_000_000_000
SECOND, MINUTE, HOUR = MILLISECONDS["s"], MILLISECONDS["m"], MILLISECONDS["h"]
LINES = Lines()
NOTHING = Evidence()


def slot(number: int, length: int = 5 * MINUTE) -> Slot:
    """The lane's slots from noon on."""
    start = NOON + number * length
    return Slot(NOON, NOON + 24 * HOUR, number, 288, start, start + length)


def rule(action: Action = Action.SLOW, time: int | None = 30 * MINUTE, per_minute: int | None = 10) -> ReplyRule:
    return ReplyRule("test", ANY, re.compile("x"), action, time, per_minute if action is Action.SLOW else None)


def all_of(counts: Counts) -> Evidence:
    return Evidence(counts, counts, counts)


BOUNCES = all_of(Counts(accepted=189, rejected=11))
MANY_BOUNCES = all_of(Counts(accepted=184, rejected=16))
DEFERRALS = Evidence(Counts(accepted=500), recent=Counts(accepted=12, deferred=8), recent_from=slot(0).start)


def test_a_lane_that_nothing_is_known_of_is_healthy_and_stays_as_it_is() -> None:
    assert judged(UNBLEMISHED, NOTHING, LINES, NOON, NOON) is UNBLEMISHED
    assert climbed(UNBLEMISHED, slot(0)) is UNBLEMISHED
    assert (is_held(UNBLEMISHED, NOON), bound_at(UNBLEMISHED, NOON)) == (False, None)


@pytest.mark.parametrize(("evidence", "state", "share", "cause"), [
    (NOTHING, "healthy", 1.0, ""),
    (all_of(Counts(accepted=190, rejected=10)), "healthy", 1.0, ""),
    (BOUNCES, "slow", 0.5, "bounces: 11 of the last 200 messages, surely more than 3 %"),
    (all_of(Counts(accepted=185, rejected=15)), "slow", 0.5,
     "bounces: 15 of the last 200 messages, surely more than 3 %"),
    (MANY_BOUNCES, "held", 0.5, "bounces: 16 of the last 200 messages, surely more than 5 %"),
    (all_of(Counts(accepted=999, complaints=3)), "healthy", 1.0, ""),
    (all_of(Counts(accepted=999, complaints=4)), "slow", 0.5,
     "complaints: 4 of the last 999 accepted messages, surely more than 0.1 %"),
    (all_of(Counts(accepted=999, complaints=7)), "held", 0.5,
     "complaints: 7 of the last 999 accepted messages, surely more than 0.3 %"),
    (DEFERRALS, "slow", 0.5, "deferrals: 8 of the last 20 attempts, surely more than 20 %"),
])
def test_a_line_that_is_surely_passed_slows_or_holds(
    evidence: Evidence, state: str, share: float, cause: str
) -> None:
    after = judged(UNBLEMISHED, evidence, LINES, slot(3).start, slot(3).start)
    assert (after.state, after.share, after.cause, after.held_until) == (state, share, cause, None)
    if cause:
        assert (after.since, after.judged_from, after.slowed_slot) == (slot(3).start,) * 3
    assert is_held(after, NOON + 100 * 24 * HOUR) is (state == "held")


def test_the_timetable_of_a_recovery() -> None:
    """Slots of half an hour: half at once, a twentieth back with each, whole after five hours of them."""
    lane, shares = judged(UNBLEMISHED, BOUNCES, LINES, slot(0).start, NOON), []
    for number in range(12):
        shares.append(round(lane.share, 2))
        lane = climbed(lane, slot(number, 30 * MINUTE))
    #        the slot that was slowed gives nothing back
    assert shares == [0.5, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0]
    assert lane == replace(UNBLEMISHED, since=slot(10, 30 * MINUTE).start, judged_from=NOON, slowed_slot=NOON)


def test_slots_of_five_minutes_give_back_a_tenth_an_hour_too() -> None:
    lane, slots = busy(UNBLEMISHED, slot(0), "421", NOON), 0
    while lane.state is LaneState.SLOW:
        slots += 1
        lane = climbed(lane, slot(slots))
    assert slots == 60


def test_a_421_halves_the_share_once_for_each_slot_and_never_stops_a_lane() -> None:
    lane = busy(UNBLEMISHED, slot(0), "421: slow down", NOON)
    assert (lane.share, lane.state, lane.cause, lane.since) == (0.5, "slow", "421: slow down", NOON)
    assert busy(lane, slot(0), "421: again", NOON + SECOND) is lane
    assert busy(lane, slot(-1), "421: a late one of the slot before", NOON + SECOND) is lane
    shares = []
    for number in range(1, 6):
        lane = busy(lane, slot(number), "421", slot(number).start)
        shares.append(lane.share)
    assert shares == [0.25, 0.125, 0.0625, LEAST_SHARE, LEAST_SHARE]
    assert (lane.since, lane.judged_from) == (NOON, 0)      # it is no verdict: the deferrals are still to be judged


def test_the_same_deferrals_do_not_slow_a_lane_that_their_421_has_slowed() -> None:
    lane = busy(UNBLEMISHED, slot(1), "421", slot(1).start)
    after = judged(lane, DEFERRALS, LINES, slot(2).start, slot(2).start)
    assert (after.share, after.cause) == (0.5, "deferrals: 8 of the last 20 attempts, surely more than 20 %")
    assert after.judged_from == after.slowed_slot == slot(2).start
    newer = replace(DEFERRALS, recent_from=slot(2).start)
    assert judged(lane, newer, LINES, slot(3).start, slot(3).start).share == 0.25


def test_a_slow_lane_is_slowed_again_by_new_evidence_and_keeps_the_time_since_when() -> None:
    once = judged(UNBLEMISHED, BOUNCES, LINES, slot(0).start, NOON)
    twice = judged(once, BOUNCES, LINES, slot(9).start, slot(9).start)
    assert (twice.share, twice.since, twice.judged_from) == (0.25, NOON, slot(9).start)


def test_a_hold_by_a_line_lasts_until_a_person_resumes_and_then_the_lane_climbs() -> None:
    lane = judged(UNBLEMISHED, MANY_BOUNCES, LINES, slot(0).start, NOON)
    assert judged(lane, MANY_BOUNCES, LINES, slot(1).start, slot(1).start) is lane
    assert busy(lane, slot(1), "421", NOON) is lane
    after = resumed(lane, NOON + HOUR, by_person=True)
    assert (after.state, after.share, after.held_until) == ("slow", 0.5, None)
    assert (after.since, after.judged_from, after.resumed_at) == (NOON + HOUR,) * 3
    assert after.cause == "climbs back after: bounces: 16 of the last 200 messages, surely more than 5 %"
    again = resumed(replace(after, state=LaneState.HELD), NOON + 2 * HOUR, by_person=True)
    assert again.cause == after.cause


def test_a_slow_lane_that_was_held_has_no_more_afterwards_than_before() -> None:
    slow = Reputation(LaneState.SLOW, share=0.25, cause="421")
    held = judged(slow, MANY_BOUNCES, LINES, slot(0).start, NOON)
    assert resumed(held, NOON + HOUR, by_person=True).share == 0.25


def test_a_slow_rule_bounds_the_pace_for_its_time_and_then_the_lane_climbs() -> None:
    lane = ruled(UNBLEMISHED, rule(), slot(0), "421 unusual rate", NOON + MINUTE)
    assert (lane.state, lane.share, lane.cause) == ("slow", 0.5, "reply rule test: 421 unusual rate")
    bounds = [bound_at(lane, NOON + minute * MINUTE) for minute in (1, 30, 31)]
    assert bounds == [10, 10, None]
    assert lane.judged_from == NOON + MINUTE
    shares = []
    for number in range(1, 9):
        lane = climbed(lane, slot(number))
        shares.append(round(lane.share, 4))
    assert shares == [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5083, 0.5167]      # noon + 35 is the first slot after its time


def test_more_of_the_same_replies_lengthen_a_rule_s_time_and_halve_nothing() -> None:
    lane = ruled(UNBLEMISHED, rule(), slot(0), "one", NOON)
    assert ruled(lane, rule(), slot(0), "two", NOON + MINUTE) is lane
    later = ruled(lane, rule(), slot(1), "three", slot(1).start)
    assert (later.share, later.per_minute_until) == (0.5, slot(1).start + 30 * MINUTE)
    assert later.since == NOON
    long_after = ruled(later, rule(), slot(20), "four", slot(20).start)
    assert (long_after.share, long_after.since) == (0.25, NOON)
    stricter = ruled(lane, replace(rule(), name="other", per_minute=1), slot(1), "five", slot(1).start)
    assert bound_at(stricter, slot(1).start) == 1
    looser = ruled(stricter, replace(rule(), per_minute=50), slot(2), "six", slot(2).start)
    assert bound_at(looser, slot(2).start) == 1


def test_a_slow_rule_after_a_421_of_the_same_slot_halves_nothing_more() -> None:
    lane = busy(UNBLEMISHED, slot(0), "421", NOON)
    after = ruled(lane, rule(), slot(0), "unusual rate", NOON + SECOND)
    assert (after.share, bound_at(after, NOON + SECOND)) == (0.5, 10)
    assert bound_at(ruled(UNBLEMISHED, rule(per_minute=None), slot(0), "x", NOON), NOON) is None


def test_a_hold_rule_holds_for_its_time_and_the_longer_of_two_counts() -> None:
    lane = ruled(UNBLEMISHED, rule(Action.HOLD, 2 * HOUR), slot(0), "421 4.7.0 [TSS04]", NOON)
    assert [is_held(lane, NOON + hours * HOUR) for hours in (0, 1, 2)] == [True, True, False]
    assert ruled(lane, rule(Action.HOLD, 2 * HOUR), slot(0), "again", NOON + MINUTE) is lane
    assert ruled(lane, rule(), slot(0), "a slow one", NOON) is lane
    short = ruled(lane, replace(rule(Action.HOLD, HOUR), name="short"), slot(0), "x", NOON)
    assert (short.held_until, short.cause) == (NOON + 2 * HOUR, lane.cause)
    longer = ruled(lane, replace(rule(Action.HOLD, 4 * HOUR), name="long"), slot(0), "y", NOON)
    assert (longer.held_until, longer.cause) == (NOON + 4 * HOUR, "reply rule long: y")
    for_good = ruled(lane, replace(rule(Action.HOLD, None), name="for-good"), slot(0), "z", NOON)
    assert for_good.held_until is None
    assert ruled(for_good, rule(Action.HOLD, HOUR), slot(0), "w", NOON).held_until is None


def test_a_hold_whose_time_has_passed_ends_with_half_and_without_a_person() -> None:
    lane = ruled(UNBLEMISHED, rule(Action.HOLD, HOUR), slot(0), "rate limited", NOON)
    after = resumed(lane, NOON + HOUR, by_person=False)
    assert (after.state, after.share, after.resumed_at) == ("slow", 0.5, 0)
    assert after.cause == "climbs back after: reply rule test: rate limited"
    again = ruled(replace(lane), rule(Action.HOLD, HOUR), slot(30), "once more", slot(30).start)
    assert (again.since, again.held_until) == (slot(30).start, slot(30).start + HOUR)


def test_the_sender_s_own_set_up_holds_a_lane_and_costs_it_nothing() -> None:
    lane = set_up_held(UNBLEMISHED, "set-up: no TLS", NOON)
    assert (lane.state, lane.share, lane.held_until) == ("held", 1.0, None)
    assert set_up_held(lane, "set-up: again", NOON + 1) is lane
    after = resumed(lane, NOON + HOUR, by_person=True)
    assert (after.state, after.share, after.cause) == ("healthy", 1.0, "")
    for_a_while = ruled(UNBLEMISHED, rule(Action.HOLD, HOUR), slot(0), "x", NOON)
    assert set_up_held(for_a_while, "set-up: no TLS", NOON).held_until is None


moves = st.lists(st.sampled_from(["line", "421", "slow", "hold", "resume", "quiet"]), max_size=40)


@given(moves)
def test_whatever_comes_the_share_never_jumps_up_and_never_ends(happened: list[str]) -> None:
    lane = UNBLEMISHED
    for number, what in enumerate(happened):
        before, at = lane, slot(number)
        if what == "line":
            lane = judged(lane, BOUNCES, LINES, at.start, at.start)
        elif what == "421":
            lane = busy(lane, at, "421", at.start)
        elif what in {"slow", "hold"}:
            action = Action.SLOW if what == "slow" else Action.HOLD
            lane = ruled(lane, rule(action, 20 * MINUTE), at, "x", at.start)
        elif what == "resume" and lane.state is LaneState.HELD:
            lane = resumed(lane, at.start, by_person=True)
        if not is_held(lane, at.start):
            if lane.state is LaneState.HELD:
                lane = resumed(lane, at.start, by_person=False)
            lane = climbed(lane, at)
        assert LEAST_SHARE <= lane.share <= before.share + 0.1 * 5 / 60 + 1e-9 <= 1.1
        assert (lane.state is LaneState.HEALTHY) == (lane.share >= 1)
