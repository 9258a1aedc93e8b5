"""Which segment a customer falls into: tables."""

import pytest

from dispatcher.core.model import Campaign, Category, Customer
from dispatcher.core.segments import belongs, covers, field_of, match, segment_of


def campaign(by, segments, where=None):
    return Campaign(id="c", category=Category.SERVICE, senders=("s",), segment_by=by, segments=segments,
                    where=where or {})


@pytest.mark.parametrize(("location", "path", "holds"), [
    ("DE", "DE", True),
    ("DE", "DE/Berlin", True),
    ("DE/Berlin", "DE/Berlin/Mitte", True),
    ("DE", "DEU", False),
    ("DE/Berlin", "DE", False),
])
def test_a_location_covers_its_sub_tree(location, path, holds):
    assert covers(location, path) is holds


@pytest.mark.parametrize(("value", "segments", "by_path", "found"), [
    ("DE/Berlin", ("DE/Hamburg", "DE"), True, ("DE", 1)),
    ("DE/Hamburg/Altona", ("DE/Hamburg", "DE"), True, ("DE/Hamburg", 0)),
    ("DE/Hamburg", ("DE", "DE/Hamburg"), True, ("DE/Hamburg", 1)),     # the most exact one, whatever its rank
    ("FR/Paris", ("DE", "*"), True, ("*", 1)),
    ("FR/Paris", ("DE",), True, None),
    ("", ("DE", "*"), True, ("*", 1)),
    ("", ("DE",), True, None),
    ("pro", ("pro", "team"), False, ("pro", 0)),
    ("pro/x", ("pro",), False, None),                                  # only locations are paths
    ("*", ("*",), False, ("*", 0)),
])
def test_the_segment_of_a_value(value, segments, by_path, found):
    assert match(value, segments, by_path=by_path) == found


def test_a_customer_outside_the_audience_has_no_segment():
    meant = campaign("location", ("DE",), {"plan": ("pro", "team")})
    assert segment_of(meant, Customer("a", location="DE", plan="pro")) == ("DE", 0)
    assert segment_of(meant, Customer("b", location="DE", plan="free")) is None


def test_without_segment_by_everyone_is_in_one_segment():
    assert segment_of(campaign("", ("*",)), Customer("a")) == ("*", 0)


@pytest.mark.parametrize(("where", "customer", "holds"), [
    ({}, Customer("a"), True),
    ({"location": ("DE",)}, Customer("a", location="DE/Berlin"), True),
    ({"location": ("DE",)}, Customer("a", location="FR"), False),
    ({"location": ("DE",)}, Customer("a"), False),
    ({"tier": ("gold",)}, Customer("a", attributes={"tier": "gold"}), True),
    ({"tier": ("gold",)}, Customer("a"), False),
    ({"plan": ("pro",), "engagement": ("high",)}, Customer("a", plan="pro", engagement="low"), False),
])
def test_an_audience_is_all_its_fields_together(where, customer, holds):
    assert belongs(where, customer) is holds


def test_a_field_is_a_fixed_one_or_an_attribute():
    customer = Customer("a", plan="pro", attributes={"plan": "other", "tier": "gold"})
    assert (field_of(customer, "plan"), field_of(customer, "tier"), field_of(customer, "none")) == ("pro", "gold", "")
