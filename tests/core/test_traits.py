"""Customers who are alike in what acceptance looks at get the same answer as the one who stands for them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core import audience
from dispatcher.core.audience import CLOCK_SKEW, Candidate, Rules
from dispatcher.core.lanes import route
from dispatcher.core.model import Campaign, Category, Customer, Words
from dispatcher.core.segments import field_of
from dispatcher.core.traits import Sight, Traits, sight_of, stand_in

DAY = 86_400_000
NOW = 1_000 * DAY
RULES = Rules(active_within=30 * DAY, activity=("order", "support"))
QUIET = Rules(active_within=30 * DAY, activity=("order",), quiet_hours=(21 * 60, 8 * 60))


def campaign(**changes: Any) -> Campaign:
    return Campaign(**{"id": "c", "category": Category.SERVICE, "senders": ("support",), "words": {"email": Words()}}
                    | changes)


@pytest.mark.parametrize(("changes", "rules", "sight"), [
    ({}, RULES, Sight(("order", "support"))),
    ({"where": {"plan": ("pro",), "colour": ("red",)}, "segment_by": "plan"}, RULES,
     Sight(("order", "support"), ("colour", "plan"))),
    ({"category": Category.PROMOTIONAL}, RULES, Sight(("order", "support"), consent=True)),
    ({}, QUIET, Sight(("order",), timezone=True)),
    ({"category": Category.CRITICAL}, QUIET, Sight(("order",))),
    ({"incident": "flood", "sequence": 2}, RULES, Sight(("order", "support"), incident=True)),
    ({"incident": "flood", "sequence": 2, "closes": True}, RULES,
     Sight(("order", "support"), incident=True, closes=True)),
    ({"closes": True}, RULES, Sight(("order", "support"))),
])
def test_what_is_looked_at_is_what_the_answer_may_depend_on(changes: Any, rules: Rules, sight: Sight) -> None:
    assert sight_of(campaign(**changes), rules) == sight


SIGHT = Sight(("order", "support"), ("colour", "location", "size"))


@pytest.mark.parametrize(("traits", "customer"), [
    (Traits(known=False), None),
    (Traits(fields=("", "", "")), Customer("")),
    (Traits("@acme.example", active=True, fields=("red", "DE/Berlin", "")),
     Customer("", email="someone@acme.example", location="DE/Berlin", last_order_at=NOW, attributes={"colour": "red"})),
    (Traits("O'Neil@acme.example", consent=frozenset({"promotional"}), timezone="Asia/Tokyo", fields=("", "", "l")),
     Customer("", email="O'Neil@acme.example", timezone="Asia/Tokyo", consent=frozenset({"promotional"}),
              attributes={"size": "l"})),
])
def test_who_stands_for_them_has_their_traits_and_nothing_else(traits: Traits, customer: Customer | None) -> None:
    assert stand_in(traits, SIGHT, NOW) == customer


EDGE = NOW - 30 * DAY
NEAR = st.none() | st.sampled_from([EDGE - DAY, EDGE - 1, EDGE, NOW - DAY, NOW, NOW + CLOCK_SKEW, NOW + CLOCK_SKEW + 1])


@given(NEAR, NEAR, NEAR)
def test_active_is_who_has_counted_activity_in_the_window(product: Any, order: Any, support: Any) -> None:
    since, until = audience.window(RULES, NOW)
    counted = any(at is not None and since <= at <= until for at in (order, support))
    one = Customer("c", last_product_at=product, last_order_at=order, last_support_at=support)
    assert audience.is_active(one, RULES, NOW) == counted


CHANNELS = {"support": "email"}


PEOPLE = st.builds(
    Customer, id=st.just("c"), name=st.just("Ann"), plan=st.just("pro"), last_order_at=NEAR,
    email=st.sampled_from(["", "a@mail.example", "b@mail.example"]), location=st.sampled_from(["", "DE/Berlin", "FR"]),
    attributes=st.sampled_from([{}, {"colour": "red"}, {"colour": "blue"}]),
    consent=st.sampled_from([frozenset(), frozenset({"promotional"})]),
    timezone=st.sampled_from(["", "Asia/Tokyo", "Europe/Berlin"]),
)


@given(PEOPLE, st.sampled_from(list(Category)), st.none() | st.sampled_from([NOW, NOW + DAY // 8, NOW + DAY]))
def test_the_answer_is_the_same_as_for_each_of_them(one: Customer, category: Category, ends: int | None) -> None:
    meant = campaign(category=category, where={"colour": ("red", "")}, segment_by="location", segments=("DE", "*"))
    sight = sight_of(meant, QUIET)
    traits = Traits("@mail.example" if one.email else "", audience.is_active(one, QUIET, NOW), consent=one.consent,
                    timezone=one.timezone, fields=tuple(field_of(one, name) for name in sight.fields))

    def answer(customer: Customer | None) -> Any:
        assert customer is not None
        way = route(meant, customer, CHANNELS, lambda _domain: "other")
        verdict = audience.verdict(Candidate(meant, customer, way, expires_at=ends), QUIET, NOW)
        return way.segment, way.rank, way.lane, verdict

    assert answer(stand_in(traits, sight, NOW)) == answer(one)
