"""Trying a campaign's words before anyone gets them: every segment, against a customer of that segment."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final, cast

from dispatcher.content.faults import MessageFault, TemplateFault, TemplateFaults
from dispatcher.content.skeleton import SenderIdentity, prepare
from dispatcher.content.standin import StandIn
from dispatcher.content.values import CUSTOMER_FIELDS
from dispatcher.core.model import Campaign, Customer, Message

_SAMPLE_URL: Final = "https://notify.example/u/sample"
_SAMPLE_EMAIL: Final = "sample.customer@example.org"
_SAMPLE_TIME: Final = 1_767_225_600_000     # 2026-01-01T00:00:00Z


class _AnyAttribute(dict[str, str]):
    """The attributes of a customer that nobody has seen: all there are, except what looks like a misspelt field."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or not get_close_matches(str(name), CUSTOMER_FIELDS, 1, 0.75)

    def __missing__(self, name: str) -> str:
        return f"\u2039customer.{name}\u203a"


def sample_customer(campaign: Campaign, segment: str) -> Customer:
    """An invented customer of this segment with every field filled, for a segment that has no real one."""
    value = {"*": "sample"}.get(segment, segment)
    sample = Customer(
        id="sample", email=_SAMPLE_EMAIL, phone="+4930123456", name="Sam Sample", locale="en",
        timezone="Europe/Berlin", location="DE/Berlin", plan="pro", engagement="high", last_product_at=_SAMPLE_TIME,
        last_order_at=_SAMPLE_TIME, last_support_at=_SAMPLE_TIME, consent=frozenset({"promotional"}),
        attributes=_AnyAttribute(),
    )
    if campaign.segment_by in {"location", "plan", "engagement"}:
        return replace(sample, **{campaign.segment_by: value})  # type: ignore[arg-type] # texts all
    if campaign.segment_by:
        sample.attributes[campaign.segment_by] = value  # type: ignore[index] # the dict made above
    return sample


def sample_message(campaign: Campaign, segment: str, data: Mapping[str, Any] | None, now: int) -> Message:
    """A message of this segment as if released now; without data, a stand-in that has whatever a template asks for."""
    return Message(
        id=0, campaign=campaign.id, key="sample", customer="sample", segment=segment, rank=0, priority=2, lane="",
        data=data if data is not None else cast("Mapping[str, Any]", StandIn("data")), expires_at=None,
        version=campaign.version, released_at=now,
    )


def check_campaign(
    campaign: Campaign, sender: SenderIdentity, samples: Mapping[str, Customer], now: int, *,
    unsubscribable: bool = False,
) -> list[TemplateFault]:
    """Everything wrong with the words of every segment, each once; empty when all can be sent.

    `samples` has a real customer by segment where there is one. The producer's data is the campaign's own sample;
    where it gives none, a stand-in. `now` is the instant that the words see as theirs.
    """
    found: dict[TemplateFault, None] = {}
    for segment in campaign.segments:
        customer = samples.get(segment) or sample_customer(campaign, segment)
        customer = customer if customer.email else replace(customer, email=_SAMPLE_EMAIL)
        message = sample_message(campaign, segment, campaign.sample or None, now)
        found.update(dict.fromkeys(_faults(campaign, message, sender, customer, unsubscribable=unsubscribable)))
    return list(found)


def _faults(
    campaign: Campaign, message: Message, sender: SenderIdentity, customer: Customer, *, unsubscribable: bool,
) -> Iterator[TemplateFault]:
    try:
        skeleton = prepare(campaign, message.segment, sender, unsubscribable=unsubscribable)
        skeleton.fill(message, customer, _SAMPLE_URL if unsubscribable else "")
    except TemplateFaults as error:
        yield from error.faults
    except MessageFault as error:
        if not campaign.sample and error.fault is not None and error.fault.place.endswith("reply_to"):
            return      # an address made of the producer's data cannot be judged without it
        yield error.fault or TemplateFault("email", 0, f"segment {message.segment}: {error.reason}")
