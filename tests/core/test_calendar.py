"""Steps, windows and slots of real zones, as timetables; and what holds for every ramp."""

from itertools import islice, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.timetables import at, ramp

from config.ramps import Ramp
from config.units import format_duration, parse_duration
from dispatcher.core.calendar import Slot, coming_slot, next_slot, slot_at, slot_offset, slots_from, step_at
from dispatcher.core.times import format_instant

HOUR = 3_600_000
LANE = "support/gmail"


def steps(which: Ramp, first: str, last: str) -> list[tuple[str, str, str, str, int]]:
    """The steps from one instant to another: start, length, opening time, length of the window, slots."""
    rows, instant = [], at(first)
    while instant < at(last):
        step = step_at(which, instant)
        rows.append((format_instant(step.start)[:16], format_duration(step.end - step.start),
                     format_instant(step.opens)[11:16], format_duration(step.closes - step.opens), step.count))
        instant = step.end
    return rows


def starts(slots: list[Slot]) -> list[str]:
    return [format_instant(slot.start)[:16] for slot in slots]


def test_a_day_of_144_slots() -> None:
    day = list(islice(slots_from(ramp(), LANE, at("2026-03-01 00:00")), 145))
    assert {slot.count for slot in day} == {144}
    assert [slot.index for slot in day[:144]] == list(range(144))
    assert starts(day[:3]) == ["2026-03-01T07:00", "2026-03-01T07:05", "2026-03-01T07:10"]
    assert starts(day[143:]) == ["2026-03-01T18:55", "2026-03-02T07:00"]
    assert day[143].end == at("2026-03-01 19:00")


def test_the_days_when_clocks_change_in_berlin_have_23_and_25_hours_and_the_window_follows_the_clock() -> None:
    assert steps(ramp(), "2026-03-27 23:00", "2026-03-30 22:00") == [
        ("2026-03-27T23:00", "1d", "07:00", "12h", 144),
        ("2026-03-28T23:00", "23h", "06:00", "12h", 144),
        ("2026-03-29T22:00", "1d", "06:00", "12h", 144),
    ]
    assert steps(ramp(), "2026-10-23 22:00", "2026-10-26 23:00") == [
        ("2026-10-23T22:00", "1d", "06:00", "12h", 144),
        ("2026-10-24T22:00", "25h", "07:00", "12h", 144),
        ("2026-10-25T23:00", "1d", "07:00", "12h", 144),
    ]


@pytest.mark.parametrize(("hours", "march", "october"), [
    ("00:00-24:00", ("23h", 23), ("25h", 25)),
    ("01:00-04:00", ("2h", 2), ("4h", 4)),
    ("02:00-03:00", ("0s", 0), ("2h", 2)),
    ("01:30-02:45", ("30m", 0), ("75m", 1)),
])
def test_a_window_over_the_change_of_clocks_holds_the_time_that_really_passes(
    hours: str, march: tuple[str, int], october: tuple[str, int],
) -> None:
    which = ramp(hours=hours, every="1h")
    assert steps(which, "2026-03-29 00:00", "2026-03-29 01:00")[0][3:] == march
    assert steps(which, "2026-10-25 00:00", "2026-10-25 01:00")[0][3:] == october


def test_a_day_whose_window_the_change_of_clocks_takes_away_is_passed_over() -> None:
    assert starts(list(islice(slots_from(ramp(hours="02:00-03:00", every="1h"), LANE, at("2026-03-28 00:00")), 3))) == [
        "2026-03-28T01:00", "2026-03-30T00:00", "2026-03-31T00:00",
    ]


@pytest.mark.parametrize(("zone", "first", "last", "table"), [
    ("America/Havana", "2026-03-07 05:00", "2026-03-10 04:00", [
        ("2026-03-07T05:00", "1d", "05:00", "1d", 24),
        ("2026-03-08T05:00", "23h", "05:00", "23h", 23),     # 00:00 does not exist: the day starts at 01:00
        ("2026-03-09T04:00", "1d", "04:00", "1d", 24),
    ]),
    ("America/Havana", "2026-10-31 04:00", "2026-11-02 05:00", [
        ("2026-10-31T04:00", "1d", "04:00", "1d", 24),
        ("2026-11-01T04:00", "25h", "04:00", "25h", 25),     # 00:00 comes twice: the day starts at the first
    ]),
    ("Asia/Beirut", "2026-03-27 22:00", "2026-03-29 21:00", [
        ("2026-03-27T22:00", "1d", "22:00", "1d", 24),
        ("2026-03-28T22:00", "23h", "22:00", "23h", 23),
    ]),
    ("Asia/Beirut", "2026-10-23 21:00", "2026-10-25 22:00", [
        ("2026-10-23T21:00", "25h", "21:00", "25h", 25),     # 23:00 comes twice
        ("2026-10-24T22:00", "1d", "22:00", "1d", 24),
    ]),
    ("America/St_Johns", "2006-10-28 02:30", "2006-10-30 03:30", [
        ("2006-10-28T02:30", "1d", "02:30", "1d", 24),
        ("2006-10-29T02:30", "25h", "02:30", "25h", 25),     # back from 00:01 to 23:01: the date was the day before's
    ]),
    ("Pacific/Apia", "2011-12-29 10:00", "2011-12-31 10:00", [
        ("2011-12-29T10:00", "1d", "10:00", "1d", 24),       # 30 December did not exist
        ("2011-12-30T10:00", "1d", "10:00", "1d", 24),
    ]),
])
def test_days_of_zones_that_change_their_clocks_at_midnight(
    zone: str, first: str, last: str, table: list[tuple[str, str, str, str, int]],
) -> None:
    assert steps(ramp(timezone=zone, hours="00:00-24:00", every="1h"), first, last) == table


def test_short_steps_divide_the_day_and_the_last_of_a_long_or_short_day_is_cut() -> None:
    which = ramp(step="8h", hours="00:00-24:00", every="1h")
    assert steps(which, "2026-03-28 23:00", "2026-03-29 22:00") == [
        ("2026-03-28T23:00", "8h", "23:00", "8h", 8),
        ("2026-03-29T07:00", "8h", "07:00", "8h", 8),
        ("2026-03-29T15:00", "7h", "15:00", "7h", 8),
    ]
    assert steps(which, "2026-10-25 14:00", "2026-10-25 23:00") == [
        ("2026-10-25T14:00", "8h", "14:00", "8h", 8),
        ("2026-10-25T22:00", "1h", "22:00", "1h", 8),
    ]
    cut = list(islice(slots_from(which, LANE, at("2026-10-25 21:00")), 3))
    assert [(slot.index, slot.count) for slot in cut] == [(7, 8), (0, 8), (0, 8)]
    assert starts(cut) == ["2026-10-25T21:00", "2026-10-25T22:00", "2026-10-25T23:00"]
    assert next_slot(which, LANE, at("2026-10-25 22:00:01")) == cut[2]


def test_weekdays_without_a_window_are_passed_over() -> None:
    daily = ramp(weekdays="mon-fri", hours="08:00-20:00", every="6h", timezone="UTC")
    assert starts(list(islice(slots_from(daily, LANE, at("2026-03-06 08:00")), 4))) == [
        "2026-03-06T08:00", "2026-03-06T14:00", "2026-03-09T08:00", "2026-03-09T14:00",
    ]
    short = ramp(weekdays="wed", step="1s", every="1s", hours="00:00-24:00", timezone="UTC")
    assert starts([next_slot(short, LANE, at("2026-03-05 00:00:01"))]) == ["2026-03-11T00:00"]
    assert slot_at(short, LANE, at("2026-03-05 00:00:01")) is None


def test_a_window_that_is_no_whole_number_of_slots_leaves_its_rest_unused() -> None:
    which = ramp(hours="08:00-10:30", every="1h", timezone="UTC", offset="10m")
    slots = list(islice(slots_from(which, LANE, at("2026-03-01 00:00")), 3))
    assert starts(slots) == ["2026-03-01T08:10", "2026-03-01T09:10", "2026-03-02T08:10"]
    assert slot_at(which, LANE, at("2026-03-01 10:10")) is None


def test_an_offset_cuts_the_last_slot_at_the_windows_end() -> None:
    which = ramp(hours="08:00-10:00", every="1h", timezone="UTC", offset="30m")
    first, second = islice(slots_from(which, LANE, at("2026-03-01 00:00")), 2)
    assert (first.end - first.start, second.end - second.start) == (HOUR, HOUR // 2)
    assert slot_at(which, LANE, at("2026-03-01 08:29")) is None
    assert slot_at(which, LANE, at("2026-03-01 08:30")) == first
    assert slot_at(which, LANE, at("2026-03-01 09:29:59")) == first
    assert slot_at(which, LANE, at("2026-03-01 09:59:59")) == second
    assert slot_at(which, LANE, at("2026-03-01 10:00")) is None


def test_the_coming_slot_is_the_one_under_way_until_it_has_been_released() -> None:
    which, now = ramp(timezone="UTC"), at("2026-03-01 08:07")
    assert starts([coming_slot(which, LANE, now, 0)]) == ["2026-03-01T08:05"]
    assert starts([coming_slot(which, LANE, now, at("2026-03-01 08:05"))]) == ["2026-03-01T08:05"]
    assert starts([coming_slot(which, LANE, now, at("2026-03-01 08:10"))]) == ["2026-03-01T08:10"]
    assert starts([coming_slot(which, LANE, at("2026-03-01 07:00"), 0)]) == ["2026-03-01T08:00"]


def test_no_slot_comes_before_the_last_released_one_has_ended_whatever_clock_and_settings_do() -> None:
    which, now = ramp(timezone="UTC"), at("2026-03-01 08:07")
    assert starts([coming_slot(which, LANE, now, at("2026-03-01 09:10"))]) == ["2026-03-01T09:10"]    # clock put back
    assert starts([coming_slot(which, LANE, now, at("2026-03-01 08:06"))]) == ["2026-03-01T08:10"]    # slots moved


def test_a_ramp_without_any_slot_is_refused_and_not_searched_for_ever() -> None:
    with pytest.raises(ValueError, match="support/gmail has no slot"):
        next_slot(ramp(every="13h"), LANE, at("2026-03-01 00:00"))


def test_automatic_offsets_of_5_minute_slots_lie_between_5_and_30_seconds_and_differ_by_lane() -> None:
    offsets = [slot_offset(ramp(offset="auto"), f"support/{number}") for number in range(500)]
    assert min(offsets) >= 5_000
    assert max(offsets) <= 30_000
    assert len(set(offsets)) > 450
    assert slot_offset(ramp(offset="auto"), LANE) == 7_858
    hourly = [slot_offset(ramp(offset="auto", every="1h"), f"support/{number}") for number in range(500)]
    assert {offset // 60_000 for offset in hourly} == {0, 1, 2, 3, 4, 5}
    assert slot_offset(ramp(offset="7s"), LANE) == 7_000


@given(st.text(max_size=20), st.integers(1, 86_400_000))
@example("a", 9)
@example("a", 10)
@example("a", 600_000)
@example("a", 599_999)
def test_an_automatic_offset_is_at_most_a_tenth_of_the_slot_and_off_the_round_minute(lane: str, every: int) -> None:
    which = ramp(offset="auto", every=f"{every}ms")
    offset = slot_offset(which, lane)
    assert offset == slot_offset(which, lane)
    assert 0 < offset <= every // 10 or offset == every // 10 == 0
    if every >= parse_duration("5m"):
        assert 5_000 <= offset % 60_000 <= 55_000


ZONES = st.sampled_from([
    "UTC", "Europe/Berlin", "America/Havana", "Asia/Beirut", "America/St_Johns", "Australia/Lord_Howe",
    "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca", "America/Santiago",
])
CHANGES = ("2026-03-29 00:30", "2026-10-25 00:30", "2026-03-08 05:00", "2026-11-01 04:30", "2011-12-30 10:00",
           "2006-10-29 02:31", "2026-10-03 15:30")
INSTANTS = st.one_of(
    st.integers(at("1990-01-01 00:00"), at("2060-01-01 00:00")),
    st.builds(lambda near, by: at(near) + by, st.sampled_from(CHANGES), st.integers(-30 * HOUR, 30 * HOUR)),
)


@st.composite
def ramps(draw: st.DrawFn) -> Ramp:
    every = draw(st.sampled_from(["20s", "5m", "7m", "1h", "100m"]))
    offset = draw(st.sampled_from(["auto", "0s", "10s"]))
    weekdays = draw(st.sampled_from(["mon-sun", "mon-fri", "sun"]))
    if draw(st.booleans()):
        hours = draw(st.sampled_from(["00:00-24:00", "08:00-20:00", "00:00-02:30", "01:30-04:00", "22:00-24:00"]))
        return ramp(every=every, offset=offset, weekdays=weekdays, hours=hours, timezone=draw(ZONES))
    return ramp(every=every, offset=offset, weekdays=weekdays, hours="00:00-24:00", timezone=draw(ZONES),
                step=draw(st.sampled_from(["2h", "8h", "12h"])))


@settings(max_examples=150)
@given(ramps(), INSTANTS)
def test_slots_follow_one_another_without_overlap_and_stay_in_the_window_of_their_step(
    which: Ramp, instant: int,
) -> None:
    slots = list(islice(slots_from(which, LANE, instant), 40))
    assert slots[0].start >= instant
    for slot in slots:
        step = step_at(which, slot.start)
        assert (step.start, step.end, step.count) == (slot.step_start, slot.step_end, slot.count)
        assert step.start <= step.opens <= slot.start < slot.end <= step.closes <= step.end
        assert 0 <= slot.index < slot.count
        assert slot.end - slot.start <= which.every
        assert slot_at(which, LANE, slot.start) == slot_at(which, LANE, slot.end - 1) == slot
    for slot, following in pairwise(slots):
        assert slot.end <= following.start
        assert next_slot(which, LANE, slot.start + 1) == following


@settings(max_examples=150)
@given(ramps(), INSTANTS)
def test_steps_follow_one_another_without_gap(which: Ramp, instant: int) -> None:
    step = step_at(which, instant)
    assert step.start <= instant < step.end
    assert step_at(which, step.start) == step_at(which, step.end - 1) == step
    assert step_at(which, step.end).start == step.end
    assert step_at(which, step.start - 1).end == step.start
