"""The plan with bounds over several lanes, with reputation, and what it says of days before it and of ends."""

from typing import Any

from support.timetables import at, ramp

from dispatcher.core.lane_health import LaneHealth
from dispatcher.core.plan import After, Ending, Hold, LaneView, Plan, Run, Unplaced, plan
from dispatcher.core.quotas import HOUR, Bounds, Trial
from dispatcher.core.ramp import LEAD
from dispatcher.core.reputation import LaneState, Reputation
from dispatcher.core.times import format_instant

MINUTE = 60_000
SEVEN = at("2026-03-02 07:00")
QUARTERS: dict[str, Any] = {"every": "15m", "hours": "08:00-12:00", "timezone": "UTC", "start": 160}
GROUP = "replies to support@acme.example"


def view(*backlog: Run, lane: str = "support/gmail", **more: Any) -> LaneView:
    """A lane with sixteen slots of a quarter of an hour and 160 messages a day, from 08:00 UTC."""
    fields = {name: more.pop(name) for name in list(more) if name in LaneView.__dataclass_fields__}
    return LaneView(lane, ramp(**QUARTERS | more), backlog=backlog, **fields)


def run(count: int, campaign: str = "news", groups: tuple[str, ...] = (), **more: Any) -> Run:
    return Run(**{"priority": 2, "rank": 0, "segment": "*", "campaign": campaign, "count": count, "groups": groups}
               | more)


def table(found: Plan) -> list[str]:
    """Time, lane's provider, size, limit, and what the lane waited for."""
    return [f"{format_instant(one.at)[8:16]} {one.lane.partition('/')[2]} {one.size} {one.limit} {one.after}".rstrip()
            for one in found.batches]


def test_two_lanes_share_what_people_can_answer() -> None:
    lanes = [view(run(30, groups=(GROUP,))), view(run(10, groups=(GROUP,)), lane="support/other", offset="1m")]
    found = plan(lanes, SEVEN, bounds=Bounds({GROUP: 16}))
    assert table(found) == [
        "02T08:00 gmail 3 replies hours", "02T08:01 other 2 replies hours",
        "02T08:15 gmail 4 replies", "02T08:16 other 1 replies",
        "02T08:30 gmail 4 replies", "02T08:31 other 1 replies",
        "02T08:45 gmail 1 replies",
        "02T09:00 gmail 2 replies", "02T09:01 other 1 replies",
        "02T09:15 gmail 4 replies", "02T09:16 other 1 replies",
        "02T09:30 gmail 3 replies", "02T09:31 other 1 replies",
        "02T09:45 gmail 3 replies", "02T09:46 other 1 replies",
        "02T10:00 gmail 1 replies", "02T10:01 other 1 replies",
        "02T10:15 gmail 4 replies", "02T10:16 other 1 backlog",
        "02T10:30 gmail 1 backlog",
    ]


def test_a_run_that_is_bounded_lets_others_pass() -> None:
    lanes = [view(run(9, groups=(GROUP,)), run(12, "free", rank=1))]
    assert [dict(one.campaigns) for one in plan(lanes, SEVEN, bounds=Bounds({GROUP: 4})).batches[:4]] == [
        {"news": 1, "free": 9}, {"news": 1, "free": 3}, {"news": 1}, {"news": 1},
    ]


def test_an_hour_that_is_used_up_is_jumped_over_unless_something_else_becomes_due() -> None:
    used = Bounds({GROUP: 4}, released=[(at("2026-03-02 07:50"), GROUP, 4)])
    assert table(plan([view(run(2, groups=(GROUP,)))], SEVEN, bounds=used)) == [
        "02T09:00 gmail 1 replies hours", "02T09:15 gmail 1 backlog",
    ]
    later = run(3, "free", not_before=at("2026-03-02 08:20"))
    assert table(plan([view(run(2, groups=(GROUP,)), later)], SEVEN, bounds=used)) == [
        "02T08:20 gmail 3 replies hours", "02T09:00 gmail 1 replies", "02T09:15 gmail 1 backlog",
    ]


def test_the_part_of_a_lane_follows_from_what_is_due_in_the_others() -> None:
    soon, gone = at("2026-03-02 08:30"), at("2026-03-02 09:00")
    lanes = [
        view(run(90, groups=(GROUP,))),
        view(run(270, groups=(GROUP,), not_before=soon, expires_at=gone), lane="support/other", offset="1m"),
        view(run(900, groups=(GROUP,)), lane="support/held", held=Hold("by hand")),
        view(run(900, groups=(GROUP,)), lane="support/later", held=Hold("by hand", at("2026-03-02 11:00"))),
    ]
    found = plan(lanes, SEVEN, at("2026-03-02 09:20"), bounds=Bounds({GROUP: 40}))
    assert table(found) == [
        "02T08:00 gmail 10 allowance hours", "02T08:15 gmail 10 allowance", "02T08:30 gmail 3 replies",
        "02T08:31 other 9 replies waiting", "02T08:45 gmail 1 replies", "02T08:46 other 5 replies",
        "02T09:00 gmail 10 allowance", "02T09:15 gmail 10 allowance",
    ]
    assert found.late_campaigns == {"news": 256}


def test_lanes_that_are_not_planned_keep_their_part() -> None:
    bounds = Bounds({GROUP: 16}, queued={(GROUP, "support/gmail"): 3, (GROUP, "support/other"): 9})
    assert plan([view(run(3, groups=(GROUP,)))], SEVEN, most=1, bounds=bounds).batches[0].size == 1


def test_a_canary_goes_alone_over_all_lanes_and_the_rest_follows_when_its_wait_is_over() -> None:
    lanes = [view(run(30), run(4, "free", rank=1), start=96),
             view(run(30), run(9, "free", rank=1, not_before=at("2026-03-02 08:20")), lane="support/other",
                  offset="1m", start=96)]
    found = plan(lanes, SEVEN, at("2026-03-02 08:50"), bounds=Bounds(canaries={"news": Trial(8, 5 * MINUTE)}))
    assert table(found) == [
        "02T08:00 gmail 6 allowance hours", "02T08:01 other 2 canary hours",
        "02T08:15 gmail 4 backlog", "02T08:20 other 4 late waiting",
        "02T08:30 gmail 6 allowance", "02T08:31 other 6 allowance",
        "02T08:45 gmail 6 allowance", "02T08:46 other 6 allowance",
    ]
    assert [dict(one.campaigns) for one in found.batches[2:6]] == [
        {"free": 4}, {"free": 4}, {"news": 6}, {"news": 6},
    ]


def test_a_lane_whose_campaign_waits_for_its_canary_goes_on_late_in_the_slot() -> None:
    bounds = Bounds(canaries={"news": Trial(4, 10 * MINUTE)})
    found = plan([view(run(30))], SEVEN, at("2026-03-02 08:40"), bounds=bounds)
    assert table(found) == ["02T08:00 gmail 4 canary hours", "02T08:25 gmail 3 late canary",
                            "02T08:30 gmail 10 allowance"]


def test_a_plan_says_which_canaries_it_takes_to_pass_and_when() -> None:
    twenty_past = at("2026-03-02 09:20")
    lanes = [view(run(30), run(4, "free", not_before=at("2026-03-02 08:35")), run(4, "held", not_before=twenty_past))]
    waits = {"held": twenty_past, "gone": SEVEN}
    found = plan(lanes, SEVEN, bounds=Bounds(canaries={"news": Trial(4, 10 * MINUTE)}, waits=waits))
    assert table(found) == [
        "02T08:00 gmail 4 canary hours", "02T08:25 gmail 3 late canary", "02T08:30 gmail 10 allowance",
        "02T08:45 gmail 10 allowance", "02T09:00 gmail 7 backlog", "02T09:20 gmail 4 backlog canary",
    ]
    assert found.canaries == {"held": twenty_past, "news": at("2026-03-02 08:25")}
    cut = plan(lanes, SEVEN, at("2026-03-02 08:20"), bounds=Bounds(canaries={"news": Trial(4, 10 * MINUTE)}))
    assert (len(cut.batches), cut.canaries) == (1, {})


def test_what_is_part_of_a_canary_already_is_not_counted_again() -> None:
    bounds = Bounds(canaries={"news": Trial(4, 25 * MINUTE)})
    found = plan([view(run(12, known=3))], SEVEN, at("2026-03-02 08:50"), bounds=bounds)
    assert table(found) == ["02T08:00 gmail 7 canary hours", "02T08:40 gmail 3 late canary",
                            "02T08:45 gmail 2 backlog"]


def test_a_queue_smaller_than_its_canary_just_goes_out() -> None:
    found = plan([view(run(12))], SEVEN, bounds=Bounds(canaries={"news": Trial(50, 20 * MINUTE)}))
    assert table(found) == ["02T08:00 gmail 10 allowance hours", "02T08:15 gmail 2 backlog"]


def test_what_waits_for_a_canary_has_no_part_in_its_group() -> None:
    twenty_past = at("2026-03-02 08:20")
    lanes = [view(run(90, groups=(GROUP,))),
             view(run(90, "sale", groups=(GROUP,)), run(9, "sale", groups=(GROUP,), not_before=SEVEN, expires_at=SEVEN),
                  run(90, "sale", groups=(GROUP,), not_before=twenty_past, expires_at=twenty_past + 20 * MINUTE),
                  lane="support/other", offset="1m")]
    bounds = Bounds({GROUP: 32}, canaries={"sale": Trial(2, 25 * MINUTE)})
    assert table(plan(lanes, SEVEN, at("2026-03-02 09:01"), bounds=bounds)) == [
        "02T08:00 gmail 4 replies hours", "02T08:01 other 2 canary hours", "02T08:15 gmail 8 replies",
        "02T08:30 gmail 8 replies", "02T08:41 other 2 replies canary", "02T08:45 gmail 3 replies",
        "02T08:46 other 2 replies", "02T09:00 gmail 3 replies",
    ]


def test_a_slow_lane_climbs_back() -> None:
    slow = Reputation(LaneState.SLOW, 0.5, cause="deferrals")
    found = plan([view(run(400), reputation=slow, start=1_600, largest_batch=500)], SEVEN)
    assert table(found) == [
        "02T08:00 gmail 50 slow hours", "02T08:15 gmail 53 slow", "02T08:30 gmail 55 slow", "02T08:45 gmail 58 slow",
        "02T09:00 gmail 60 slow", "02T09:15 gmail 63 slow", "02T09:30 gmail 61 backlog",
    ]


def test_a_pace_by_the_minute_ends_with_its_time() -> None:
    paced = Reputation(LaneState.SLOW, 1.0, per_minute=1, per_minute_until=at("2026-03-02 08:30"))
    assert table(plan([view(run(60), reputation=paced, start=320)], SEVEN)) == [
        "02T08:00 gmail 15 slow hours", "02T08:15 gmail 15 slow", "02T08:30 gmail 20 allowance",
        "02T08:45 gmail 10 backlog",
    ]


def test_a_lane_that_its_reputation_holds_goes_on_slowly_when_that_ends() -> None:
    held = Reputation(LaneState.HELD, 0.5, held_until=at("2026-03-02 09:00"), cause="yahoo TSS04")
    found = plan([view(run(30), reputation=held)], SEVEN)
    assert table(found)[:2] == ["02T09:00 gmail 5 slow hold", "02T09:15 gmail 5 slow"]
    for_good = Reputation(LaneState.HELD, 0.5, cause="bounces")
    found = plan([view(run(30), reputation=for_good, held=Hold("a look", at("2026-03-02 08:00")))], SEVEN)
    assert (found.batches, found.unplaced) == ([], [Unplaced("support/gmail", 30, "held: bounces")])


def test_of_two_holds_the_longer_counts() -> None:
    held = Reputation(LaneState.HELD, 1.0, held_until=at("2026-03-02 08:30"))
    found = plan([view(run(1), reputation=held, held=Hold("a look", at("2026-03-02 09:15")))], SEVEN)
    assert table(found) == ["02T09:15 gmail 1 backlog hold"]


def test_a_server_that_cannot_be_reached_is_waited_for() -> None:
    waited = LaneHealth(waits=1, until=at("2026-03-02 08:20"))
    assert table(plan([view(run(12), health=waited)], SEVEN)) == ["02T08:20 gmail 6 late hours",
                                                                  "02T08:30 gmail 6 backlog"]


def test_a_batch_says_what_its_lane_waited_for() -> None:
    monday = at("2026-03-02 11:59:50")
    tuesday = at("2026-03-03 09:00")
    cases = [
        ("in the middle of its hours", {}, run(1), at("2026-03-02 08:59:50"), "02T09:00 gmail 1 backlog"),
        ("before its hours", {}, run(1), SEVEN, "02T08:00 gmail 1 backlog hours"),
        ("behind them", {}, run(1), monday, "03T08:00 gmail 1 backlog hours"),
        ("due by night", {}, run(1, not_before=at("2026-03-03 03:00")), monday, "03T08:00 gmail 1 backlog hours"),
        ("due by day", {}, run(1, not_before=tuesday), monday, "03T09:00 gmail 1 backlog waiting"),
        ("due right away", {}, run(1, not_before=at("2026-03-02 09:00")), at("2026-03-02 08:50"),
         "02T09:00 gmail 1 backlog waiting"),
        ("not on this weekday", {"weekdays": "wed"}, run(1), monday, "04T08:00 gmail 1 backlog hours"),
        ("held over night", {"held": Hold("x", at("2026-03-02 22:00"))}, run(1), monday,
         "03T08:00 gmail 1 backlog hold"),
        ("held, and nothing due then", {"held": Hold("x", at("2026-03-02 22:00"))}, run(1, not_before=tuesday), monday,
         "03T09:00 gmail 1 backlog waiting"),
        ("all day long", {"hours": "00:00-24:00", "step_spent": 160}, run(1), monday, "03T00:00 gmail 1 backlog"),
        ("a short step", {"hours": "00:00-24:00", "step": "1h", "step_spent": 160}, run(1), monday,
         "02T12:00 gmail 1 backlog"),
        ("a short step, not on this weekday",
         {"hours": "00:00-24:00", "step": "1h", "weekdays": "mon,thu", "step_spent": 160}, run(1),
         at("2026-03-02 23:50"), "05T00:00 gmail 1 backlog hours"),
        ("due in a later short step", {"hours": "00:00-24:00", "step": "1h"}, run(1, not_before=tuesday), monday,
         "03T09:00 gmail 1 backlog waiting"),
    ]
    for name, keys, backlog, now, line in cases:
        assert (name, table(plan([view(backlog, **keys)], now))) == (name, [line])


def test_the_night_between_two_days_is_named_once() -> None:
    found = plan([view(run(200))], SEVEN)
    assert [one.after for one in found.batches] == [After.HOURS, *[After.NOTHING] * 15, After.HOURS,
                                                    *[After.NOTHING] * 3]
    assert {one.allowance for one in found.batches} == {160, 192}


def test_a_plan_says_how_each_campaign_ends() -> None:
    nine = at("2026-03-02 09:00")
    lanes = [view(run(20), run(30, "sale", rank=1, expires_at=nine), run(0, "none")),
             view(run(4), lane="support/other", held=Hold("by hand"))]
    assert plan(lanes, SEVEN).campaigns == [
        Ending("news", 24, None, 0, 4),
        Ending("sale", 30, at("2026-03-02 08:45") + LEAD + (15 * MINUTE - LEAD) * 9 // 10, 10, 0),
    ]
    assert plan(lanes[:1], SEVEN).campaigns[0].done_at == at("2026-03-02 08:15") + LEAD + (15 * MINUTE - LEAD) * 9 // 10


def test_what_a_group_releases_in_any_hour_is_no_more_than_its_bound() -> None:
    lanes = [view(run(50, groups=(GROUP,)), lane=f"support/{name}", offset="auto") for name in "abcdefgh"]
    found = plan(lanes, SEVEN, bounds=Bounds({GROUP: 10}))
    assert found.left == 0
    for one in found.batches:
        assert sum(other.size for other in found.batches if one.at - HOUR < other.at <= one.at) <= 10
