"""Campaigns, customers and messages for tests of words and bytes."""

from collections.abc import Mapping
from email import message_from_bytes, message_from_string
from email.message import EmailMessage
from email.policy import default
from typing import Any

from config.addresses import parse_mailbox
from dispatcher.content.skeleton import Letter, SenderIdentity, prepare
from dispatcher.core.model import Campaign, Category, Customer, Message, Words

RELEASED = 1_772_355_600_000     # 2026-03-01T09:00:00Z
SUPPORT = SenderIdentity("support", parse_mailbox("Acme Support <support@acme.example>"))
JO = Customer("c-1", email="jo@example.org", name="Jo", timezone="Europe/Berlin")


def campaign(subject: str = "Hello", text: str = "Hello\n", html: str = "", reply_to: str = "") -> Campaign:
    """A campaign of these words."""
    words = Words(subject, text, html, reply_to)
    return Campaign("delay", Category.SERVICE, ("support",), words={"email": words}, version=1)


def message(data: Mapping[str, Any] | None = None, key: str = "A-17") -> Message:
    """A released message."""
    return Message(
        id=1, campaign="delay", key=key, customer="c-1", segment="*", rank=0, priority=2, lane="support/other",
        data=data or {}, expires_at=None, version=1, released_at=RELEASED,
    )


def letter(said: Campaign, customer: Customer = JO, data: Mapping[str, Any] | None = None, key: str = "A-17") -> Letter:
    """What this campaign says to a customer."""
    return prepare(said, "*", SUPPORT).fill(message(data, key), customer)


def read(body: bytes) -> EmailMessage:
    """A message as the standard library reads it."""
    if body.isascii():
        return message_from_bytes(body, policy=default)
    return message_from_string(body.decode(), policy=default)


def contents(body: bytes) -> dict[str, str]:
    """The bodies of a message by type, with line feeds."""
    leaves = [part for part in read(body).walk() if not part.is_multipart()]
    return {leaf.get_content_type(): leaf.get_content().replace("\r\n", "\n") for leaf in leaves}
