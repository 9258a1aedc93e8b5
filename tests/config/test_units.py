import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.units import DAY, format_duration, parse_duration, parse_hours, parse_weekdays


@pytest.mark.parametrize(("text", "milliseconds"), [
    ("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("12h", 43_200_000), ("30d", 30 * DAY), ("0s", 0),
])
def test_a_duration_is_a_whole_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "+5m", "5.5m", "5M", "5w", "1h30m", "٣m", "5m\n",
                                  "1_000s", "9999999999d"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="whole number and a unit"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=999_999_999))
def test_a_duration_is_read_back_as_it_was_written(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(("text", "minutes"), [
    ("08:00-20:00", (480, 1200)), ("00:00-24:00", (0, 1440)), ("21:00-08:00", (1260, 480)),
    ("23:59-24:00", (1439, 1440)),
])
def test_hours_are_minutes_since_midnight(text: str, minutes: tuple[int, int]) -> None:
    assert parse_hours(text) == minutes


@pytest.mark.parametrize("text", ["", "8-20", "8:00-20:00", "08:00-20:60", "24:00-08:00", "08:00-24:01", "08:00-08:00",
                                  "08:00 - 20:00", "08:00-20:00\n", "99:99-99:99"])
def test_anything_else_is_no_hours(text: str) -> None:
    with pytest.raises(ValueError, match="are no hours"):
        parse_hours(text)


@pytest.mark.parametrize(("text", "days"), [
    ("mon-sun", {0, 1, 2, 3, 4, 5, 6}), ("mon-fri", {0, 1, 2, 3, 4}), ("mon,wed,sat-sun", {0, 2, 5, 6}), ("sun", {6}),
    ("fri-mon", {4, 5, 6, 0}), ("Mon, Tue", {0, 1}),
])
def test_weekdays_are_numbered_from_monday(text: str, days: set[int]) -> None:
    assert parse_weekdays(text) == days


@pytest.mark.parametrize("text", ["", "monday", "mon-", "-fri", "mon,,tue", "mon-fri-sun", "0"])
def test_anything_else_is_no_weekdays(text: str) -> None:
    with pytest.raises(ValueError, match="are no weekdays"):
        parse_weekdays(text)
