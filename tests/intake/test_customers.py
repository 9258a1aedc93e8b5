from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.model import Customer
from dispatcher.core.times import format_instant, parse_instant
from dispatcher.intake.customers import CustomerUpdate, merge, parse_customer
from dispatcher.intake.strict import RowFault

NOW = parse_instant("2026-03-01T12:00:00Z")
MINUTE = 60_000


def parse(**values: Any) -> CustomerUpdate:
    return parse_customer({"id": "c1"} | values, NOW)


def test_a_whole_row_becomes_a_customer() -> None:
    update = parse_customer({
        "id": "c1", "email": "Jo.O'Neil@EXAMPLE.org", "phone": "+49 30 901820", "name": " O'Neil {{7*7}} <script> ",
        "locale": "de-DE", "timezone": "Europe/Berlin", "location": "DE/Berlin", "plan": "pro", "engagement": "high",
        "last_product_at": "2026-02-28", "last_order_at": "2026-02-27T10:00:00+01:00",
        "last_support_at": "2026-02-26T10:00:00Z", "consent": "promotional, service", "vip": "yes",
    }, NOW)
    assert update.customer == Customer(
        id="c1", email="Jo.O'Neil@example.org", phone="+4930901820", name="O'Neil {{7*7}} <script>", locale="de-DE",
        timezone="Europe/Berlin", location="DE/Berlin", plan="pro", engagement="high",
        last_product_at=parse_instant("2026-02-28T00:00:00Z"), last_order_at=parse_instant("2026-02-27T09:00:00Z"),
        last_support_at=parse_instant("2026-02-26T10:00:00Z"), consent=frozenset({"promotional", "service"}),
        attributes={"vip": "yes"},
    )
    assert update.given == {
        "id", "email", "phone", "name", "locale", "timezone", "location", "plan", "engagement", "last_product_at",
        "last_order_at", "last_support_at", "consent", "attributes"}
    assert update.warnings == ()


def test_an_international_domain_is_stored_as_a_label() -> None:
    assert parse(email="user@exämple.org").customer.email == "user@xn--exmple-cua.org"


REFUSED: list[tuple[str, object]] = [
    ("id", ""), ("id", " c"), ("id", "x" * 201), ("id", 7), ("id", None), ("id", "a\nb"),
    ("email", "a@b.example,c@d.example"), ("email", "<@x:a@b.example>"), ("email", "<>"), ("email", "not an address"),
    ("email", "x" * 400), ("email", "x" * 400 + "@mail.example"), ("email", "x" * 65 + "@mail.example"),
    ("email", "a@localhost"), ("email", "a@[127.0.0.1]"), ("email", "a@mail.example\r\nBcc: b@mail.example"),
    ("email", "a\x00@mail.example"), ("email", "a@mail.example\n"), ("email", 5),
    ("phone", "00441234"), ("phone", "CALL-ME"), ("phone", "+1800FLOWERS"), ("phone", "+49"),
    ("phone", "+999123456789"), ("phone", "+4930901820;ext=5"), ("phone", 4930901820),
    ("name", "a\rb"), ("name", "a\nb"), ("name", "a\x00b"), ("name", "a\u2028b"), ("name", "a\ud800b"),
    ("name", "x" * 501), ("name", ["x"]), ("name", 1), ("locale", "a\nb"), ("plan", "a\tb"), ("engagement", {}),
    ("timezone", "Mars/Olympus"), ("timezone", "Europe"), ("timezone", "../etc/passwd"), ("timezone", "/etc/passwd"),
    ("timezone", "localtime"), ("timezone", "x" * 400), ("timezone", "right/UTC"),
    ("location", "/DE"), ("location", "DE/"), ("location", "DE//Berlin"), ("location", "DE/ Berlin"),
    ("last_product_at", "2026-02-01T08:00:00"), ("last_order_at", "yesterday"), ("last_support_at", "2026-02-30"),
    ("last_active_at", "9999-12-31T23:59:59Z"), ("last_active_at", 1_700_000_000),
    ("consent", "marketing"), ("consent", ["promotional", "x"]), ("consent", [1]), ("consent", {"a": 1}),
    ("consent", True), ("consent", ["none"]),
    ("vip", {"a": 1}), ("vip", [1]), ("vip", "x" * 1001), ("vip", "a\nb"), ("vip", "\udfff"),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_a_value_that_cannot_stand_is_refused_with_its_field_and_not_repeated(field: str, value: object) -> None:
    with pytest.raises(RowFault) as caught:
        parse(**{field: value})
    assert caught.value.field == field
    assert caught.value.reason
    assert "\n" not in str(caught.value)
    assert not isinstance(value, str) or len(value) < 10 or value not in str(caught.value)


def test_a_row_without_an_id_is_refused() -> None:
    with pytest.raises(RowFault, match="id: is missing"):
        parse_customer({"email": "a@mail.example"}, NOW)


@pytest.mark.parametrize("name", ["ID", "Email", "LAST_ACTIVE_AT"])
def test_a_field_written_in_capitals_is_not_taken_for_an_attribute(name: str) -> None:
    with pytest.raises(RowFault, match=f"is written {name.lower()}"):
        parse(**{name: "x"})


@pytest.mark.parametrize("name", ["a b", "ä", "", "x" * 65, "a/b", "a\nb"])
def test_an_attribute_needs_a_plain_name(name: str) -> None:
    for value in ("x", None):
        with pytest.raises(RowFault) as caught:
            parse(**{name: value})
        assert "\n" not in str(caught.value)


def test_at_most_a_hundred_attributes() -> None:
    assert len(parse(**{f"a{n}": "x" for n in range(100)}).customer.attributes) == 100
    with pytest.raises(RowFault, match="101; at most 100"):
        parse(**{f"a{n}": "x" if n % 2 else None for n in range(101)})


def test_plain_values_of_attributes_become_text() -> None:
    assert parse(n=3, f=1.5, t=True, no=False, s=" x ").customer.attributes == {
        "n": "3", "f": "1.5", "t": "true", "no": "false", "s": "x"}


@pytest.mark.parametrize(("value", "consent"), [
    ("promotional", {"promotional"}), ("service promotional", {"service", "promotional"}),
    ("critical;service|promotional", {"critical", "service", "promotional"}), (" ,service, ", {"service"}),
    ("none", set()), (["promotional"], {"promotional"}), ([], set()), (None, set()),
])
def test_consent_is_a_list_or_words(value: object, consent: set[str]) -> None:
    update = parse(consent=value)
    assert update.customer.consent == consent
    assert "consent" in update.given


@pytest.mark.parametrize("ahead", [-MINUTE, 0, 5 * MINUTE])
def test_activity_up_to_a_clock_s_error_ahead_is_taken(ahead: int) -> None:
    update = parse(last_order_at=format_instant(NOW + ahead))
    assert update.customer.last_order_at == NOW + ahead
    assert update.warnings == ()


@pytest.mark.parametrize("at", [format_instant(NOW + 5 * MINUTE + 1), "2026-03-02", "9998-01-01"])
def test_activity_in_the_future_is_not_taken_and_reported(at: str) -> None:
    update = parse(last_order_at=at, plan="pro")
    assert update.customer == Customer(id="c1", plan="pro")
    assert "last_order_at" not in update.given
    assert update.warnings == ("last_order_at: lies in the future, so it does not count as activity",)


def test_last_active_at_counts_as_product_and_the_later_of_the_two_stands() -> None:
    assert parse(last_active_at="2026-02-01").customer.last_product_at == parse_instant("2026-02-01T00:00:00Z")
    both = {"last_active_at": "2026-02-01", "last_product_at": "2026-01-01"}
    assert parse(**both).customer == parse(**dict(reversed(both.items()))).customer
    assert parse(**both).customer.last_product_at == parse_instant("2026-02-01T00:00:00Z")


STORED = Customer(id="c1", email="a@mail.example", name="A", plan="pro", last_order_at=5_000,
                  consent=frozenset({"promotional"}), attributes={"vip": "yes", "size": "L"})


def test_what_a_row_does_not_name_stays() -> None:
    assert merge(STORED, parse()) == STORED
    assert merge(STORED, parse(name="B")).name == "B"
    assert merge(STORED, parse(name="B")).email == "a@mail.example"


def test_null_clears_a_field_and_removes_an_attribute_and_leaves_activity_alone() -> None:
    merged = merge(STORED, parse(name=None, email=None, consent=None, vip=None, last_order_at=None, new="n"))
    assert merged == Customer(id="c1", plan="pro", last_order_at=5_000, attributes={"size": "L", "new": "n"})


def test_a_new_customer_is_what_the_row_gives() -> None:
    assert merge(None, parse(name="B", vip=None)) == Customer(id="c1", name="B")


TIMES = st.none() | st.integers(0, NOW // 1000).map(lambda second: second * 1000)
TEXTS = st.sampled_from(["", "x", "y"])
ATTRIBUTES = st.dictionaries(st.sampled_from("abc"), TEXTS)
CUSTOMERS = st.builds(
    Customer, id=st.just("c1"), name=TEXTS, plan=TEXTS, location=TEXTS, last_product_at=TIMES, last_order_at=TIMES,
    last_support_at=TIMES, consent=st.frozensets(st.sampled_from(["promotional", "service"])), attributes=ATTRIBUTES)
ACTIVITY = ("last_product_at", "last_order_at", "last_support_at")
ROWS = st.fixed_dictionaries({}, optional={
    "name": st.none() | TEXTS, "plan": TEXTS, "location": st.none() | TEXTS,
    "a": st.none() | TEXTS, "b": st.none() | TEXTS,
    "consent": st.none() | st.lists(st.sampled_from(["promotional", "service"])),
} | {field: st.sampled_from(["2026-02-01", "1999-01-01T00:00:00Z", "2026-03-01", "2040-01-01"])
     for field in (*ACTIVITY, "last_active_at")})


@given(st.none() | CUSTOMERS, ROWS)
def test_merging_twice_is_merging_once(stored: Customer | None, row: dict[str, Any]) -> None:
    update = parse(**row)
    once = merge(stored, update)
    assert merge(once, update) == once


@given(CUSTOMERS, st.lists(ROWS, max_size=4))
def test_activity_never_moves_backwards_nor_into_the_future(stored: Customer, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        merged = merge(stored, parse(**row))
        for field in ACTIVITY:
            before, after = getattr(stored, field), getattr(merged, field)
            assert before is None or after >= before
            assert after is None or after <= NOW
        stored = merged


@given(st.lists(ROWS, min_size=2, max_size=2))
def test_activity_does_not_depend_on_the_order_of_rows(rows: list[dict[str, Any]]) -> None:
    first, second = (parse(**row) for row in rows)
    one, other = merge(merge(None, first), second), merge(merge(None, second), first)
    assert [getattr(one, field) for field in ACTIVITY] == [getattr(other, field) for field in ACTIVITY]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
FIELDS = st.sampled_from(["id", "email", "phone", "timezone", "location", "consent", "last_active_at", "plan"])


@given(st.dictionaries(FIELDS | st.text(), JSON))
def test_any_row_is_parsed_or_refused_by_row_fault(values: dict[str, Any]) -> None:
    with suppress(RowFault):
        assert parse_customer(values, NOW).customer.id
