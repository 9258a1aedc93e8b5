"""The mail servers of a drill: they do what the drill file says, and keep a record of what they were handed.

What happens to a hand-over follows from the seed, the message and its attempt alone, never from the order in which
lanes come: so a storm at one provider changes nothing at another's.
"""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from channels.contract import Channel, Envelope, Result
from channels.smtp_outcomes import Phase, outcome_of_loss, outcome_of_reply
from channels.smtp_replies import Reply
from config.model import Sender
from dispatcher.drill.provider import Act, Handed, Post, accepted

REPLIES: Final = {"deferrals": "450 4.2.1 The recipient is receiving mail too quickly; try again later",
                  "bounces": "550 5.1.1 The email account that you tried to reach does not exist"}
_TAKEN: Final = accepted()
_ID: Final = b"\r\nMessage-ID: "
_TO: Final = b"\r\nTo: "


@dataclass(frozen=True, slots=True)
class Seen:
    """One hand-over, as the server saw it."""

    at: int                 # by the wall clock of the drill
    passed: float           # by the clock that is never put
    lane: str
    recipient: str
    message: bytes          # its Message-ID
    digest: bytes           # of all of its bytes
    result: Result
    took: bool              # the server has a copy
    faulty: str = ""        # what is wrong with its envelope


@dataclass(frozen=True, slots=True)
class Weather:
    """What a provider does for a time, beyond taking what it gets."""

    kind: str
    until: float            # seconds, by the clock that is never put
    share: float = 1.0
    provider: str | None = None
    sender: str | None = None
    reply: str = ""
    takes: int = 0

    def covers(self, sender: str, provider: str) -> bool:
        """Whether it is about what comes from this sender for this provider."""
        return self.sender in {None, sender} and self.provider in {None, provider}


@dataclass
class Servers(Post):
    """All servers of a drill, and all that they saw."""

    seed: int = 0
    seen: list[Seen] = field(default_factory=list)
    weather: list[Weather] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)          # address of a sender -> its name
    results: Counter[tuple[str, Result]] = field(default_factory=Counter)

    def channel(self, sender: Sender) -> Channel:
        """A channel to these servers, as wide as the sender's own would be."""
        return self.make_channel(str(sender.from_.address), sender.connections)

    def decide(self, sender: str, envelope: Envelope, attempt: int) -> Act:
        """What the weather makes of a hand-over: the latest that meets it, and the slowest."""
        if not self.weather:
            return _TAKEN
        now = self.clock.monotonic()
        self.weather = [one for one in self.weather if one.until > now]
        met = [one for number, one in enumerate(self.weather)
               if one.covers(self.names.get(sender, ""), envelope.provider)
               and self._chance(envelope, attempt, number) < one.share]
        act = next((made for one in reversed(met) if (made := act_of(one)) is not None), _TAKEN)
        takes = max((one.takes for one in met), default=0)
        return Act(act.outcome, takes, act.took) if takes else act

    def remember(self, one: Handed) -> None:
        """Keep what a check needs of a hand-over, not the letter itself."""
        lane = f"{self.names.get(one.sender, one.sender)}/{one.provider}"
        self.results[lane, one.act.outcome.result] += 1
        self.seen.append(Seen(
            one.at, self.clock.monotonic(), lane, one.recipient, message_id(one.body),
            blake2b(one.body, digest_size=16).digest(), one.act.outcome.result, one.act.took, _fault(one),
        ))

    def _chance(self, envelope: Envelope, attempt: int, number: int) -> float:
        text = f"{self.seed} {number} {attempt} {envelope.recipient}".encode() + message_id(envelope.body)
        return int.from_bytes(blake2b(text, digest_size=7).digest()) / 2**56


def act_of(weather: Weather) -> Act | None:
    """What it makes of a hand-over; None where it only slows it."""
    if weather.kind in REPLIES:
        return replied(weather.reply or REPLIES[weather.kind])
    if weather.kind == "doubt":
        return Act(outcome_of_loss(Phase.DOT, "the connection was closed"), took=True)
    if weather.kind == "doubt_lost":
        return Act(outcome_of_loss(Phase.DOT, "the connection was closed"))
    if weather.kind == "unreachable":
        return Act(outcome_of_loss(Phase.CONNECT, "connection refused"))
    return None


def replied(text: str) -> Act:
    """What a server's words at RCPT come to, by the rules of the real channel."""
    outcome = outcome_of_reply(Phase.RCPT, Reply(int(text[:3]), text[4:]))
    return Act(outcome) if outcome is not None else _TAKEN


def message_id(body: bytes) -> bytes:
    """The Message-ID of a letter."""
    return body.partition(_ID)[2].partition(b"\r\n")[0]


def _fault(one: Handed) -> str:
    """What is wrong with the envelope and the address of a letter (promise P13)."""
    head = one.body.partition(b"\r\n\r\n")[0]
    to = head.partition(_TO)[2].partition(b"\r\n")[0]
    if head.count(b"\nTo: ") != 1 or to != one.recipient.encode():
        return "its To is not its recipient"
    if b"\nBcc:" in head or b"\nCc:" in head:
        return "it has a copy's address"
    return "" if one.recipient.endswith(f"@{one.provider}.invalid") else "it went by the lane of another provider"
