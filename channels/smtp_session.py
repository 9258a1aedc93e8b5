"""One connection and the messages that go through it, one transaction each: MAIL, RCPT, DATA, body, dot.

The session always knows its phase, and so what a broken connection means. After anything but a clean reply, and when
cancelled, it ends the connection at once: bytes that have not left stay here, and no reply is read for another message.
"""

import re
from typing import Final, NamedTuple

from channels.contract import Envelope, Outcome
from channels.smtp_connect import Deadlines, Features, Way, connect
from channels.smtp_outcomes import (
    Phase,
    keeps_connection,
    outcome_of_loss,
    outcome_of_poison,
    outcome_of_reply,
)
from channels.smtp_replies import Reply
from channels.smtp_wire import PIECE, SmtpWire, WireLost

# Nothing that could end the path, the line or the word, nor what no mailbox has (RFC 5321 4.1.2, RFC 6531 3.3).
_MAILBOX: Final = re.compile(
    "[^\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]+"
    "@[^\x00-\x20\x7f-\xa0<>@\u2028\u2029\ud800-\udfff]+",
)


GO_ON: Final = 354
Steps = tuple[tuple[Phase, bytes, float], ...]     # a phase, its command, and the seconds that its reply may take


class Order(NamedTuple):
    """A message as the session sends it."""

    sender: bytes
    recipient: bytes
    body: bytes
    smtputf8: bool


class SmtpSession:
    """A connection that is ready for a message; one task uses it at a time."""

    __slots__ = ("_deadlines", "_features", "_phase", "_unfinished", "_wire", "sent")

    def __init__(self, wire: SmtpWire, features: Features, deadlines: Deadlines) -> None:
        self._wire = wire
        self._features = features
        self._deadlines = deadlines
        self._phase = Phase.MAIL
        self._unfinished = False    # the server still holds a refused transaction
        self.sent = 0               # messages offered here so far

    @property
    def usable(self) -> bool:
        """True if another message may follow."""
        return self._wire.usable

    async def hand_over(self, order: Order) -> Outcome | None:
        """Hand one message over.

        None: a connection that had been kept turned out to be closed before anything was said of this message. It was
        surely not sent, and a fresh connection may be tried at once.
        """
        poison = self._poison_in(order)
        if poison:
            return outcome_of_poison(poison)
        self._phase = Phase.MAIL
        kept = self.sent > 0
        self.sent += 1
        try:
            phase, reply = await self._transact(order)
            outcome = outcome_of_reply(phase, reply)
        except WireLost as lost:
            self.abort()
            if kept and lost.hung_up and self._phase is Phase.MAIL:
                return None
            return outcome_of_loss(self._phase, lost.why)
        except BaseException:
            self.abort()
            raise
        if not keeps_connection(phase, reply):
            self.abort()
        self._unfinished = phase < Phase.DOT
        return outcome

    async def quit(self) -> None:
        """Say goodbye where that is still possible, briefly, and end the connection; idempotent."""
        try:
            if self.usable:
                await self._wire.ask(b"QUIT\r\n", self._deadlines.quit / 1000)
        except WireLost:
            pass
        finally:
            self.abort()
        await self._wire.gone()

    def abort(self) -> None:
        """End the connection at once; idempotent."""
        self._wire.abort()

    def outcome_of_crash(self, why: str) -> Outcome:
        """What the last message comes to when our own code failed on it."""
        return outcome_of_loss(self._phase, why)

    async def _transact(self, order: Order) -> tuple[Phase, Reply]:
        """Run the transaction to its last reply; the phase is that reply's."""
        ask, command = self._wire.ask, self._deadlines.command / 1000
        if self._unfinished:
            reply = await ask(b"RSET\r\n", command)
            if reply.code // 100 != 2:  # noqa: PLR2004 -- success
                raise WireLost(f"RSET was refused: {reply.line}", hung_up=True)
            self._unfinished = False
        steps = (
            (Phase.MAIL, b"MAIL FROM:<%b>%b\r\n" % (order.sender, self._parameters(order)), command),
            (Phase.RCPT, b"RCPT TO:<%b>\r\n" % order.recipient, command),
            (Phase.DATA, b"DATA\r\n", self._deadlines.data / 1000),
        )
        if self._features.pipelining:
            return await self._transact_at_once(order, steps)
        for self._phase, line, within in steps:
            reply = await ask(line, within)
            if outcome_of_reply(self._phase, reply) is not None:
                return self._phase, reply
        return await self._send_body(order.body)

    async def _transact_at_once(self, order: Order, steps: Steps) -> tuple[Phase, Reply]:
        """The same with the commands in one packet, where the server knows PIPELINING (RFC 2920): one wait, not three.

        The first refusal counts. What the server says to the commands behind it is heard, and means nothing.
        """
        self._phase = Phase.MAIL
        self._wire.send(b"".join(line for _, line, _ in steps), len(steps))
        for number, (self._phase, _, within) in enumerate(steps, 1):
            reply = await self._wire.reply(within)
            if outcome_of_reply(self._phase, reply) is not None:
                if keeps_connection(self._phase, reply):
                    await self._hear(steps[number:])
                return self._phase, reply
        return await self._send_body(order.body)

    async def _hear(self, steps: Steps) -> None:
        """The replies to commands behind a refused one.

        After a 354 the server waits for a body that is not to come, so the connection ends, without a dot. It ends as
        well where a reply does not come.
        """
        try:
            for _, _, within in steps:
                reply = await self._wire.reply(within)
                if reply.code == GO_ON:
                    self.abort()
        except WireLost:
            self.abort()

    async def _send_body(self, body: bytes) -> tuple[Phase, Reply]:
        """Everything after 354. The message may count as sent from the moment the final dot is handed to the system."""
        self._phase = Phase.BODY
        if body.startswith(b"."):
            body = b"." + body
        body = body.replace(b"\r\n.", b"\r\n..")
        end = b".\r\n" if not body or body.endswith(b"\r\n") else b"\r\n.\r\n"
        if len(body) > PIECE:
            reply = await self._wire.push(body, self._deadlines.block / 1000)
            if reply is not None:
                return Phase.BODY, reply
            body = b""
        self._wire.check()
        self._phase = Phase.DOT
        return Phase.DOT, await self._wire.ask(body + end, self._deadlines.dot / 1000)

    def _parameters(self, order: Order) -> bytes:
        """The parameters of MAIL, as far as the server knows them."""
        words = b" SIZE=%d" % len(order.body) if self._features.sizes else b""
        if self._features.eight_bit and not order.body.isascii():
            words += b" BODY=8BITMIME"
        return words + b" SMTPUTF8" if order.smtputf8 else words

    def _poison_in(self, order: Order) -> str:
        """Why this server can never take the message; or "". It is not asked then."""
        if order.smtputf8 and not self._features.smtputf8:
            return "the address needs SMTPUTF8, which the server does not offer"
        if 0 < self._features.size < len(order.body):
            return f"the message has {len(order.body)} bytes, and the server takes {self._features.size} at most"
        return ""


async def open_session(way: Way) -> SmtpSession:
    """Connect; Unavailable says why not."""
    wire, features = await connect(way)
    return SmtpSession(wire, features, way.deadlines)


def make_order(mail_from: str, envelope: Envelope) -> Order | Outcome:
    """The message as it goes out; an outcome where its own bytes would harm: an address or line ends that inject."""
    if not is_mailbox(envelope.recipient):
        return outcome_of_poison("the recipient is no single mailbox")
    if not envelope.smtputf8 and not envelope.recipient.isascii():
        return outcome_of_poison("the recipient is not ASCII")
    body = envelope.body
    if not body.count(b"\r\n") == body.count(b"\n") == body.count(b"\r"):
        return outcome_of_poison("the body has a bare CR or LF, where a server may see the end of the message")
    smtputf8 = envelope.smtputf8 or not mail_from.isascii()
    return Order(mail_from.encode(), envelope.recipient.encode(), body, smtputf8)


def is_mailbox(address: str) -> bool:
    """True if the address can stand between < and > as one path and nothing more."""
    return _MAILBOX.fullmatch(address) is not None
