from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.times import parse_instant
from dispatcher.intake.activity import Activity, Kind, parse_activity
from dispatcher.intake.strict import RowFault

NOW = parse_instant("2026-03-01T12:00:00Z")
GOOD = {"customer": "c1", "kind": "order", "at": "2026-02-01T08:00:00+01:00"}


@pytest.mark.parametrize(("kind", "at", "instant"), [
    ("product", "2026-02-01", "2026-02-01T00:00:00Z"),
    ("order", "2026-02-01T08:00:00+01:00", "2026-02-01T07:00:00Z"),
    ("support", "2026-03-01T12:05:00Z", "2026-03-01T12:05:00Z"),
])
def test_a_row_becomes_an_activity(kind: str, at: str, instant: str) -> None:
    assert parse_activity(GOOD | {"kind": kind, "at": at}, NOW) == Activity("c1", Kind(kind), parse_instant(instant))


@pytest.mark.parametrize(("field", "value"), [
    ("customer", ""), ("customer", 5), ("customer", "a\nb"),
    ("kind", "login"), ("kind", "Order"), ("kind", None), ("kind", ["order"]),
    ("at", "2026-02-01T08:00:00"), ("at", "2026-03-01T12:05:01Z"), ("at", "9999-01-01"), ("at", 1_700_000_000),
    ("at", None),
])
def test_a_value_that_cannot_stand_is_refused_with_its_field(field: str, value: object) -> None:
    with pytest.raises(RowFault) as caught:
        parse_activity(GOOD | {field: value}, NOW)
    assert caught.value.field == field


@pytest.mark.parametrize("missing", GOOD)
def test_all_three_columns_are_needed(missing: str) -> None:
    with pytest.raises(RowFault, match=f"{missing}: is missing"):
        parse_activity({name: value for name, value in GOOD.items() if name != missing}, NOW)


def test_another_column_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(RowFault, match="did you mean 'customer'"):
        parse_activity(GOOD | {"customer_id": "c1"}, NOW)


@given(st.dictionaries(st.sampled_from([*GOOD, "x"]), st.none() | st.text() | st.integers() | st.just("order")))
def test_any_row_is_parsed_or_refused_by_row_fault(values: dict[str, Any]) -> None:
    with suppress(RowFault):
        assert parse_activity(values, NOW).customer
