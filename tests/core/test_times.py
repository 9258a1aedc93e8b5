"""Instants as text, local times across changes of clocks, quiet hours."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.timetables import at

from dispatcher.core.times import (
    LAST_INSTANT,
    format_instant,
    local_date,
    local_to_instant,
    parse_instant,
    parse_instant_or_date,
    quiet_until,
)

ZONES = (
    "UTC", "Europe/Berlin", "America/Havana", "Asia/Beirut", "America/St_Johns", "Australia/Lord_Howe",
    "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca", "America/Santiago", "Africa/Monrovia",
)


@pytest.mark.parametrize(("text", "instant"), [
    ("1970-01-01T00:00:00Z", 0),
    ("2026-03-01T08:00:00Z", 1_772_352_000_000),
    ("2026-03-01t08:00:00z", 1_772_352_000_000),
    ("2026-03-01 08:00:00Z", 1_772_352_000_000),
    ("2026-03-01T09:00:00+01:00", 1_772_352_000_000),
    ("2026-02-28T23:30:00-08:30", 1_772_352_000_000),
    ("2026-03-01T08:00:00.5Z", 1_772_352_000_500),
    ("2026-03-01T08:00:00.250999999Z", 1_772_352_000_250),
    ("1969-12-31T23:00:00-01:00", 0),
    ("9998-12-31T23:59:59.999Z", LAST_INSTANT),
])
def test_an_instant_is_read_with_its_zone(text: str, instant: int) -> None:
    assert parse_instant(text) == instant
    assert parse_instant_or_date(text) == instant


@pytest.mark.parametrize(("text", "complaint"), [
    ("", "is no instant"),
    ("2026-03-01", "is no instant"),
    ("2026-03-01T08:00:00", "is no instant"),
    ("2026-03-01T08:00Z", "is no instant"),
    ("2026-03-01T24:00:00Z", "is no instant"),
    ("2026-03-01T08:00:60Z", "is no instant"),
    ("2026-03-01T08:00:00,5Z", "is no instant"),
    ("2026-03-01T08:00:00Z ", "is no instant"),
    ("2026-03-01T08:00:00Z\n", "is no instant"),
    ("2026-03-01T08:00:00+0100", "is no instant"),
    ("2026-03-01T08:00:00+24:00", "is no instant"),
    ("20260301T080000Z", "is no instant"),
    ("2026-W09-7T08:00:00Z", "is no instant"),
    ("２０２６-03-01T08:00:00Z", "is no instant"),  # noqa: RUF001 -- digits of another script are the point
    ("1772352000", "is no instant"),
    ("2026-02-29T08:00:00Z", "names a day that does not exist"),
    ("0000-01-01T00:00:00Z", "names a day that does not exist"),
    ("1969-12-31T23:59:59Z", "lies outside the years 1970 to 9998"),
    ("0001-01-01T00:00:00+14:00", "lies outside the years 1970 to 9998"),
    ("9999-01-01T00:00:00Z", "lies outside the years 1970 to 9998"),
    ("9999-12-31T23:59:59-14:00", "lies outside the years 1970 to 9998"),
])
def test_anything_else_is_refused_with_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_instant(text)


def test_a_bare_date_is_its_midnight_in_utc_where_dates_are_allowed() -> None:
    assert parse_instant_or_date("2026-03-01") == at("2026-03-01 00:00")
    with pytest.raises(ValueError, match="names a day that does not exist"):
        parse_instant_or_date("2026-02-30")
    with pytest.raises(ValueError, match="is neither a date"):
        parse_instant_or_date("1 March 2026")


@pytest.mark.parametrize(("instant", "text"), [
    (0, "1970-01-01T00:00:00Z"),
    (1_772_352_000_000, "2026-03-01T08:00:00Z"),
    (1_772_352_000_050, "2026-03-01T08:00:00.050Z"),
])
def test_an_instant_is_written_in_utc_with_milliseconds_only_where_there_are_any(instant: int, text: str) -> None:
    assert format_instant(instant) == text


@given(st.integers(0, LAST_INSTANT))
def test_what_is_written_reads_back(instant: int) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(st.datetimes(datetime(1970, 1, 2), datetime(9998, 12, 30)),  # noqa: DTZ001 -- hypothesis wants bounds without zone
       st.integers(-1439, 1439))
def test_an_offset_names_the_same_instant_as_utc(moment: datetime, minutes: int) -> None:
    sign = "-" if minutes < 0 else "+"
    offset = f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    there = parse_instant(moment.isoformat(timespec="milliseconds") + offset)
    assert there == parse_instant(moment.isoformat(timespec="milliseconds") + "Z") - minutes * 60_000


@pytest.mark.parametrize(("day", "minutes", "zone", "instant"), [
    # an ordinary day
    (date(2026, 3, 1), 480, "Europe/Berlin", "2026-03-01 07:00"),
    (date(2026, 3, 1), 1440, "Europe/Berlin", "2026-03-01 23:00"),
    # 29 March, 02:00 to 03:00 do not exist: all of them are the change of clocks
    (date(2026, 3, 29), 119, "Europe/Berlin", "2026-03-29 00:59"),
    (date(2026, 3, 29), 120, "Europe/Berlin", "2026-03-29 01:00"),
    (date(2026, 3, 29), 150, "Europe/Berlin", "2026-03-29 01:00"),
    (date(2026, 3, 29), 180, "Europe/Berlin", "2026-03-29 01:00"),
    (date(2026, 3, 29), 181, "Europe/Berlin", "2026-03-29 01:01"),
    # 25 October, 02:00 to 03:00 come twice: the first ones
    (date(2026, 10, 25), 120, "Europe/Berlin", "2026-10-25 00:00"),
    (date(2026, 10, 25), 179, "Europe/Berlin", "2026-10-25 00:59"),
    (date(2026, 10, 25), 180, "Europe/Berlin", "2026-10-25 02:00"),
    # midnight itself does not exist, or comes twice
    (date(2026, 3, 8), 0, "America/Havana", "2026-03-08 05:00"),
    (date(2026, 3, 7), 1440, "America/Havana", "2026-03-08 05:00"),
    (date(2026, 11, 1), 0, "America/Havana", "2026-11-01 04:00"),
    (date(2026, 3, 29), 0, "Asia/Beirut", "2026-03-28 22:00"),
    # half an hour of difference; a date that does not exist at all
    (date(2026, 10, 4), 135, "Australia/Lord_Howe", "2026-10-03 15:30"),
    (date(2011, 12, 30), 0, "Pacific/Apia", "2011-12-30 10:00"),
    (date(2011, 12, 30), 720, "Pacific/Apia", "2011-12-30 10:00"),
    (date(2011, 12, 31), 0, "Pacific/Apia", "2011-12-30 10:00"),
])
def test_a_local_time_is_the_first_instant_at_which_clocks_have_come_to_it(
    day: date, minutes: int, zone: str, instant: str,
) -> None:
    assert format_instant(local_to_instant(day, minutes, zone)) == format_instant(at(instant))


@given(st.sampled_from(ZONES), st.dates(date(1970, 1, 2), date(2100, 1, 1)),
       st.integers(0, 1440), st.integers(0, 1440))
@example("Pacific/Apia", date(2011, 12, 30), 0, 1440)
@example("America/St_Johns", date(2006, 10, 29), 0, 1)
def test_of_two_local_times_the_later_never_names_the_earlier_instant(
    zone: str, day: date, one: int, other: int,
) -> None:
    first, second = sorted((one, other))
    start, end = local_to_instant(day, first, zone), local_to_instant(day, second, zone)
    assert start <= end
    assert end <= local_to_instant(day + timedelta(days=1), 0, zone)
    assert local_to_instant(day, 1440, zone) == local_to_instant(day + timedelta(days=1), 0, zone)


def test_the_date_of_an_instant_is_the_one_that_clocks_show() -> None:
    assert local_date(at("2026-03-01 23:30"), "Europe/Berlin") == date(2026, 3, 2)
    assert local_date(at("2026-03-01 23:30"), "UTC") == datetime(2026, 3, 1, tzinfo=UTC).date()


@pytest.mark.parametrize(("now", "until"), [
    ("2026-03-01 20:59:59", None),
    ("2026-03-01 21:00", "2026-03-02 08:00"),
    ("2026-03-01 23:59:59", "2026-03-02 08:00"),
    ("2026-03-02 00:00", "2026-03-02 08:00"),
    ("2026-03-02 07:59:59", "2026-03-02 08:00"),
    ("2026-03-02 08:00", None),
    ("2026-03-02 12:00", None),
])
def test_quiet_hours_pass_midnight(now: str, until: str | None) -> None:
    assert quiet_until(at(now), (21 * 60, 8 * 60), "UTC") == (at(until) if until else None)


@pytest.mark.parametrize(("now", "until"), [
    ("2026-03-01 11:59:59", None),
    ("2026-03-01 12:00", "2026-03-01 14:00"),
    ("2026-03-01 14:00", None),
])
def test_quiet_hours_lie_within_a_day(now: str, until: str | None) -> None:
    assert quiet_until(at(now), (13 * 60, 15 * 60), "Europe/Berlin") == (at(until) if until else None)


def test_quiet_hours_end_by_the_customers_clock_on_the_days_when_it_changes() -> None:
    assert quiet_until(at("2026-03-28 22:00"), (21 * 60, 8 * 60), "Europe/Berlin") == at("2026-03-29 06:00")
    assert quiet_until(at("2026-10-24 22:00"), (21 * 60, 8 * 60), "Europe/Berlin") == at("2026-10-25 07:00")


def test_quiet_hours_that_the_change_of_clocks_leaves_out_are_none() -> None:
    assert quiet_until(at("2026-03-29 01:00"), (120, 180), "Europe/Berlin") is None
