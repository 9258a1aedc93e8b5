"""Whether a clock can be true."""

import pytest

from dispatcher.core.clocks import (
    Look,
    Parted,
    behind,
    comes_up_at,
    parted,
    put_in_words,
    ran_ahead,
    still_in_words,
)
from dispatcher.core.times import parse_instant

SEEN = parse_instant("2026-03-02T08:05:30Z")


@pytest.mark.parametrize(("now", "true"), [
    (SEEN, True), (SEEN + 86_400_000, True), (SEEN - 60_000, True), (SEEN - 60_001, False), (0, False),
])
def test_a_clock_may_say_a_minute_less_than_was_seen(now: int, true: bool) -> None:  # noqa: FBT001 -- a column of the table
    assert (behind(SEEN, now) == "") is true


@pytest.mark.parametrize(("now", "at"), [
    (SEEN - 3_600_000, SEEN - 60_000), (SEEN - 86_460_000, SEEN - 60_000), (SEEN - 86_460_001, None), (0, None),
])
def test_a_clock_that_is_behind_for_more_than_a_day_is_not_waited_for(now: int, at: int | None) -> None:
    assert comes_up_at(SEEN, now) == at


def test_a_new_store_has_seen_nothing() -> None:
    assert behind(0, 0) == ""


def test_the_line_says_what_both_say_and_what_to_do() -> None:
    assert behind(SEEN, 59_999) == ("the clock says 1970-01-01 00:00 UTC, but the store has seen 2026-03-02 08:05 UTC: "
                                    "set the clock; nothing is sent")


@pytest.mark.parametrize(("ahead", "why"), [
    (-1, ""), (300_000, ""), (300_001, "its last slot lies ahead, at 2026-03-02 08:10 UTC: the clock ran ahead then"),
])
def test_a_last_slot_beyond_the_present_one_was_released_by_a_clock_that_ran_ahead(ahead: int, why: str) -> None:
    assert ran_ahead(SEEN + ahead, 300_000, SEEN) == why


@pytest.mark.parametrize(("wall", "passed", "found"), [
    (1_000, 1_000, Parted()),
    (1_400, 1_400, Parted()),                       # a loop that was busy
    (3_000, 1_000, Parted()), (-1_000, 1_000, Parted()),
    (3_001, 1_000, Parted(put=2_001)), (-1_001, 1_000, Parted(put=-2_001)),
    (2_000, 2_000, Parted()), (2_001, 2_001, Parted(still=1_001)),
    (60_000, 60_000, Parted(still=59_000)),
    (-50_000, 10_000, Parted(put=-60_000, still=9_000)),
])
def test_two_clocks_that_part_were_put_and_a_look_that_is_late_stood_still(
    wall: int, passed: int, found: Parted,
) -> None:
    assert parted(Look(5_000, 7_000), Look(5_000 + wall, 7_000 + passed), 1_000) == found


def test_time_that_was_lost_is_told_in_words() -> None:
    assert [put_in_words(10_800_000), put_in_words(-40_000), still_in_words(4_000)] == [
        "forward by 3 h", "back by 40 s", "for 4 s"]
