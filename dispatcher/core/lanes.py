"""Which way a message goes: the sender, the address, the provider behind it, and so the lane.

The campaign's senders are tried in its order of preference; the first whose kind of address the customer has is it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from config.faults import nearest
from dispatcher.core.model import Campaign, Customer, Lane
from dispatcher.core.segments import segment_of

ProviderOf = Callable[[str], str]
"""The provider of a mail domain; a pure look-up in a table that was loaded before."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message goes; its empty fields say what is missing."""

    segment: str = ""      # "": the campaign has no segment for this customer
    rank: int = 0
    lane: str = ""         # "": the customer has no address that any sender could use
    sender: str = ""
    address: str = ""


def address_for(channel: str, customer: Customer) -> str:
    """The customer's address on a channel, "" when there is none."""
    return customer.email if channel == "email" else ""


def lane_of(sender: str, channel: str, address: str, provider_of: ProviderOf) -> Lane:
    """The lane of an address for a sender."""
    return Lane(sender, provider_of(address.rpartition("@")[2]) if channel == "email" else "other")


def wrong_lane(lane: str, senders: Collection[str], providers: Collection[str]) -> str:
    """Why no message could ever stand in a lane of this name; "" where one could, though none may have come yet."""
    sender, slash, provider = lane.partition("/")
    if not slash:
        return "is no lane; write SENDER/PROVIDER, such as support/gmail"
    if sender not in senders:
        return f"its sender is not configured{nearest(sender, senders)}; the senders are {', '.join(senders)}"
    if provider not in providers:
        return f"its provider is not known{nearest(provider, providers)}; the providers are {', '.join(providers)}"
    return ""


def route(campaign: Campaign, customer: Customer, channels: Mapping[str, str], provider_of: ProviderOf) -> Route:
    """Segment, sender and lane of a campaign's message to a customer.

    `channels` gives the channel of every configured sender; a sender that is not configured is passed over.
    """
    found = segment_of(campaign, customer)
    if found is None:
        return Route()
    segment, rank = found
    for sender in campaign.senders:
        channel = channels.get(sender, "")
        address = address_for(channel, customer)
        if address and channel in campaign.words:
            return Route(segment, rank, str(lane_of(sender, channel, address, provider_of)), sender, address)
    return Route(segment, rank)
