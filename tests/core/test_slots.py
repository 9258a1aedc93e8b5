"""A slot's size and the spread of a batch over it."""

from dataclasses import replace
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.timetables import at, ramp

from dispatcher.core.calendar import Slot, next_slot, slots_from
from dispatcher.core.ramp import (
    LEAD,
    Brakes,
    Limit,
    Size,
    late_size,
    look_on,
    release_size,
    slot_size,
    slot_with_share,
    start_times,
)

LANE = "support/gmail"


def slot(index: int = 0, count: int = 1, start: int = 0, length: int = 300_000) -> Slot:
    return Slot(0, 86_400_000, index, count, start, start + length)


def day(allowed: int, count: int, largest_batch: int = 1_000_000) -> list[int]:
    """The sizes of a step whose slots are all used."""
    sizes: list[int] = []
    for index in range(count):
        sizes.append(slot_size(allowed, slot(index, count), sum(sizes), largest_batch))
    return sizes


def test_100_messages_over_144_slots() -> None:
    assert day(100, 144) == [
        0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1,
    ] * 4
    assert sum(day(100, 144)) == 100


@pytest.mark.parametrize(("allowed", "count", "sizes"), [
    (10, 5, [2, 2, 2, 2, 2]),
    (10, 4, [2, 3, 2, 3]),
    (3, 5, [0, 1, 0, 1, 1]),
    (1, 5, [0, 0, 0, 0, 1]),
    (7, 1, [7]),
])
def test_the_shares_of_a_step(allowed: int, count: int, sizes: list[int]) -> None:
    assert day(allowed, count) == sizes


def test_what_a_largest_batch_cuts_off_is_not_made_up_for() -> None:
    assert day(10, 4, largest_batch=2) == [2, 2, 2, 2]


@pytest.mark.parametrize(("before", "now", "sizes"), [
    (8, 16, [2, 2, 4, 4]),      # raised in the middle of the step: the new rate from here on, nothing made up for
    (8, 8, [2, 2, 2, 2]),
    (8, 6, [2, 2, 1, 1]),       # lowered: the new rate, as far as the step has anything left
    (8, 4, [2, 2, 0, 0]),
    (8, 2, [2, 2, 0, 0]),
])
def test_a_rate_changed_in_the_middle_of_a_step_bites_at_the_next_slot(
    before: int, now: int, sizes: list[int],
) -> None:
    found: list[int] = []
    for index, allowed in enumerate((before, before, now, now)):
        found.append(slot_size(allowed, slot(index, 4), sum(found), 200))
    assert found == sizes


def test_a_cut_step_gets_its_share_only() -> None:
    which = ramp(step="8h", hours="00:00-24:00", every="1h")
    cut = [one for one in islice(slots_from(which, LANE, at("2026-10-25 22:00")), 3) if one.step_end == at(
        "2026-10-25 23:00")]
    assert [slot_size(80, one, 0, 200) for one in cut] == [10]


@given(st.integers(1, 50_000), st.integers(1, 2_000), st.integers(1, 50_000))
@settings(max_examples=50, deadline=None)
def test_the_slots_of_a_step_use_the_whole_allowance_and_never_more(
    allowed: int, count: int, largest_batch: int,
) -> None:
    assert sum(day(allowed, count)) == allowed
    assert max(day(allowed, count)) - min(day(allowed, count)) <= 1
    assert sum(day(allowed, count, largest_batch)) <= allowed


@pytest.mark.parametrize(("spent", "pending", "largest", "expected"), [
    (0, 0, 200, Size(50, Limit.ALLOWANCE)),
    (0, 0, 20, Size(20, Limit.LARGEST_BATCH)),
    (470, 0, 200, Size(30, Limit.SPENT)),
    (500, 0, 200, Size(0, Limit.SPENT)),
    (700, 0, 200, Size(0, Limit.SPENT)),            # the rate was lowered in the middle of the step
    (0, 15, 200, Size(35, Limit.PENDING)),
    (0, 15, 20, Size(5, Limit.PENDING)),
    (0, 80, 200, Size(0, Limit.PENDING)),
])
def test_a_release_names_what_keeps_it_from_more(spent: int, pending: int, largest: int, expected: Size) -> None:
    which, tenth = ramp(largest_batch=largest), slot(3, 10)
    assert release_size(which, 500, tenth, 0, spent, Brakes(pending)) == expected
    assert slot_size(500, tenth, spent, largest, pending) == expected.value


@pytest.mark.parametrize(("now", "size"), [
    (-60_000, 100), (0, 100), (30_000, 100),        # in time, and within the first tenth
    (30_001, 89), (150_000, 50), (299_000, 0), (297_000, 1), (300_000, 0), (900_000, 0),
])
def test_a_late_release_gets_the_rest_of_the_slot_only(now: int, size: int) -> None:
    assert late_size(100, slot(), now) == size


@pytest.mark.parametrize(("length", "still_full"), [(1_000, 500), (400, 200), (2_500, 1_000), (30_000, 3_000)])
def test_a_short_slot_has_a_quarter_of_a_second_to_be_released_in(length: int, still_full: int) -> None:
    assert late_size(1_000, slot(length=length), still_full) == 1_000
    assert late_size(1_000, slot(length=length), still_full + 1) < 1_000


def test_a_late_release_says_so() -> None:
    assert release_size(ramp(), 100, slot(), 150_000, 0) == Size(50, Limit.LATE)


def test_start_times_are_spread_evenly_over_what_remains_of_the_slot() -> None:
    assert start_times(slot(start=1_000, length=1_000), 4, 0) == [1_060, 1_295, 1_530, 1_765]
    assert start_times(slot(start=1_000, length=1_000), 3, 1_000) == [1_060, 1_373, 1_686]
    assert start_times(slot(start=1_000, length=1_000), 2, 1_600) == [1_640, 1_820]
    assert start_times(slot(start=1_000, length=1_000), 0, 1_000) == []
    assert start_times(slot(start=1_000, length=1_000), 2, 5_000) == [5_000, 5_000]


def test_the_first_message_has_time_to_be_prepared_and_the_last_a_gap_before_the_end() -> None:
    assert start_times(slot(), 1, 0) == [LEAD]
    assert start_times(slot(), 60, 0)[:2] == [LEAD, 4_999 + LEAD]
    assert start_times(slot(length=1_000), 40, 0)[::39] == [LEAD, LEAD + 940 * 39 // 40]
    assert start_times(slot(length=200), 4, 0) == [20, 65, 110, 155]


@given(st.integers(1, 5_000), st.integers(0, 1_200))
@settings(max_examples=50, deadline=None)
def test_gaps_between_start_times_differ_by_a_millisecond_at_most(size: int, now: int) -> None:
    times = start_times(slot(start=0, length=1_000), size, now)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == size
    assert times[0] - now == min(LEAD, max(1_000 - now, 0) // 10)
    assert times[-1] < 1_000 or now >= 1_000
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(st.integers(1, 400), st.integers(0, 143))
@settings(max_examples=60)
def test_no_slot_with_a_share_is_jumped_over(allowed: int, index: int) -> None:
    which = ramp()
    slots = list(islice(slots_from(which, LANE, at("2026-03-01 00:00")), 145))
    expected = next(
        (one for one in slots[index + 1:144] if slot_size(allowed, one, 0, 1_000) > 0), slots[144])
    assert next_slot(which, LANE, slot_with_share(which, allowed, slots[index])) == expected


@pytest.mark.parametrize(("allowed", "largest", "sizes"), [
    (100, 200, [0, 0, 0, 1] * 2),               # a slot of one message comes half as often, and is not lost
    (4_000, 200, [14, 14, 14, 14] * 2),         # 27 or 28 otherwise
    (40_000, 200, [100] * 8),                   # the largest batch binds: half of that
    (1, 200, [0] * 8),
])
def test_a_slow_lane_releases_half_over_its_slots(allowed: int, largest: int, sizes: list[int]) -> None:
    which = replace(ramp(), largest_batch=largest)
    found = [release_size(which, allowed, slot(index, 144), 0, 0, Brakes(share=0.5)) for index in range(8)]
    assert [abs(one.value - size) <= 1 for one, size in zip(found, sizes, strict=True)] == [True] * 8
    assert {one.limit for one in found} == {Limit.SLOW}
    whole = sum(release_size(which, allowed, slot(index, 144), 0, 0, Brakes(share=0.5)).value for index in range(144))
    assert whole == min(max(allowed // 2, 1), 144 * largest // 2)


def test_a_slow_lane_never_gets_more_than_its_step_has_left() -> None:
    assert release_size(ramp(), 4_000, slot(10, 144), 0, 3_995, Brakes(share=0.5)) == Size(5, Limit.SPENT)


def test_ten_a_minute_in_slots_of_a_second_are_one_each_sixth() -> None:
    which, brakes = ramp(every="1s"), Brakes(per_minute=10)
    found = [release_size(which, 86_400, slot(index, 43_200, length=1_000), 0, 0, brakes) for index in range(12)]
    assert [one.value for one in found] == [0, 0, 0, 0, 0, 1] * 2
    assert {one.limit for one in found} == {Limit.SLOW}


@pytest.mark.parametrize(("allowed", "share", "per_minute", "expected"), [
    (14_400, 1.0, 10, Size(50, Limit.SLOW)),            # of the slot's 100
    (14_400, 0.5, 10, Size(50, Limit.SLOW)),            # both come to the same
    (14_400, 0.2, 10, Size(20, Limit.SLOW)),            # the share is the smaller
    (1_440, 1.0, 10, Size(10, Limit.ALLOWANCE)),        # the allowance alone is slower than the rule
    (14_400, 1.0, 1_000, Size(100, Limit.ALLOWANCE)),
])
def test_a_rule_s_pace_is_a_bound_beside_the_others(
    allowed: int, share: float, per_minute: int, expected: Size
) -> None:
    brakes = Brakes(share=share, per_minute=per_minute)
    assert release_size(ramp(), allowed, slot(1, 144), 0, 0, brakes) == expected


def test_the_next_slot_with_a_share_under_a_rule_s_pace_is_found_at_once() -> None:
    which, brakes = ramp(every="1s"), Brakes(per_minute=1)
    first = slot(0, 43_200, length=1_000)
    assert look_on(which, 86_400, first, 0, brakes) == 59_000
    assert look_on(which, 86_400, first, 0, Brakes(share=0.5, per_minute=1)) == 59_000
    assert look_on(which, 86_400, first, 86_400, brakes) == first.step_end


@given(st.integers(1, 5_000), st.integers(1, 120), st.sampled_from(["1m", "2m", "5m"]))
@settings(deadline=None)
def test_a_rule_s_pace_starves_nobody_and_is_kept(allowed: int, per_minute: int, every: str) -> None:
    which, brakes = ramp(every=every), Brakes(per_minute=per_minute)
    count = 12 * 3_600_000 // which.every
    slots = [slot(index, count, length=which.every) for index in range(count)]
    whole = sum(release_size(which, allowed, one, 0, 0, brakes).value for one in slots)
    assert whole == min(allowed, per_minute * 720, which.largest_batch * count)
