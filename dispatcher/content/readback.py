"""Fast must also be right: what the skeleton wrote, read by the standard library's parser and compared."""

from dataclasses import dataclass
from email import message_from_bytes, message_from_string
from email.message import EmailMessage
from email.policy import default

from config.addresses import Mailbox

_SINGLE = ("From", "To", "Reply-To", "Subject", "Date", "Message-ID")


@dataclass(frozen=True, slots=True)
class Meant:
    """What a message was meant to say."""

    to: str
    sender: Mailbox
    reply_to: Mailbox | None
    subject: str
    text: str                # as normalised; "" where there is none
    html: str
    message_id: str
    second: int              # since the epoch
    unsubscribe_url: str


def differences(body: bytes, meant: Meant) -> list[str]:
    """Where a message reads other than it was meant: names of fields and parts, no values; empty when all is well."""
    found: EmailMessage = (
        message_from_bytes(body, policy=default) if body.isascii()
        else message_from_string(body.decode(), policy=default)
    )
    wrong = [] if found.keys() == _fields(meant) else ["the header's fields"]
    wrong += [name for name in _SINGLE if name in found and _value(found, name) != _expected(meant, name)]
    if meant.unsubscribe_url and found["List-Unsubscribe"] != f"<{meant.unsubscribe_url}>":
        wrong.append("List-Unsubscribe")
    leaves = [part for part in found.walk() if not part.is_multipart()]
    shown = [(leaf.get_content_type(), leaf.get_content().replace("\r\n", "\n")) for leaf in leaves]
    wanted = [("text/plain", meant.text)] if meant.text else []
    wanted += [("text/html", meant.html)] if meant.html else []
    if shown != wanted:
        wrong.append("the body")
    if any(part.defects for part in found.walk()):
        wrong.append("its form")
    return wrong


def _fields(meant: Meant) -> list[str]:
    both = bool(meant.text and meant.html)
    return [
        "From", "To",
        *(["Reply-To"] if meant.reply_to else []),
        "Subject", "Date", "Message-ID", "Auto-Submitted",
        *(["List-Unsubscribe", "List-Unsubscribe-Post"] if meant.unsubscribe_url else []),
        "MIME-Version", "Content-Type",
        *([] if both else ["Content-Transfer-Encoding"]),
    ]


def _value(found: EmailMessage, name: str) -> object:
    field = found[name]
    if name in {"From", "To", "Reply-To"}:
        return [(_unspaced(address.display_name), address.addr_spec) for address in field.addresses]
    if name == "Date":
        return int(field.datetime.timestamp())
    return str(field)


def _expected(meant: Meant, name: str) -> object:
    if name == "Date":
        return meant.second
    if name in {"Subject", "Message-ID"}:
        return meant.subject if name == "Subject" else meant.message_id
    if name == "To":
        return [("", meant.to)]
    mailbox = meant.sender if name == "From" or meant.reply_to is None else meant.reply_to
    return [(_unspaced(mailbox.name), str(mailbox.address))]


def _unspaced(name: str) -> str:
    # Python 3.11 keeps the space between two encoded words of a name, which RFC 2047 (6.2) says to drop.
    return "".join(name.split())
