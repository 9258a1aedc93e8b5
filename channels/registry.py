"""The channels by the name that a sender's `channel` key gives them."""

from collections.abc import Callable, Mapping
from typing import Final

from channels.contract import Channel
from channels.direct import build_direct_channel
from channels.email import EmailOptions, build_email_channel


def build_email(options: EmailOptions) -> Channel:
    """By way of a relay, or straight to the recipients' servers, as the sender's server says."""
    return build_direct_channel(options) if options.server.direct else build_email_channel(options)


BUILDERS: Final[Mapping[str, Callable[[EmailOptions], Channel]]] = {"email": build_email}


def builder_of(name: str) -> Callable[[EmailOptions], Channel]:
    """What builds a channel; ValueError names those that there are."""
    try:
        return BUILDERS[name]
    except KeyError:
        raise ValueError(f"no channel is called {name!r}; there is: {', '.join(BUILDERS)}") from None
