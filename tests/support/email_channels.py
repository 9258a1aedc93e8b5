"""Email channels for tests: short deadlines, one body, one way to build them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.dns_server import DnsServer

from channels.contract import Channel, Envelope
from channels.direct import build_direct_channel
from channels.dns import DnsOptions, Names
from channels.email import EmailOptions, build_email_channel
from channels.smtp_connect import Deadlines
from config.servers import parse_server

BODY = b"Subject: hello\r\n\r\nGood day.\r\n"
PATIENT = 60_000    # milliseconds; a deadline that no test is meant to reach
DEADLINES = Deadlines(connect=PATIENT, command=PATIENT, data=PATIENT, block=PATIENT, dot=PATIENT, quit=PATIENT)


def envelope(recipient: str = "ann@customer.example", body: bytes = BODY, *, smtputf8: bool = False) -> Envelope:
    return Envelope(recipient, body, "customer.example", smtputf8)


@asynccontextmanager
async def email_channel(port: int, /, query: str = "", scheme: str = "smtp", **options: Any) -> AsyncIterator[Channel]:
    """A channel to the server on this port of loopback; closed at the end."""
    server = parse_server(f"{scheme}://127.0.0.1:{port}{query}")
    channel = build_email_channel(EmailOptions(**{
        "server": server, "mail_from": "news@acme.example", "connections": 2, "deadlines": DEADLINES, **options}))
    try:
        yield channel
    finally:
        await channel.close()


@asynccontextmanager
async def direct_channel(dns: DnsServer, port: int, /, query: str = "", **options: Any) -> AsyncIterator[Channel]:
    """A direct channel to whoever this DNS names, at this port; closed at the end. `timeout`: of a question."""
    server = parse_server(f"direct://?port={port}&private=yes{query}")
    names = Names(DnsOptions((dns.nameserver,), options.pop("timeout", PATIENT)))
    channel = build_direct_channel(EmailOptions(**{
        "server": server, "mail_from": "news@acme.example", "deadlines": DEADLINES, "names": lambda: names, **options}))
    try:
        yield channel
    finally:
        await channel.close()
