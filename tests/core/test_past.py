"""Imported days beside the dispatcher's own steps, as a ramp sees them."""

from support.timetables import at, days, ramp

from config.units import DAY
from dispatcher.core.past import day_of, imported_step, with_history
from dispatcher.core.ramp import PastStep, Why, allowance

UTC = ramp(timezone="UTC", hours="00:00-24:00")
HOURLY = ramp(timezone="UTC", hours="00:00-24:00", step="1h")
BERLIN = ramp()


def test_a_day_is_one_of_the_ramp_s_zone() -> None:
    assert imported_step("2026-03-29", 700, BERLIN) == PastStep(
        at("2026-03-28 23:00"), at("2026-03-29 22:00"), allowance=700, spent=700)     # 23 hours
    assert day_of(at("2026-03-28 23:30"), BERLIN) == "2026-03-29"


def test_without_imported_days_nothing_changes() -> None:
    assert with_history(days(100, 120), {}, UTC) == tuple(days(100, 120))


def test_an_established_sender_goes_on_from_what_it_sent() -> None:
    past = with_history([], {"1970-01-02": 4_000, "1970-01-03": 5_000}, UTC)
    assert [(step.start // DAY, step.allowance, step.sent, step.healthy, step.last_at) for step in past] == [
        (1, 4_000, 4_000, True, None), (2, 5_000, 5_000, True, None)]
    assert (allowance(UTC, past, 3 * DAY).value, allowance(UTC, past, 3 * DAY).why) == (6_000, Why.GROWN)
    assert allowance(UTC, past, 40 * DAY).why is Why.COLD


def test_what_was_sent_on_a_day_of_both_adds_up_and_the_greater_allowance_counts() -> None:
    own = days((80, 100), (150, 200))
    past = with_history(own, {"1970-01-01": 500, "1970-01-02": 50}, UTC)
    assert [(step.allowance, step.sent) for step in past] == [(500, 580), (200, 200)]


def test_days_stand_in_the_order_of_time_among_the_own_ones() -> None:
    past = with_history(days(100, first=5), {"1970-01-09": 30, "1970-01-02": 20}, UTC)
    assert [step.sent for step in past] == [20, 100, 30]


def test_shorter_steps_get_the_day_s_share_for_one_of_them() -> None:
    hour = DAY // 24
    assert imported_step("1970-01-02", 2_400, HOURLY) == PastStep(2 * DAY - hour, 2 * DAY, allowance=100, spent=100)
    own = [PastStep(DAY + number * hour, DAY + (number + 1) * hour, 60, 60) for number in (8, 9)]
    past = with_history(own, {"1970-01-02": 2_400, "1970-01-03": 23, "1970-01-04": 24}, HOURLY)
    assert [(step.start // hour, step.allowance, step.sent) for step in past] == [
        (32, 100, 160), (33, 100, 160), (4 * 24 - 1, 1, 1)]      # 23 in a day are none in an hour
