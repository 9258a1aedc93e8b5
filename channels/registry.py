"""The channels by the name that a sender's `channel` key gives them."""

from collections.abc import Callable, Mapping
from typing import Final

from channels.contract import Channel
from channels.email import EmailOptions, build_email_channel

BUILDERS: Final[Mapping[str, Callable[[EmailOptions], Channel]]] = {"email": build_email_channel}


def builder_of(name: str) -> Callable[[EmailOptions], Channel]:
    """What builds a channel; ValueError names those that there are."""
    try:
        return BUILDERS[name]
    except KeyError:
        raise ValueError(f"no channel is called {name!r}; there is: {', '.join(BUILDERS)}") from None
