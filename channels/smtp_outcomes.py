"""What a server's reply, or its silence, means for the message: (phase, reply) -> Outcome. Pure, and in this file only.

The rule: before the final dot may have left us nothing was sent, whatever happens (deferred, or rejected by a clean
5xx); from then on only a clean reply counts, and anything else leaves the message in doubt. A 421 is what its phase
says of any 4xx, and asks for less on top. A 5xx that speaks of pace is a deferral. A 5xx to MAIL refuses the sender,
not this recipient, unless it speaks of the message itself. Nor does one that speaks of relaying or of authentication
refuse the recipient: this sender is not let in, and everyone else in the batch would be refused as well.
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
# Codes that ask for authentication or TLS, whatever is said with them (RFC 3207, 4; RFC 4954, 6).
_LET_IN_FIRST: Final = frozenset({530, 534, 535, 538})
# Postfix answers "554 5.7.1 <...>: Relay access denied" (454 where it is told to defer), sendmail "550 5.7.1 ...
# Relaying denied", Exim "550 relay not permitted", Exchange "550 5.7.1 Unable to relay", others "550 Authentication
# is required for relay". What is not meant: mail that fails SPF or DKIM ("unauthenticated email").
ABOUT_ACCESS: Final = tuple(re.compile(rule, re.IGNORECASE | re.DOTALL) for rule in (
    r"\brelay(?:ing)?\b.{0,40}\b(?:denied|prohibited|refused|forbidden|disabled)\b",
    r"\brelay(?:ing)?\b.{0,20}\bnot (?:allowed|permitted|authori[sz]ed)\b",
    r"\b(?:unable to|cannot|can't|do not|don't|will not|won't|not (?:allowed|permitted|authori[sz]ed) to) relay",
    r"\bauthentication (?:is )?required\b",
    r"\bmust (?:log ?in|be authenticated)\b",
))
_NOT_LET_IN: Final = re.compile(r"\brelay", re.IGNORECASE)      # with 5.7.1, "delivery not authorized"
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
    return _deferral(reply)


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
    line = reply.line
    return Outcome(result, reply.short, line, trouble, reply=_refused(result, reply, line))


def _refused(result: Result, reply: Reply, line: str) -> str:
    """The words of a refusal, for the rules that look at nothing else; nonsense is no reply."""
    return line if reply.code and result in {Result.DEFERRED, Result.REJECTED} else ""


def _asks_for_less(reply: Reply) -> Trouble:
    """BUSY for a 421 and for words about pace."""
    if reply.code == _CLOSING or (reply.code in _PERMANENT and any(rule.search(reply.text) for rule in ABOUT_PACE)):
        return Trouble.BUSY
    return Trouble.NONE


def _lets_nobody_in(reply: Reply) -> bool:
    """Whether the server speaks of relaying or of authentication: of our set-up with it, not of the recipient."""
    if reply.code in _LET_IN_FIRST or any(rule.search(reply.text) for rule in ABOUT_ACCESS):
        return True
    return reply.enhanced.endswith(".7.1") and _NOT_LET_IN.search(reply.text) is not None


def _deferral(reply: Reply) -> Outcome:
    """A 4xx in the transaction."""
    trouble = _asks_for_less(reply)
    if trouble is Trouble.NONE and reply.code in _TEMPORARY and _lets_nobody_in(reply):
        trouble = Trouble.SETUP
    return _outcome(Result.DEFERRED, reply, trouble)


def _before_the_message(phase: Phase, reply: Reply) -> Outcome:
    """A connection that did not come about: the message is untouched, the way out is not there or not set up."""
    trouble = Trouble.UNREACHABLE
    if reply.code == _CLOSING:
        trouble = Trouble.BUSY
    elif phase >= Phase.STARTTLS and reply.code and reply.code not in _TEMPORARY:
        trouble = Trouble.SETUP
    detail = clean_line(f"{reply.line} ({_PLACES[phase]})")
    return Outcome(Result.DEFERRED, reply.short, detail, trouble, reached=False,
                   reply=_refused(Result.DEFERRED, reply, reply.line))


def _refusal(phase: Phase, reply: Reply) -> Outcome:
    """A 5xx in the transaction."""
    if _asks_for_less(reply) is Trouble.BUSY:
        return _outcome(Result.DEFERRED, reply, Trouble.BUSY)
    if _lets_nobody_in(reply):
        return _outcome(Result.DEFERRED, reply, Trouble.SETUP)
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
        return _deferral(reply)
    if reply.code in _PERMANENT:
        return _refusal(Phase.DOT, reply)
    return _outcome(Result.IN_DOUBT, reply)
