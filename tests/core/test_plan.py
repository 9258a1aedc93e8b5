"""The plan: timetables of what the daemon will do, with everything that can come between."""

from itertools import groupby
from typing import Any

import pytest
from support.timetables import at, days, ramp

from config.ramps import Ramp
from config.units import DAY
from dispatcher.core.calendar import Slot, next_slot
from dispatcher.core.plan import After, Hold, LaneView, Plan, PlannedBatch, Run, Unplaced, grown, plan
from dispatcher.core.ramp import LEAD, Limit
from dispatcher.core.times import format_instant, local_date

LANE = "support/gmail"
HOURLY: dict[str, Any] = {"every": "1h", "hours": "08:00-12:00", "timezone": "UTC", "start": 8}
SEVEN = at("2026-03-02 07:00")


def view(*backlog: Run, lane: str = LANE, **more: Any) -> LaneView:
    """A lane with four slots of an hour and 8 messages a day, from 08:00 UTC."""
    fields = {name: more.pop(name) for name in list(more) if name in LaneView.__dataclass_fields__}
    return LaneView(lane, ramp(**HOURLY | more), backlog=backlog, **fields)


def run(count: int, segment: str = "*", campaign: str = "news", **more: Any) -> Run:
    return Run(**{"priority": 2, "rank": 0, "segment": segment, "campaign": campaign, "count": count} | more)


def table(found: Plan) -> list[tuple[str, int, str]]:
    """Time, size and limit of each batch."""
    return [(format_instant(one.at)[5:16], one.size, one.limit.value) for one in found.batches]


def by_day(found: Plan) -> list[int]:
    return [sum(one.size for one in day) for _, day in groupby(found.batches, lambda one: one.at // DAY)]


def test_a_plan_is_a_timetable_that_grows_with_the_ramp() -> None:
    found = plan([view(run(15))], SEVEN)
    assert table(found) == [
        ("03-02T08:00", 2, "allowance"), ("03-02T09:00", 2, "allowance"),
        ("03-02T10:00", 2, "allowance"), ("03-02T11:00", 2, "allowance"),
        ("03-03T08:00", 2, "allowance"), ("03-03T09:00", 2, "allowance"),
        ("03-03T10:00", 2, "allowance"), ("03-03T11:00", 1, "backlog"),
    ]
    assert (found.done_at, found.late, found.left) == (at("2026-03-03 11:00") + LEAD, 0, 0)
    assert by_day(plan([view(run(100))], SEVEN)) == [8, 9, 10, 12, 14, 16, 19, 12]


def test_a_batch_names_its_slot_and_what_is_in_it() -> None:
    assert plan([view(run(1, "DE"), run(1, "FR", "sale"))], SEVEN).batches == [
        PlannedBatch(at("2026-03-02 08:00"), at("2026-03-02 09:00"), LANE, 2,
                     {("news", "DE"): 1, ("sale", "FR"): 1}, Limit.ALLOWANCE, After.HOURS, 8),
    ]


def test_a_batch_counts_its_campaigns_and_its_segments() -> None:
    batch = PlannedBatch(0, 1, LANE, 6, {("news", "DE"): 1, ("sale", "FR"): 2, ("news", "FR"): 3}, Limit.BACKLOG)
    assert (batch.campaigns, batch.segments) == ({"news": 4, "sale": 2}, {"DE": 1, "FR": 5})


def test_the_end_is_the_start_of_the_very_last_message() -> None:
    assert plan([view(run(2))], SEVEN).done_at == at("2026-03-02 08:30") + LEAD // 2     # even over the rest


def test_nothing_to_send_is_an_empty_plan() -> None:
    assert plan([view(), view(run(0), lane="b/b")], SEVEN) == Plan([], None, 0, 0, {}, [], [])


def test_the_order_is_priority_then_rank_then_first_come() -> None:
    backlog = (run(1, "later", rank=2), run(1, "low", priority=3), run(1, "first", rank=1), run(1, "second", rank=1),
               run(1, "urgent", priority=0, rank=9))
    found = plan([view(*backlog, start=5 * 4)], SEVEN)
    assert list(found.batches[0].segments) == ["urgent", "first", "second", "later", "low"]


def test_batches_of_all_lanes_come_by_time_then_lane() -> None:
    lanes = [view(run(3), lane="b/b"), view(run(3), lane="a/a"), view(run(1), lane="c/c", offset="10m")]
    found = plan(lanes, SEVEN)
    assert [(format_instant(one.at)[11:16], one.lane) for one in found.batches] == [
        ("08:00", "a/a"), ("08:00", "b/b"), ("08:10", "c/c"), ("09:00", "a/a"), ("09:00", "b/b"),
    ]
    assert found.done_at == at("2026-03-02 09:00") + LEAD


def test_a_plan_asked_for_within_a_step_goes_on_from_what_is_spent() -> None:
    found = plan([view(run(9), step_spent=4, last_slot_end=at("2026-03-02 10:00"))], at("2026-03-02 09:20"))
    assert table(found)[:4] == [
        ("03-02T10:00", 2, "allowance"), ("03-02T11:00", 2, "allowance"),
        ("03-03T08:00", 2, "allowance"), ("03-03T09:00", 2, "allowance"),
    ]
    assert table(plan([view(run(9), step_spent=7)], SEVEN))[:2] == [
        ("03-02T08:00", 1, "spent"), ("03-03T08:00", 2, "allowance"),
    ]


def test_a_slot_under_way_is_planned_with_its_rest_and_not_at_all_when_too_little_is_left() -> None:
    assert table(plan([view(run(9))], at("2026-03-02 08:30")))[:2] == [
        ("03-02T08:30", 1, "late"), ("03-02T09:00", 2, "allowance"),
    ]
    assert table(plan([view(run(9))], at("2026-03-02 08:45")))[0] == ("03-02T09:00", 2, "allowance")
    assert plan([view(run(9))], at("2026-03-02 08:30")).batches[0].last_at == at("2026-03-02 08:30") + LEAD


def test_the_running_step_decides_how_the_lane_goes_on() -> None:
    late = at("2026-03-02 12:00")
    assert by_day(plan([view(run(9), step_spent=8)], late)) == [9]
    assert by_day(plan([view(run(9), step_spent=8, step_unsent=2)], late)) == [8, 1]
    assert by_day(plan([view(run(9), step_spent=8, step_healthy=False)], late)) == [6, 3]


def test_past_steps_count() -> None:
    before = days(20, first=SEVEN // DAY - 1)
    assert by_day(plan([view(run(60), past=before)], SEVEN)) == [24, 28, 8]


def test_a_largest_batch_is_named_as_the_limit_and_keeps_the_lane_from_growing() -> None:
    found = plan([view(run(12), largest_batch=1)], SEVEN)
    assert {limit for _, _, limit in table(found)} == {"largest_batch"}
    assert by_day(found) == [4, 4, 4]


def test_messages_that_wait_join_when_they_are_due_and_take_their_place_in_the_order() -> None:
    backlog = (run(5, "now"), run(1, "urgent", priority=0, not_before=at("2026-03-02 08:20")),
               run(1, "much later", not_before=at("2026-03-20 09:30")))
    found = plan([view(*backlog)], SEVEN)
    assert [(format_instant(one.at)[5:16], dict(one.segments)) for one in found.batches] == [
        ("03-02T08:00", {"now": 2}),
        ("03-02T09:00", {"urgent": 1, "now": 1}),
        ("03-02T10:00", {"now": 2}),
        ("03-20T09:30", {"much later": 1}),
    ]


def test_a_message_that_becomes_due_in_an_unused_slot_leaves_in_its_rest() -> None:
    found = plan([view(run(5, not_before=at("2026-03-02 08:20")), start=16)], SEVEN)
    assert table(found) == [("03-02T08:20", 2, "late"), ("03-02T09:00", 3, "backlog")]
    assert found.batches[0].until == at("2026-03-02 09:00")
    found = plan([view(run(5, not_before=at("2026-03-02 08:50")), start=16)], SEVEN)
    assert table(found) == [("03-02T09:00", 4, "allowance"), ("03-02T10:00", 1, "backlog")]
    early = at("2026-03-02 08:05")       # within the first tenth, which counts as in time
    assert table(plan([view(run(2, not_before=early))], SEVEN)) == [("03-02T08:05", 2, "allowance")]


def test_who_would_hear_too_late_is_counted_and_not_sent() -> None:
    noon = at("2026-03-02 10:00")
    backlog = (run(3, "a", "delay", expires_at=noon), run(3, "b", "delay", expires_at=noon),
               run(2, "c", "never", priority=3, expires_at=SEVEN), run(1, "d"))
    found = plan([view(*backlog)], SEVEN)
    assert [dict(one.segments) for one in found.batches] == [{"a": 2}, {"a": 1, "b": 1}, {"d": 1}]
    assert (found.late, found.late_campaigns, found.left) == (4, {"delay": 2, "never": 2}, 0)
    assert found.done_at == at("2026-03-02 10:00") + LEAD


def test_who_expires_while_waiting_is_late_too() -> None:
    backlog = run(3, not_before=at("2026-03-02 09:50"), expires_at=at("2026-03-02 09:55"))
    found = plan([view(backlog)], SEVEN)
    assert (found.batches, found.done_at, found.late, found.left) == ([], None, 3, 0)
    backlog = run(3, not_before=at("2026-03-02 09:30"), expires_at=at("2026-03-02 09:55"))
    found = plan([view(backlog)], SEVEN)
    assert (table(found), found.late, found.left) == ([("03-02T09:30", 1, "late")], 2, 0)


def test_a_plan_until_an_instant_leaves_the_rest_and_gives_no_end() -> None:
    found = plan([view(run(9), run(4, "b", priority=3, expires_at=at("2026-03-02 09:30")))], SEVEN,
                 until=at("2026-03-02 10:00"))
    assert table(found) == [("03-02T08:00", 2, "allowance"), ("03-02T09:00", 2, "allowance")]
    assert (found.done_at, found.late, found.left) == (None, 4, 5)
    assert found.unplaced == [Unplaced(LANE, 5, "later")]


def test_a_plan_holds_no_more_batches_than_asked_for_and_counts_the_rest_as_left() -> None:
    lanes = [view(run(9), run(5, campaign="soon", priority=3, expires_at=at("2026-03-02 09:00")), lane=name)
             for name in ("a/a", "b/b")]
    found = plan(lanes, SEVEN, most=3)
    assert [(one.lane, one.size) for one in found.batches] == [("a/a", 2), ("b/b", 2), ("a/a", 2)]
    assert (found.done_at, found.late, found.left) == (None, 10, 12)
    assert found.unplaced == [Unplaced("a/a", 5, "later"), Unplaced("b/b", 7, "later")]
    assert plan(lanes, SEVEN, most=0).left == 28
    assert plan([view(run(4))], SEVEN, most=2).left == 0


def test_a_lane_held_until_an_instant_starts_then_without_a_burst() -> None:
    held = Hold("server maintenance", at("2026-03-02 10:30"))
    assert table(plan([view(run(5), held=held)], SEVEN)) == [
        ("03-02T10:30", 1, "late"), ("03-02T11:00", 2, "allowance"), ("03-03T08:00", 2, "allowance"),
    ]
    over = Hold("server maintenance", at("2026-03-01 10:30"))
    assert table(plan([view(run(1), held=over)], SEVEN)) == [("03-02T08:00", 1, "backlog")]


def test_a_lane_held_for_good_has_no_batches_and_the_plan_no_end_and_says_why() -> None:
    lanes = [view(run(1), lane="a/a"), view(run(3, expires_at=SEVEN + 1), lane="b/b", held=Hold("by hand"))]
    found = plan(lanes, SEVEN)
    assert [one.lane for one in found.batches] == ["a/a"]
    assert (found.done_at, found.late, found.left) == (None, 0, 3)
    assert found.unplaced == [Unplaced("b/b", 3, "held: by hand")]


@pytest.mark.parametrize(("keys", "count", "last"), [
    ({"start": 1, "growth": 1.0, "every": "1s"}, 300, "2026-12-26T11:59:59Z"),       # a share in 1 of 14,400 slots
    ({"start": 1, "growth": 1.0, "every": "1s", "step": "20s", "hours": "00:00-24:00"}, 9, "2026-03-02T07:02:59Z"),
])
def test_slots_without_a_share_are_jumped_over(keys: dict[str, Any], count: int, last: str) -> None:
    found = plan([view(run(count), **keys)], SEVEN)
    assert [one.size for one in found.batches] == [1] * count
    assert format_instant(found.batches[-1].at) == last


@pytest.mark.parametrize("lane", [
    view(run(1, not_before=at("2026-12-24 08:00")), every="1s"),
    view(run(2), start=1, growth=1.0, every="1s", offset="500ms"),
    view(run(9), step_spent=8, every="1s", hours="00:00-24:00"),
])
def test_a_plan_does_not_walk_the_slots_in_which_nothing_happens(
    lane: LaneView, monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def counted(which: Ramp, name: str, after: int) -> Slot:
        asked.append(after)
        return next_slot(which, name, after)

    monkeypatch.setattr("dispatcher.core.walk.next_slot", counted)
    assert plan([lane], SEVEN).left == 0
    assert len(asked) < 30


def test_a_plan_knows_when_the_lane_will_have_gone_cold() -> None:
    before, waiting = days(20, first=SEVEN // DAY - 1), run(40, not_before=at("2026-03-04 08:00"))
    keys: dict[str, Any] = {"past": before, "cold_after": "1d"}
    assert by_day(plan([view(run(24), waiting, **keys)], SEVEN))[:2] == [24, 8]
    spent = {"step_spent": 24, "last_slot_end": at("2026-03-02 11:00")}
    assert by_day(plan([view(waiting, **keys, **spent)], at("2026-03-02 11:00")))[0] == 8


def test_a_plan_looks_400_days_ahead_and_no_further() -> None:
    found = plan([view(run(500), start=1, growth=1.0)], SEVEN)
    assert (len(found.batches), found.left, found.done_at) == (400, 100, None)


def test_a_plan_follows_the_day_when_clocks_change() -> None:
    keys = {"timezone": "Europe/Berlin", "hours": "00:00-24:00", "every": "1h", "start": 48, "growth": 1.0}
    found = plan([view(run(144), **keys)], at("2026-03-27 23:00"))
    dates = groupby(found.batches, lambda one: local_date(one.at, "Europe/Berlin"))
    sizes = [[one.size for one in day] for _, day in dates]
    assert sizes == [[2] * 24, [2] * 11 + [3] + [2] * 10 + [3], [2] * 24]


def test_whose_lateness_grows_is_told_with_how_much() -> None:
    assert grown({"a": 3, "b": 4, "c": 5}, {"a": 9, "b": 4, "c": 1, "d": 2}) == {"a": 6, "d": 2}
