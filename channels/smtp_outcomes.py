"""What a server's reply, or its silence, means for the message: (phase, reply) -> Outcome. Pure, and in this file only.

The rule: before the final dot may have left us nothing was sent, whatever happens (deferred, or rejected by a clean
5xx); from then on only a clean reply counts, and anything else leaves the message in doubt. A 421 is what its phase
says of any 4xx, and asks for less on top. A 5xx that speaks of pace is a deferral. A 5xx to MAIL refuses the sender,
not this recipient, unless it speaks of the message itself.
"""

import re
from enum import IntEnum
from typing import Final

from channels.contract import Outcome, Result, Trouble
from channels.smtp_replies import Reply, clean_line


class Phase(IntEnum):
    """How far an attempt has come, in the order of an SMTP session; a phase lasts until its reply is read."""

    CONNECT = 0     # name, connection, TLS from the start
    BANNER = 1
    EHLO = 2
    STARTTLS = 3
    AUTH = 4
    MAIL = 5
    RCPT = 6
    DATA = 7
    BODY = 8        # 354 was read; the final dot has surely not left us
    DOT = 9         # the final dot may have left us


# Enhanced codes that say that there is no such mailbox (RFC 3463 3.2, RFC 7505); 5.1.7 and 5.1.8 speak of the sender.
NO_MAILBOX: Final = frozenset({"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
# A 5xx that asks for less. qq.com answers "550 Connection frequency limited", "550 Domain frequency limited" and the
# like; others "550 ... rate limited".
ABOUT_PACE: Final = (
    re.compile(r"\bfrequency\b.{0,40}\blimit", re.IGNORECASE | re.DOTALL),
    re.compile(r"\brate[ -]?limit", re.IGNORECASE),
)
_GO_ON: Final = {Phase.DATA: range(354, 355)}
_SUCCESS: Final = range(200, 300)
_TEMPORARY: Final = range(400, 500)
_PERMANENT: Final = range(500, 600)
_CLOSING: Final = 421      # the server closes the connection with it (RFC 5321, 3.8)
_TOO_BIG: Final = 552      # RFC 1870, 6.1


def outcome_of_reply(phase: Phase, reply: Reply) -> Outcome | None:
    """What the reply to a phase's command comes to; None: go on with the next phase. Never None for BODY and DOT."""
    if phase is Phase.DOT:
        return _after_the_dot(reply)
    if phase is not Phase.BODY and reply.code in _GO_ON.get(phase, _SUCCESS):
        return None
    if phase < Phase.MAIL:
        return _before_the_message(phase, reply)
    if reply.code in _PERMANENT:
        return _refusal(phase, reply)
    return _outcome(Result.DEFERRED, reply, _asks_for_less(reply))


def outcome_of_loss(phase: Phase, why: str) -> Outcome:
    """What it comes to when no clean reply came: closed, reset, silent beyond the deadline, refused, out of step."""
    if phase is Phase.DOT:
        return Outcome(Result.IN_DOUBT, detail=clean_line(f"{why} after the message was sent"))
    reached = phase >= Phase.MAIL
    trouble = Trouble.NONE if reached else Trouble.UNREACHABLE
    return Outcome(Result.DEFERRED, detail=clean_line(f"{why} ({_PLACES[phase]})"), trouble=trouble, reached=reached)


def outcome_of_setup(why: str) -> Outcome:
    """The way out itself is wrong: TLS, a certificate, credentials. The message stays queued for a person to look."""
    return Outcome(Result.DEFERRED, detail=clean_line(why), trouble=Trouble.SETUP, reached=False)


def outcome_of_poison(why: str) -> Outcome:
    """The message can never leave this way: it was not offered to the server."""
    return Outcome(Result.REJECTED, detail=clean_line(f"not sent: {why}"), reached=False)


def keeps_connection(phase: Phase, reply: Reply) -> bool:
    """True if both sides agree on where they stand after this last reply, so that another message may follow."""
    if reply.code in _SUCCESS:
        return phase is Phase.DOT
    return phase is not Phase.BODY and reply.code != _CLOSING and (reply.code in _TEMPORARY or reply.code in _PERMANENT)


_PLACES: Final = {
    Phase.CONNECT: "while connecting",
    Phase.BANNER: "while waiting for the server's greeting",
    Phase.EHLO: "at EHLO",
    Phase.STARTTLS: "at STARTTLS",
    Phase.AUTH: "at AUTH",
    Phase.MAIL: "at MAIL",
    Phase.RCPT: "at RCPT",
    Phase.DATA: "at DATA, before 354",
    Phase.BODY: "in the body, before the final dot",
}


def _outcome(result: Result, reply: Reply, trouble: Trouble = Trouble.NONE) -> Outcome:
    """An outcome in the server's own words."""
    return Outcome(result, reply.short, reply.line, trouble)


def _asks_for_less(reply: Reply) -> Trouble:
    """BUSY for a 421 and for words about pace."""
    if reply.code == _CLOSING or (reply.code in _PERMANENT and any(rule.search(reply.text) for rule in ABOUT_PACE)):
        return Trouble.BUSY
    return Trouble.NONE


def _before_the_message(phase: Phase, reply: Reply) -> Outcome:
    """A connection that did not come about: the message is untouched, the way out is not there or not set up."""
    trouble = Trouble.UNREACHABLE
    if reply.code == _CLOSING:
        trouble = Trouble.BUSY
    elif phase >= Phase.STARTTLS and reply.code and reply.code not in _TEMPORARY:
        trouble = Trouble.SETUP
    return Outcome(Result.DEFERRED, reply.short, clean_line(f"{reply.line} ({_PLACES[phase]})"), trouble, reached=False)


def _refusal(phase: Phase, reply: Reply) -> Outcome:
    """A 5xx in the transaction."""
    if _asks_for_less(reply) is Trouble.BUSY:
        return _outcome(Result.DEFERRED, reply, Trouble.BUSY)
    if phase is Phase.MAIL:
        if reply.code == _TOO_BIG or reply.enhanced in ("5.2.3", "5.3.4") or reply.enhanced.startswith("5.6."):
            return _outcome(Result.REJECTED, reply)
        return _outcome(Result.DEFERRED, reply, Trouble.SETUP)
    return _outcome(Result.REJECTED, reply, Trouble.BAD_ADDRESS if reply.enhanced in NO_MAILBOX else Trouble.NONE)


def _after_the_dot(reply: Reply) -> Outcome:
    """The server has the whole message: only it knows, and only a clean reply tells."""
    if reply.code in _SUCCESS:
        return _outcome(Result.ACCEPTED, reply)
    if reply.code in _TEMPORARY:
        return _outcome(Result.DEFERRED, reply, _asks_for_less(reply))
    if reply.code in _PERMANENT:
        return _refusal(Phase.DOT, reply)
    return _outcome(Result.IN_DOUBT, reply)
