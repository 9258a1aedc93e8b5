"""Which way a message goes."""

import pytest

from dispatcher.core.lanes import Route, route, wrong_lane
from dispatcher.core.model import Campaign, Category, Customer, Lane, Words

CHANNELS = {"support": "email", "news": "email", "texts": "sms"}


def provider_of(domain):
    return {"gmail.com": "gmail"}.get(domain, "other")


def way(customer, senders=("support",), segments=("*",)):
    campaign = Campaign(id="c", category=Category.SERVICE, senders=senders, segment_by="location", segments=segments,
                        words={"email": Words("s", "t")})
    return route(campaign, customer, CHANNELS, provider_of)


def test_a_lane_is_sender_and_provider():
    found = way(Customer("a", email="x@gmail.com"))
    assert found == Route("*", 0, "support/gmail", "support", "x@gmail.com")
    assert str(Lane("support", "gmail")) == "support/gmail"


def test_the_first_sender_whose_address_the_customer_has_is_it():
    assert way(Customer("a", email="x@y.example"), ("texts", "news", "support")).lane == "news/other"
    assert way(Customer("a", email="x@y.example"), ("gone", "support")).lane == "support/other"


def test_without_an_address_there_is_a_segment_but_no_lane():
    assert way(Customer("a", location="DE"), segments=("DE",)) == Route("DE", 0)


def test_without_a_segment_there_is_nothing():
    assert way(Customer("a", email="x@y.example", location="FR"), segments=("DE",)) == Route()


@pytest.mark.parametrize(("lane", "problem"), [
    ("support/gmail", ""),
    ("news/other", ""),
    ("gmail", "is no lane; write SENDER/PROVIDER, such as support/gmail"),
    ("suport/gmail", 'its sender is not configured (did you mean "support"?); the senders are support, news'),
    ("support/gmial", 'its provider is not known (did you mean "gmail"?); the providers are gmail, other'),
    ("support/", "its provider is not known; the providers are gmail, other"),
])
def test_a_lane_that_could_never_be_is_told_from_one_that_is_empty_so_far(lane, problem):
    assert wrong_lane(lane, ["support", "news"], ["gmail", "other"]) == problem
