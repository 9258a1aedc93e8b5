"""A step's allowance: the ramps of the documentation as timetables, and each rule by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.timetables import days, ramp

from config.ramps import Ramp
from config.units import DAY
from dispatcher.core.ramp import PastStep, Why, allowance

SENDGRID = (20, 28, 39, 55, 77, 108, 151, 211, 295, 413, 579, 810, 1000, 1587, 2222, 3111)
SPARKPOST = (200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 50_000, 75_000, 100_000)


def timetable(which: Ramp, count: int) -> list[int]:
    """The allowances of the first steps of a lane that fills and stays healthy."""
    past: list[PastStep] = []
    for day in range(count):
        allowed = allowance(which, past, day * DAY).value
        past += days(allowed, first=day)
    return [step.allowance for step in past]


def after(which: Ramp, past: list[PastStep]) -> tuple[int, str]:
    """The allowance of the day after the last past step, and why."""
    found = allowance(which, past, past[-1].end)
    return found.value, found.why.value


def bad(step: int | tuple[int, int], day: int) -> list[PastStep]:
    """One unhealthy step."""
    return days(step, healthy=False, first=day)


def test_the_careful_ramp_takes_26_sending_days_from_100_to_10_000() -> None:
    assert timetable(ramp(growth=1.2), 28) == [
        100, 120, 144, 172, 206, 247, 296, 355, 426, 511, 613, 735, 882, 1_058, 1_269, 1_522, 1_826, 2_191, 2_629,
        3_154, 3_784, 4_540, 5_448, 6_537, 7_844, 9_412, 10_000, 10_000,
    ]


def test_the_standard_ramp_takes_18() -> None:
    assert timetable(ramp(growth=1.3), 20) == [
        100, 130, 169, 219, 284, 369, 479, 622, 808, 1_050, 1_365, 1_774, 2_306, 2_997, 3_896, 5_064, 6_583, 8_557,
        10_000, 10_000,
    ]


def test_the_fast_ramp_takes_14() -> None:
    assert timetable(ramp(growth=1.4), 16) == [
        100, 140, 196, 274, 383, 536, 750, 1_050, 1_470, 2_058, 2_881, 4_033, 5_646, 7_904, 10_000, 10_000,
    ]


def test_products_are_exact_and_rounded_down() -> None:
    assert timetable(ramp(start=60, growth=1.5), 4) == [60, 90, 135, 202]
    assert timetable(ramp(start=100, growth=1.2), 2) == [100, 120]
    assert timetable(ramp(start=10, growth=1.1), 3) == [10, 11, 12]
    assert timetable(ramp(start=1_000, growth=1.001), 3) == [1_000, 1_001, 1_002]


def test_growth_is_one_more_at_least_unless_it_is_off() -> None:
    assert timetable(ramp(start=3, growth=1.2), 5) == [3, 4, 5, 6, 7]
    assert timetable(ramp(start=3, growth=1.0), 3) == [3, 3, 3]


def test_a_start_of_1_cannot_grow_because_2_is_twice_as_much() -> None:
    assert timetable(ramp(start=1), 4) == [1, 1, 1, 1]
    assert timetable(ramp(start=2), 4) == [2, 3, 4, 5]


@pytest.mark.parametrize("table", [SENDGRID, SPARKPOST])
def test_a_vendors_table_is_followed_as_written_and_its_last_entry_stays(table: tuple[int, ...]) -> None:
    which = ramp(steps=table, ceiling=1_000_000)
    assert timetable(which, len(table) + 2) == [*table, table[-1], table[-1]]


@pytest.mark.parametrize(("sent", "expected"), [
    (100, (120, "grown")),
    (90, (120, "grown")),
    (89, (100, "same")),
    (60, (100, "same")),
    (51, (100, "same")),
])
def test_a_step_counts_as_filled_from_90_percent(sent: int, expected: tuple[int, str]) -> None:
    assert after(ramp(start=10), days((sent, 100))) == expected


def test_90_percent_of_an_odd_allowance_is_not_rounded_down() -> None:
    assert after(ramp(start=10), days((90, 101)))[1] == "same"
    assert after(ramp(start=10), days((91, 101)))[1] == "grown"


def test_what_came_back_unsent_does_not_fill_a_step() -> None:
    step = PastStep(0, DAY, allowance=100, spent=100, unsent=11)
    assert step.sent == 89
    assert after(ramp(), [step]) == (100, "same")


def test_only_sending_days_count() -> None:
    quiet = [PastStep(day * DAY, (day + 1) * DAY, 120, spent=4, unsent=4) for day in range(2, 20)]
    assert after(ramp(), days(100) + quiet) == (120, "grown")


def test_a_lane_that_never_sent_starts_with_start() -> None:
    first = allowance(ramp(), [], 0)
    assert (first.value, first.why) == (100, Why.FIRST)
    assert after(ramp(), days((0, 100)))[1] == "first"
    assert allowance(ramp(start=500, ceiling=300), [], 0).value == 300


def test_a_lane_starts_over_after_30_days_without_sending() -> None:
    past = days(1_000)
    assert allowance(ramp(), past, 31 * DAY).value == 1_200
    cold = allowance(ramp(), past, 31 * DAY + 1)
    assert (cold.value, cold.why) == (100, Why.COLD)
    released = [PastStep(0, DAY, 1_000, 1_000, last_at=DAY // 2)]
    assert allowance(ramp(), released, 30 * DAY + DAY // 2).why is Why.GROWN
    assert allowance(ramp(), released, 30 * DAY + DAY // 2 + 1).why is Why.COLD


def test_what_was_before_the_lane_went_cold_is_forgotten() -> None:
    before = bad(5_000, 0)
    assert after(ramp(), before + days(100, first=60)) == (120, "grown")                  # no rest
    assert after(ramp(start=50), before + days((50, 500), first=60)) == (99, "guard")     # no record of 5,000


def test_a_lane_that_sends_every_20_days_is_not_cold_and_remembers() -> None:
    past = bad(400, 0) + days(300, first=20) + days(300, first=40)
    assert allowance(ramp(), past, 60 * DAY).why is Why.RESTING


def test_after_an_unhealthy_step_three_quarters_and_no_growth_for_three_sending_steps() -> None:
    which = ramp(start=10)
    past = days(200, 240) + bad(288, 2)
    assert after(which, past) == (216, "shrunk")
    past += days(216, first=3)
    assert after(which, past) == (216, "resting")
    past += days((0, 216), 216, first=4)                                                  # a day off does not count
    assert after(which, past) == (216, "resting")
    past += days(216, first=6)
    assert after(which, past) == (259, "grown")


def test_an_unhealthy_step_while_resting_shrinks_again_and_the_rest_starts_anew() -> None:
    which = ramp(start=10)
    past = bad(400, 0) + days(300, first=1) + bad(300, 2)
    assert after(which, past) == (225, "shrunk")
    past += days(225, 225, first=3)
    assert after(which, past) == (225, "resting")
    past += days(225, first=5)
    assert after(which, past) == (270, "grown")


def test_an_unhealthy_lane_goes_below_start_but_never_below_1() -> None:
    assert after(ramp(), bad(100, 0)) == (75, "shrunk")
    assert after(ramp(), bad(100, 0) + days(75, first=1)) == (75, "resting")
    assert after(ramp(start=1), bad(1, 0)) == (1, "shrunk")


def test_a_lane_that_was_brought_down_climbs_back_to_start_by_growth_alone() -> None:
    past = bad(100, 0) + bad(75, 1) + bad(56, 2) + days(42, 42, 42, first=3)
    seen = []
    while not seen or seen[-1] < 144:
        seen.append(after(ramp(), past)[0])
        past += days(seen[-1], first=len(past))
    assert seen == [50, 60, 72, 86, 103, 123, 147]


def test_a_lane_that_has_regained_what_it_had_is_lifted_to_start_again() -> None:
    fell = bad(100, 0) + days(75, 75, 75, first=1)
    assert after(ramp(start=500), fell) == (90, "grown")
    assert after(ramp(start=500), fell + days(90, first=4)) == (108, "grown")
    assert after(ramp(start=500), fell + days(90, 108, first=4)) == (500, "start")


def test_a_fall_of_more_than_30_sending_steps_ago_is_forgotten() -> None:
    fell = bad(100, 0)
    assert after(ramp(), fell + days(*[(50, 75)] * 29, first=1)) == (75, "same")
    assert after(ramp(), fell + days(*[(50, 75)] * 30, first=1)) == (100, "start")


def test_below_its_first_entry_a_timetable_grows_by_growth() -> None:
    which = ramp(steps=(200, 500), ceiling=5_000)
    assert after(which, bad(200, 0) + days(150, 150, 150, first=1)) == (180, "grown")
    assert after(which, bad(200, 0) + days(150, 150, 150, 180, first=1)) == (200, "grown")


def test_a_timetable_shrinks_and_recovers_too() -> None:
    which = ramp(steps=(200, 500, 1_000), ceiling=5_000)
    past = days(200, 500) + bad(1_000, 2)
    assert after(which, past) == (750, "shrunk")
    past += days(750, 750, 750, first=3)
    assert after(which, past) == (1_000, "grown")
    assert after(which, days(200, (100, 500))) == (500, "same")
    assert after(which, bad(200, 0)) == (150, "shrunk")


def test_the_guard_keeps_an_allowance_below_twice_what_was_really_sent() -> None:
    assert after(ramp(), days(1_000, (300, 1_200))) == (1_200, "same")
    idle = days((300, 1_200), (300, 1_200), (280, 1_200), (300, 1_200), (10, 1_200), (299, 1_200), (300, 1_200))
    assert after(ramp(), days(1_000) + idle) == (599, "guard")
    assert after(ramp(guard=1.5), days(1_000) + idle) == (449, "guard")


def test_the_guard_looks_at_7_sending_steps_and_not_at_days_off() -> None:
    idle = days(*[(300, 1_200)] * 6, *[(0, 1_200)] * 3, first=1)
    assert after(ramp(), days(1_000) + idle) == (1_200, "same")


def test_the_guard_does_not_apply_to_start() -> None:
    assert after(ramp(start=500), days((10, 500))) == (500, "same")
    assert after(ramp(start=500), days((10, 900))) == (500, "guard")


def test_the_guard_does_not_apply_to_explicit_steps() -> None:
    assert after(ramp(steps=(200, 500, 1_000)), days(200)) == (500, "grown")


def test_raising_start_lifts_the_lane_at_once_and_lowering_it_changes_nothing() -> None:
    past = days(100, 120)
    assert after(ramp(), past) == (144, "grown")
    assert after(ramp(start=5_000), past) == (5_000, "start")
    assert after(ramp(start=5), past) == (144, "grown")


def test_lowering_the_ceiling_bites_at_once_and_goes_before_start() -> None:
    past = days(1_000, 1_200)
    assert after(ramp(ceiling=500), past) == (500, "ceiling")
    assert after(ramp(ceiling=500, start=800), past) == (500, "ceiling")
    assert after(ramp(ceiling=1_440), past) == (1_440, "grown")


def test_a_shorter_timetable_bites_at_once_too() -> None:
    assert after(ramp(steps=(10, 20, 50)), days(1_000)) == (50, "ceiling")


PAST = st.lists(st.tuples(st.integers(1, 2_000), st.integers(0, 100), st.booleans(), st.integers(1, 35)), max_size=20)


@given(PAST, st.integers(1, 500), st.sampled_from([1.0, 1.2, 1.5, 1.99]), st.sampled_from([1.5, 2.0]),
       st.integers(1, 3_000))
def test_no_history_breaks_the_guard_the_ceiling_or_the_floor(
    history: list[tuple[int, int, bool, int]], start: int, growth: float, guard: float, ceiling: int,
) -> None:
    which = ramp(start=start, growth=growth, guard=guard, ceiling=ceiling)
    past: list[PastStep] = []
    day = 0
    for base, percent, healthy, gap in history:
        day += gap
        past += days((base * percent // 100, base), healthy=healthy, first=day)
    now = (day + 1) * DAY
    found = allowance(which, past, now).value
    sending = [step for step in past if step.sent > 0][-7:]
    assert 1 <= found <= ceiling
    assert found <= start or found < guard * max(step.sent for step in sending)
    if all(step.healthy for step in past):
        assert found >= min(start, ceiling)
    behind = [step for step in past if step.sent > 0][-30:]
    assert found == allowance(which, behind, now).value or not sending
