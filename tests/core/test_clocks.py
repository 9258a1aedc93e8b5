"""Whether a clock can be true."""

import pytest

from dispatcher.core.clocks import behind, comes_up_at, ran_ahead
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
