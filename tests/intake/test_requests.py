import json
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.model import Customer, Priority
from dispatcher.core.times import parse_instant
from dispatcher.intake.requests import SendRequest, asks_the_same, parse_request
from dispatcher.intake.strict import RowFault

NOW = parse_instant("2026-03-01T12:00:00Z")
FULL = {
    "campaign": "delivery-delay-berlin", "customer": "c-1001", "data": {"order": "A-17"}, "key": "A-17",
    "priority": "normal", "not_before": "2026-03-01T08:00:00Z", "expires_at": "2026-03-02T08:00:00Z",
}


def parse(**values: Any) -> SendRequest:
    return parse_request({"campaign": "news", "customer": "c1"} | values, NOW)


def test_the_whole_request_is_read() -> None:
    request = parse_request(FULL, NOW)
    assert request == SendRequest(
        campaign="delivery-delay-berlin", customer_id="c-1001", customer_update=None,
        data_json='{"order":"A-17"}', key="A-17", priority=Priority.NORMAL,
        not_before=parse_instant("2026-03-01T08:00:00Z"),
        expires_at=parse_instant("2026-03-02T08:00:00Z"), digest=request.digest)
    assert len(request.digest) == 64


def test_what_is_left_out_or_null_has_its_default() -> None:
    request = parse()
    assert request == parse(data=None, key=None, priority=None, not_before=None, expires_at=None)
    assert (request.key, request.data_json, request.priority) == ("c1", "{}", None)
    assert (request.not_before, request.expires_at) == (None, None)


def test_a_customer_may_come_along_with_facts() -> None:
    request = parse(customer={"id": "c1", "plan": "pro"})
    assert request.customer_id == request.key == "c1"
    assert request.customer_update is not None
    assert request.customer_update.customer == Customer(id="c1", plan="pro")


REFUSED: list[tuple[str, object]] = [
    ("campaign", None), ("campaign", ""), ("campaign", "a b"), ("campaign", "../x"), ("campaign", 5),
    ("campaign", "x" * 65),
    ("customer", None), ("customer", ""), ("customer", 5), ("customer", ["c1"]), ("customer", "a\nb"),
    ("data", "x"), ("data", [1]), ("data", 0), ("data", {"x": "y" * 65_536}), ("data", {"x": "\ud800"}),
    ("data", {"x": float("nan")}), ("data", {"x": {1, 2}}),
    ("key", ""), ("key", "x" * 201), ("key", "a\x00"), ("key", 7),
    ("priority", "now"), ("priority", 1), ("priority", "Urgent"), ("priority", []),
    ("not_before", "2026-03-01"), ("not_before", "2026-03-01T08:00:00"), ("not_before", 5),
    ("expires_at", "9999-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_a_value_that_cannot_stand_is_refused_with_its_field(field: str, value: object) -> None:
    with pytest.raises(RowFault) as caught:
        parse(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("expires_at", ["2026-03-01T08:00:00Z", "2026-03-01T09:59:59+02:00"])
def test_a_request_that_could_never_be_sent_is_refused(expires_at: str) -> None:
    with pytest.raises(RowFault, match="expires_at: is not after not_before"):
        parse(not_before="2026-03-01T08:00:00Z", expires_at=expires_at)


def test_one_that_expired_already_is_taken_and_will_be_skipped() -> None:
    assert parse(expires_at="1999-01-01T00:00:00Z").expires_at == parse_instant("1999-01-01T00:00:00Z")


def test_a_fault_of_the_customer_names_its_field() -> None:
    with pytest.raises(RowFault) as caught:
        parse(customer={"id": "c1", "email": "nobody"})
    assert caught.value.field == "customer.email"
    with pytest.raises(RowFault, match=r"customer\.id: is missing"):
        parse(customer={})


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(RowFault, match="did you mean 'priority'"):
        parse(prioritty="high")


@pytest.mark.parametrize("other", [
    {"data": {"x": 1}}, {"priority": "high"}, {"priority": "urgent"}, {"not_before": "2026-03-01T08:00:00Z"},
    {"expires_at": "2026-03-01T08:00:00Z"},
])
def test_other_content_is_another_digest(other: dict[str, Any]) -> None:
    assert parse(**other).digest != parse().digest
    assert not asks_the_same(parse(), parse(**other).digest)
    assert not asks_the_same(parse(**other), parse().digest)
    assert asks_the_same(parse(**other), parse(**other).digest)


def test_a_plain_request_needs_no_digest_and_is_the_same_as_one_that_an_earlier_version_stored() -> None:
    assert parse().digest == parse(key="c1").digest == ""
    before = sha256(b'["news","c1","{}",null,null,null]').hexdigest()
    assert asks_the_same(parse(), "")
    assert asks_the_same(parse(), before)
    assert not asks_the_same(parse(customer="c2"), before)


def test_another_key_than_the_customer_s_has_a_digest_as_it_may_be_another_customer_s() -> None:
    assert "" != parse(key="k").digest != parse(key="k", customer="c2").digest


def test_the_digest_is_of_the_content_and_not_of_how_it_is_written() -> None:
    first = parse(data={"a": 1, "b": {"c": "ü"}}, not_before="2026-03-01T08:00:00Z")
    second = parse(data={"b": {"c": "ü"}, "a": 1}, not_before="2026-03-01T09:00:00.000+01:00", key="c1")
    third = parse(data=json.loads(first.data_json), not_before="2026-03-01T08:00:00Z",
                  customer={"id": "c1", "plan": "pro"})
    assert first.digest == second.digest == third.digest


ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                   lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


@given(st.dictionaries(st.sampled_from([*FULL, "x"]), ANY))
def test_any_object_is_parsed_or_refused_by_row_fault(values: dict[str, Any]) -> None:
    with suppress(RowFault):
        request = parse(**values)
        assert json.loads(request.data_json) == (values.get("data") or {})
