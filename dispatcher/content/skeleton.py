"""A campaign's message as bytes with holes: prepared once for a campaign version, a segment and a sender, then filled.

What depends on the message alone is derived from what is stored of it, so a message filled again is the same to the
byte. The first message of every skeleton is parsed back and compared; until one has passed, none leaves unproven.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from config.addresses import Mailbox, header_safe, parse_address, parse_mailbox
from dispatcher.content.faults import MessageFault, RenderFault, TemplateFault, TemplateFaults
from dispatcher.content.headers import date_bytes, mailbox_bytes, subject_bytes
from dispatcher.content.html_text import html_to_text
from dispatcher.content.mime import LONGEST_LINE, TEXT, alternative, body_bytes, identity, normalised
from dispatcher.content.readback import Meant, differences
from dispatcher.content.sandbox import PLAIN
from dispatcher.content.templates import Compiled
from dispatcher.content.values import Record, local_time
from dispatcher.core.model import Campaign, Customer, Message, Words

OVERSIZED: Final = 10 * 1024 * 1024     # octets; what common servers take at most
NAMES: Final = frozenset({"customer", "campaign", "segment", "data", "sender", "now"})
PARTS: Final = ("subject", "text", "html", "reply_to")


@dataclass(frozen=True, slots=True)
class SenderIdentity:
    """Who a message is from: the sender's name in the configuration, its From, and its Reply-To."""

    name: str
    mailbox: Mailbox
    reply_to: Mailbox | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A finished email."""

    recipient: str      # for RCPT TO: the stored address
    body: bytes         # the whole message, CRLF line ends, not dot-stuffed
    smtputf8: bool      # its headers or its recipient are not ASCII


@dataclass(frozen=True, slots=True)
class Preview:
    """A message as its reader would see it."""

    from_: str
    to: str
    reply_to: str       # "" for none
    subject: str
    text: str
    html: str           # "" for none


class Rendered(NamedTuple):
    """The words of one message; the bodies with normalised line ends, "" for a body that there is not."""

    subject: str
    text: str
    html: str
    reply_to: Mailbox | None


class Skeleton:
    """One message with holes. Made by `prepare`."""

    def __init__(
        self, campaign: Campaign, segment: str, sender: SenderIdentity, parts: Mapping[str, Compiled], *,
        unsubscribable: bool,
    ) -> None:
        self.sender = sender
        self.unsubscribable = unsubscribable
        self._campaign = campaign.id
        self._parts = parts
        self._subject, self._text, self._html, self._reply_to = (parts.get(part) for part in PARTS)
        self._variables = {**PLAIN.globals, **_fixed_variables(campaign, segment, sender)}
        self._tells_time = any("now" in part.uses for part in parts.values())
        self._domain = sender.mailbox.address.ascii_domain.encode("ascii")
        self._head = b"From: " + mailbox_bytes(sender.mailbox) + b"\r\nTo: "
        self._fixed_reply_to = _fixed_reply_to(self._reply_to, sender)
        self._proven = False

    def fill(self, message: Message, customer: Customer, unsubscribe_url: str = "") -> Letter:
        """The message for this customer; raises MessageFault where it cannot be written.

        `message.released_at` is set; `unsubscribe_url` is given exactly if the skeleton was prepared for one.
        """
        words = self._words(message, customer, unsubscribe_url)
        recipient = _recipient(customer)
        own = identity(self._campaign, message.key, self._domain)
        second = _released(message) // 1000
        try:
            body = b"".join((
                self._head, recipient.encode(), self._reply_to_line(words.reply_to),
                b"\r\nSubject: ", _subject_bytes(words.subject),
                b"\r\nDate: ", date_bytes(second),
                b"\r\nMessage-ID: ", own.message_id,
                b"\r\nAuto-Submitted: auto-generated\r\n", _unsubscribe_lines(unsubscribe_url),
                b"MIME-Version: 1.0\r\n", _bodies(words, own.boundary),
            ))
        except ValueError as error:     # UnicodeEncodeError is one
            raise MessageFault(_unwritable(error)) from None
        if len(body) > OVERSIZED:
            raise MessageFault(f"oversized: the message comes to {len(body)} octets; at most {OVERSIZED} are sent")
        if not self._proven:
            self._prove(body, Meant(
                recipient, self.sender.mailbox, words.reply_to, words.subject, words.text, words.html,
                own.message_id.decode("ascii"), second, unsubscribe_url,
            ))
        return Letter(recipient, body, not (recipient.isascii() and body.isascii()))

    def preview(self, message: Message, customer: Customer, unsubscribe_url: str = "") -> Preview:
        """The words of the message for this customer; raises MessageFault wherever `fill` would."""
        self.fill(message, customer, unsubscribe_url)
        words = self._words(message, customer, unsubscribe_url)
        return Preview(
            str(self.sender.mailbox), customer.email, str(words.reply_to or ""), words.subject, words.text, words.html,
        )

    def _words(self, message: Message, customer: Customer, unsubscribe_url: str) -> Rendered:
        if bool(unsubscribe_url) != self.unsubscribable:
            raise ValueError("unsubscribe_url goes with a skeleton that was prepared for one, and only with it")
        variables: dict[str, Any] = {**self._variables, "customer": customer, "data": message.data}
        if self._tells_time:
            variables["now"] = local_time(_released(message), customer.timezone)
        if unsubscribe_url:
            variables["unsubscribe_url"] = unsubscribe_url
        subject, text, html, reply_to = self._subject, self._text, self._html, self._fixed_reply_to
        try:
            rendered_subject = subject.render(variables).strip() if subject is not None else ""
            rendered_html = normalised(html.render(variables)) if html is not None else ""
            rendered_text = normalised(text.render(variables)) if text is not None else html_to_text(rendered_html)
            if self._reply_to is not None and self._reply_to.constant is None:
                reply_to = _mailbox(self._reply_to.render(variables), self._reply_to.place)
        except RenderFault as error:
            raise MessageFault(str(error.fault), error.fault) from None
        for part, value in (("subject", rendered_subject), ("text", rendered_text), ("html", rendered_html or "-")):
            if not value or value.isspace():
                raise MessageFault(f"email.{part} comes out empty for this message")
        return Rendered(rendered_subject, rendered_text, rendered_html, reply_to)

    def _reply_to_line(self, reply_to: Mailbox | None) -> bytes:
        return b"\r\nReply-To: " + mailbox_bytes(reply_to) if reply_to is not None else b""

    def _prove(self, body: bytes, meant: Meant) -> None:
        wrong = differences(body, meant)
        if wrong:
            raise MessageFault(f"does not read back as it was written: {', '.join(wrong)}")
        self._proven = True


def prepare(campaign: Campaign, segment: str, sender: SenderIdentity, *, unsubscribable: bool = False) -> Skeleton:
    """The skeleton of a campaign version for a segment and a sender; raises TemplateFaults with all that is wrong."""
    whole = campaign.words.get("email", Words())
    words = campaign.segment_words.get("email", {}).get(segment, whole)
    known = NAMES | {"unsubscribe_url"} if unsubscribable else NAMES
    faults: list[TemplateFault] = []
    parts: dict[str, Compiled] = {}
    if not words.subject:
        faults.append(TemplateFault("email.subject", 0, "is missing; an email needs a subject"))
    if not words.text and not words.html:
        faults.append(TemplateFault("email.text", 0, "is missing; give text, html, or both"))
    for part in PARTS:
        source = getattr(words, part)
        if not source:
            continue
        place = f"email.{part}" if source == getattr(whole, part) else f'email.segments."{segment}".{part}'
        try:
            parts[part] = Compiled(source, part, place, known)
            _check_constant(parts[part], part)
        except TemplateFaults as found:
            faults.extend(found.faults)
        except ValueError as error:
            faults.append(TemplateFault(place, 0, str(error)))
    if faults:
        raise TemplateFaults(tuple(faults))
    return Skeleton(campaign, segment, sender, parts, unsubscribable=unsubscribable)


def _check_constant(compiled: Compiled, part: str) -> None:
    """Raise ValueError for a subject or address without expressions that no message could carry."""
    if compiled.constant is not None and part == "subject":
        subject_bytes(compiled.constant.strip())
    elif compiled.constant is not None and part == "reply_to":
        parse_mailbox(compiled.constant.strip())


def _fixed_variables(campaign: Campaign, segment: str, sender: SenderIdentity) -> dict[str, Any]:
    return {
        "campaign": Record("campaign", {
            "id": campaign.id, "category": str(campaign.category), "incident": campaign.incident,
            "sequence": campaign.sequence,
        }),
        "segment": segment,
        "sender": Record("sender", {
            "name": sender.name, "address": str(sender.mailbox.address), "from_name": sender.mailbox.name,
        }),
    }


def _fixed_reply_to(compiled: Compiled | None, sender: SenderIdentity) -> Mailbox | None:
    if compiled is not None and compiled.constant is not None:
        return parse_mailbox(compiled.constant.strip())
    return sender.reply_to


def _released(message: Message) -> int:
    if message.released_at is None:
        raise ValueError("a message is written once it has been released: released_at is missing")
    return message.released_at


def _recipient(customer: Customer) -> str:
    """The stored address, which passed the border already; looked at again, for it goes into a header."""
    address = customer.email
    try:
        if "=?" in address or str(parse_address(address)) != address:
            raise ValueError("is not in its stored form")  # noqa: TRY301 -- one answer for all that is wrong with it
    except ValueError as error:
        raise MessageFault(f"the customer's email address {error}") from None
    return address


def _mailbox(text: str, place: str) -> Mailbox:
    try:
        return parse_mailbox(text.strip())
    except ValueError as error:
        fault = TemplateFault(place, 0, str(error))
        raise MessageFault(str(fault), fault) from None


def _subject_bytes(subject: str) -> bytes:
    try:
        return subject_bytes(subject)
    except ValueError as error:
        raise MessageFault(f"email.subject {error}") from None


def _unsubscribe_lines(url: str) -> bytes:
    """The one-click headers of RFC 8058, each on one raw line: folded or encoded, large providers do not see them."""
    if not url:
        return b""
    header_safe(url)
    line = b"List-Unsubscribe: <" + url.encode("ascii") + b">"
    if len(line) > LONGEST_LINE or any(mark in url for mark in "<> ,"):
        raise ValueError("the unsubscribe address is too long, or holds a space, a comma, < or >")
    return line + b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"


def _bodies(words: Rendered, boundary: bytes) -> bytes:
    text = body_bytes(words.text)
    return alternative(text, body_bytes(words.html), boundary) if words.html else TEXT + text


def _unwritable(error: ValueError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "the message holds half a character (a lone surrogate), which cannot be encoded"
    return f"a header of the message {error}"
