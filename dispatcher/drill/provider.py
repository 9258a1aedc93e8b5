"""The outside world on a virtual clock: channels that do as they are told, and remember what was handed to them.

The record is the truth about what was sent, not the store's. It outlives the daemon, as a mail server does. Nothing
here can reach anybody: there is no socket, no name is looked up, and time passes only where the clock is moved.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from channels.contract import Channel, Envelope, Outcome, Result, Trouble
from config.model import Sender
from dispatcher.clock import VirtualClock


@dataclass(frozen=True)
class Act:
    """What becomes of one hand-over: how long it takes (None: it never ends), and its outcome."""

    outcome: Outcome
    takes: int | None = 0      # milliseconds
    took: bool = False         # the receiving server has a copy


def accepted(takes: int | None = 0) -> Act:
    """The server takes it."""
    return Act(Outcome(Result.ACCEPTED, "250", "taken"), takes, took=True)


def deferred(takes: int | None = 0) -> Act:
    """The server asks to try again later."""
    return Act(Outcome(Result.DEFERRED, "450 4.2.1", "later"), takes)


def rejected(*, bad_address: bool = False) -> Act:
    """The server refuses it for good."""
    trouble = Trouble.BAD_ADDRESS if bad_address else Trouble.NONE
    return Act(Outcome(Result.REJECTED, "550 5.1.1" if bad_address else "550 5.7.1", "no", trouble))


def in_doubt(*, took: bool = True) -> Act:
    """The connection ends after the final dot: perhaps the server has it."""
    return Act(Outcome(Result.IN_DOUBT, "", "the connection closed"), took=took)


def unreachable(*, took: bool = False) -> Act:
    """Nobody answers."""
    return Act(Outcome(Result.DEFERRED, "", "connection refused", Trouble.UNREACHABLE, reached=False), took=took)


def busy() -> Act:
    """The server asks for less."""
    return Act(Outcome(Result.DEFERRED, "421", "too many", Trouble.BUSY))


def wrong_setup() -> Act:
    """The way out itself is wrong."""
    detail = "TLS is required and not offered"
    return Act(Outcome(Result.DEFERRED, "", detail, Trouble.SETUP, reached=False))


Script = Callable[[str, int], Act]
"""(recipient, 1 for the first attempt) -> what becomes of it"""


@dataclass(frozen=True)
class Handed:
    """One hand-over that began."""

    at: int
    sender: str            # address
    provider: str
    recipient: str
    body: bytes
    act: Act


@dataclass
class Post:
    """All that was handed over, by every channel of every daemon of a test."""

    clock: VirtualClock
    script: Script = lambda _recipient, _attempt: accepted()
    width: int = 10
    handed: list[Handed] = field(default_factory=list)
    closed: int = 0
    _attempts: Counter[str] = field(default_factory=Counter)

    def channel(self, sender: Sender) -> Channel:
        """A channel into this world."""
        return self.make_channel(str(sender.from_.address), self.width)

    def make_channel(self, sender: str, width: int) -> Channel:
        """A channel of a sender's address."""
        return _Channel(self, sender, width)

    def to(self, recipient: str) -> list[Handed]:
        """What was handed over for a recipient."""
        return [one for one in self.handed if one.recipient == recipient]

    def copies(self, recipient: str) -> list[bytes]:
        """The copies that a recipient's server has."""
        return [one.body for one in self.to(recipient) if one.act.took]

    @property
    def recipients(self) -> list[str]:
        """The recipients of all hand-overs, in order, without their domain."""
        return [one.recipient.partition("@")[0] for one in self.handed]

    def act(self, sender: str, envelope: Envelope) -> Act:
        """Take a hand-over in."""
        self._attempts[envelope.recipient] += 1
        act = self.decide(sender, envelope, self._attempts[envelope.recipient])
        self.remember(Handed(self.clock.now(), sender, envelope.provider, envelope.recipient, envelope.body, act))
        return act

    def decide(self, sender: str, envelope: Envelope, attempt: int) -> Act:  # noqa: ARG002 -- for those who look closer
        """What becomes of a hand-over, the recipient's so-manyth."""
        return self.script(envelope.recipient, attempt)

    def remember(self, one: Handed) -> None:
        """Keep it."""
        self.handed.append(one)


class _Channel:
    def __init__(self, post: Post, sender: str, width: int) -> None:
        self._post, self._sender = post, sender
        self.width = width

    async def send(self, envelope: Envelope) -> Outcome:
        act = self._post.act(self._sender, envelope)
        if act.takes is None:
            await asyncio.get_running_loop().create_future()
        elif act.takes:
            await self._post.clock.pause(act.takes)
        return act.outcome

    async def close(self) -> None:
        self._post.closed += 1
