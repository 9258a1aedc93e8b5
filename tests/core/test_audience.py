"""Who may get a message now: tables. NOW is 2026-03-01T12:00:00Z, a Sunday."""

from dataclasses import replace

import pytest

from config.units import DAY, MILLISECONDS
from dispatcher.core.audience import (
    CLOCK_SKEW,
    Candidate,
    Cap,
    Rules,
    Send,
    Skip,
    Wait,
    as_owed,
    is_active,
    is_stale,
    last_activity,
    verdict,
)
from dispatcher.core.lanes import Route
from dispatcher.core.model import Campaign, Category, Customer, SkipReason
from dispatcher.core.times import parse_instant

NOW = parse_instant("2026-03-01T12:00:00Z")
HOUR = MILLISECONDS["h"]
RULES = Rules(active_within=30 * DAY, activity=("product", "order", "support"))
ROUTE = Route("DE", 0, "support/other", "support", "a@x.example")
SERVICE = Campaign(id="c", category=Category.SERVICE, senders=("support",))
ACTIVE = Customer("a", email="a@x.example", last_product_at=NOW - 2 * DAY)
CANDIDATE = Candidate(campaign=SERVICE, customer=ACTIVE, route=ROUTE)


def asked(candidate=CANDIDATE, rules=RULES, now=NOW, **changes):
    return verdict(replace(candidate, **changes), rules, now)


def test_an_active_customer_of_a_segment_gets_it():
    assert asked() == Send()


@pytest.mark.parametrize(("age", "active"), [
    (0, True),
    (30 * DAY, True),                  # to the millisecond
    (30 * DAY + 1, False),
    (-CLOCK_SKEW, True),               # another machine's clock runs ahead
    (-CLOCK_SKEW - 1, False),          # an activity in the future is none
])
def test_active_is_some_counted_activity_within_the_time(age, active):
    for kind in ("product", "order", "support"):
        customer = Customer("a", **{f"last_{kind}_at": NOW - age})
        assert is_active(customer, RULES, NOW) is active


def test_only_counted_kinds_count():
    customer = Customer("a", last_support_at=NOW - DAY, last_order_at=NOW - 90 * DAY)
    assert is_active(customer, RULES, NOW)
    assert not is_active(customer, replace(RULES, activity=("product", "order")), NOW)
    assert last_activity(customer, ("order",), NOW) == NOW - 90 * DAY
    assert last_activity(Customer("b"), ("order",), NOW) is None


@pytest.mark.parametrize(("facts_at", "stale"), [(None, True), (NOW - 7 * DAY, False), (NOW - 7 * DAY - 1, True)])
def test_old_facts_are_stale(facts_at, stale):
    assert is_stale(facts_at, 7 * DAY, NOW) is stale


PROMOTIONAL = replace(SERVICE, category=Category.PROMOTIONAL)
CONSENTING = replace(ACTIVE, consent=frozenset({"promotional"}))


@pytest.mark.parametrize(("changes", "reason"), [
    ({"canceled": True}, "canceled"),
    ({"expires_at": NOW}, "expired"),
    ({"superseded": True}, "superseded"),
    ({"customer": None}, "unknown_customer"),
    ({"route": Route()}, "no_segment"),
    ({"route": Route("DE", 0)}, "no_address"),
    ({"suppressed": "bounce"}, "suppressed"),
    ({"suppressed": "unsubscribe"}, "unsubscribed"),
    ({"campaign": PROMOTIONAL}, "no_consent"),
    ({"customer": Customer("a", email="a@x.example")}, "inactive"),
])
def test_each_reason_to_skip(changes, reason):
    assert asked(**changes) == Skip(SkipReason(reason))


def test_the_order_of_reasons_is_the_order_of_questions():
    changes = {"canceled": True, "expires_at": NOW - 1, "superseded": True, "customer": None, "suppressed": "bounce"}
    assert asked(**changes) == Skip(SkipReason.CANCELED)
    assert asked(suppressed="bounce", route=Route()) == Skip(SkipReason.NO_SEGMENT)


def test_promotion_needs_consent_and_the_others_do_not():
    assert asked(campaign=PROMOTIONAL, customer=CONSENTING) == Send()
    assert asked(campaign=replace(SERVICE, category=Category.CRITICAL)) == Send()


def test_a_campaign_for_everyone_goes_to_inactive_customers_too():
    everyone = replace(SERVICE, category=Category.CRITICAL, everyone=True, reason="recall")
    assert asked(campaign=everyone, customer=Customer("a", email="a@x.example")) == Send()


@pytest.mark.parametrize(("contacts", "capped"), [
    ((), False),
    ((NOW - HOUR,), False),
    ((NOW - HOUR, NOW - 2 * HOUR), True),
    ((NOW - HOUR, NOW - DAY), False),         # the second is out of the window, to the millisecond
    ((NOW - HOUR, NOW - DAY + 1), True),
])
def test_a_category_is_capped_per_customer(contacts, capped):
    rules = replace(RULES, caps={Category.SERVICE: Cap(2, DAY)})
    assert asked(rules=rules, contacts=contacts) == (Skip(SkipReason.CAPPED) if capped else Send())
    assert asked(rules=replace(RULES, caps={Category.PROMOTIONAL: Cap(1, DAY)}), contacts=contacts) == Send()


CLOSING = replace(SERVICE, incident="flood", sequence=9, closes=True)
CAPPED = replace(RULES, caps={Category.SERVICE: Cap(1, DAY)})


@pytest.mark.parametrize(("campaign", "informed", "changes", "expected"), [
    (CLOSING, True, {"customer": Customer("a", email="a@x.example"), "contacts": (NOW - HOUR,)}, Send()),
    (CLOSING, False, {"customer": Customer("a", email="a@x.example")}, Skip(SkipReason.INACTIVE)),
    (CLOSING, False, {"contacts": (NOW - HOUR,)}, Skip(SkipReason.CAPPED)),
    (replace(CLOSING, closes=False), True, {"contacts": (NOW - HOUR,)}, Skip(SkipReason.CAPPED)),
    (CLOSING, True, {"suppressed": "bounce"}, Skip(SkipReason.SUPPRESSED)),
    (CLOSING, True, {"suppressed": "unsubscribe"}, Skip(SkipReason.UNSUBSCRIBED)),
    (CLOSING, True, {"canceled": True}, Skip(SkipReason.CANCELED)),
    (CLOSING, True, {"expires_at": NOW}, Skip(SkipReason.EXPIRED)),
    (CLOSING, True, {"route": Route("DE", 0)}, Skip(SkipReason.NO_ADDRESS)),
    (replace(CLOSING, category=Category.PROMOTIONAL), True, {}, Skip(SkipReason.NO_CONSENT)),
])
def test_who_was_told_that_it_began_is_told_that_it_is_over(campaign, informed, changes, expected):
    assert asked(campaign=campaign, informed=informed, rules=CAPPED, **changes) == expected


def test_the_last_word_keeps_to_quiet_hours():
    asleep = replace(ACTIVE, timezone="Asia/Tokyo")
    assert asked(campaign=CLOSING, informed=True, customer=asleep, rules=NIGHT) == \
        Wait(parse_instant("2026-03-01T23:00:00Z"))


def test_for_whom_it_is_owed_to_a_campaign_has_no_where():
    narrow = replace(CLOSING, where={"plan": ("pro",)})
    assert as_owed(narrow, informed=True).where == {}
    assert as_owed(narrow, informed=False) is narrow
    assert as_owed(replace(narrow, closes=False), informed=True).where == {"plan": ("pro",)}
    assert as_owed(CLOSING, informed=True) is CLOSING


NIGHT = replace(RULES, quiet_hours=(21 * 60, 8 * 60))


@pytest.mark.parametrize(("timezone", "verdict_then"), [
    ("UTC", Send()),
    ("", Send()),                                                        # the default zone
    ("America/Los_Angeles", Wait(parse_instant("2026-03-01T16:00:00Z"))),   # 04:00 there
    ("Asia/Tokyo", Wait(parse_instant("2026-03-01T23:00:00Z"))),            # 21:00 there
    ("Asia/Kolkata", Send()),                                            # 17:30
])
def test_quiet_hours_are_the_customers_own(timezone, verdict_then):
    assert asked(rules=NIGHT, customer=replace(ACTIVE, timezone=timezone)) == verdict_then


def test_what_would_expire_in_the_quiet_hours_is_closed_at_once():
    asleep = replace(ACTIVE, timezone="Asia/Tokyo")
    end = parse_instant("2026-03-01T23:00:00Z")
    assert asked(rules=NIGHT, customer=asleep, expires_at=end) == Skip(SkipReason.EXPIRED)
    assert asked(rules=NIGHT, customer=asleep, expires_at=end + 1) == Wait(end)


def test_what_is_critical_knows_no_quiet_hours():
    critical = replace(SERVICE, category=Category.CRITICAL)
    assert asked(rules=NIGHT, campaign=critical, customer=replace(ACTIVE, timezone="Asia/Tokyo")) == Send()
