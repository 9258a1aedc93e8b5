"""The contract of every channel: an envelope in, an outcome out; an outcome is a value, never an exception.

A channel owns connections, credentials and timeouts. It knows nothing of customers, campaigns, ramps or the store,
and it decides nothing about trying again: it says what happened, and how sure that is.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Result(StrEnum):
    """What became of one attempt (product.md, section 2)."""

    ACCEPTED = "accepted"    # the receiving server has taken it over
    DEFERRED = "deferred"    # surely not sent; try again
    REJECTED = "rejected"    # surely not sent; never again
    IN_DOUBT = "in_doubt"    # sent perhaps


class Trouble(StrEnum):
    """What an outcome says beyond its own message: about the address, the lane or the sender's set-up."""

    NONE = "none"
    BAD_ADDRESS = "bad_address"      # 5.1.x: the mailbox does not exist; suppress it
    UNREACHABLE = "unreachable"      # refused, no DNS, no banner: the lane waits, its batch goes back
    BUSY = "busy"                    # 421: the server asks for less
    SETUP = "setup"                  # TLS, certificate or credentials: hold the lane until a person has looked


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt."""

    result: Result
    code: str = ""              # "250", "550 5.1.1"; empty where no reply came
    detail: str = ""            # the reply or error in one line of at most 500 characters, for a person
    trouble: Trouble = Trouble.NONE
    reached: bool = True        # the provider saw the attempt (for email: MAIL FROM was sent)
    reply: str = ""             # where the server refused: its own words, codes first, and never one of ours


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a channel hands over: one recipient, the exact bytes."""

    recipient: str              # the stored address, checked at the border; for email with its domain as A-label
    body: bytes                 # for email: the whole message, CRLF line ends, not dot-stuffed
    provider: str               # bounds on connections may depend on it
    smtputf8: bool = False      # the local part is not ASCII
    extra: dict[str, str] = field(default_factory=dict)


class Channel(Protocol):
    """One sender's way out. `send` may be called concurrently; it waits for a free connection itself."""

    @property
    def width(self) -> int:
        """How many hand-overs run side by side at most."""
        ...

    async def send(self, envelope: Envelope) -> Outcome:
        """Hand one message over; returns within the channel's own deadlines, and never raises but on cancellation."""
        ...

    async def close(self) -> None:
        """Say goodbye and release everything; idempotent."""
        ...
