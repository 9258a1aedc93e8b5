"""The direct channel: to which addresses it goes, and how it is encrypted."""

import ssl
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from support.dns_server import DnsServer, a, mx
from support.email_channels import direct_channel, envelope
from support.smtp_server import SmtpServer

from channels.contract import Envelope, Result, Trouble

DOMAIN = "house.example"


def to(recipient: str, provider: str = "other") -> Envelope:
    return replace(envelope(recipient), provider=provider)


@pytest.mark.asyncio
@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "64:ff9b::7f00:1"])
async def test_nothing_goes_to_private_addresses_unless_the_sender_says_so(address: str) -> None:
    async with SmtpServer() as server, DnsServer({DOMAIN: a(address)}) as dns:
        async with direct_channel(dns, server.port) as permitting:
            refusing = permitting._options.server
        options = {"server": replace(refusing, private=False)}
        async with direct_channel(dns, server.port, **options) as channel:
            outcome = await channel.send(to(f"ann@{DOMAIN}"))
        assert (outcome.result, outcome.trouble, outcome.reached) == (Result.DEFERRED, Trouble.NONE, False)
        assert outcome.detail == f"the mail server {DOMAIN} has only addresses of private networks"
        assert server.seen == []


@dataclass(frozen=True)
class Certificates:
    ca_file: str
    right: ssl.SSLContext    # for mx.example
    wrong: ssl.SSLContext    # for another name


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = trustme.CA()
    contexts = []
    for name in ("mx.example", "elsewhere.example"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(context)
        contexts.append(context)
    ca_file: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Certificates(str(ca_file), *contexts)


@pytest.mark.asyncio
@pytest.mark.parametrize(("query", "certificate", "expected", "secure"), [
    ("", "right", Result.ACCEPTED, True),
    ("", "wrong", Result.ACCEPTED, True),            # encrypted, to whom it may concern
    ("", None, Result.ACCEPTED, False),
    ("&tls=off", "right", Result.ACCEPTED, False),
    ("&tls=required", "right", Result.ACCEPTED, True),
    ("&tls=required", "wrong", Result.DEFERRED, None),
    ("&tls=required", None, Result.DEFERRED, None),
])
async def test_a_message_is_encrypted_as_the_server_key_says(
        certificates: Certificates, query: str, certificate: str | None, expected: Result, secure: bool | None) -> None:  # noqa: FBT001 -- a table's column
    zones = {DOMAIN: mx("10 mx.example"), "mx.example": a("127.0.0.1")}
    tls = getattr(certificates, certificate) if certificate else None
    async with (
        SmtpServer(tls=tls) as server, DnsServer(zones) as dns,
        direct_channel(dns, server.port, query, ca_file=certificates.ca_file) as channel,
    ):
        outcome = await channel.send(to(f"ann@{DOMAIN}"))
        assert (outcome.result, outcome.trouble) == (expected, Trouble.NONE)
        mails = [under for seen in server.seen for under, line in seen.lines if line.startswith(b"MAIL")]
        assert mails == ([secure] if secure is not None else [])
        if expected is Result.DEFERRED:     # of a provider it is the lane's: a person has to look
            assert (await channel.send(to(f"ann@{DOMAIN}", "gmail"))).trouble is Trouble.SETUP


@pytest.mark.asyncio
async def test_a_server_that_offers_tls_and_cannot_do_it_gets_its_mail_in_clear() -> None:
    broken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)       # without a certificate every handshake fails
    async with (
        SmtpServer(tls=broken) as server, DnsServer({DOMAIN: a("127.0.0.1")}) as dns,
        direct_channel(dns, server.port) as channel,
    ):
        assert (await channel.send(to(f"ann@{DOMAIN}"))).result is Result.ACCEPTED
        assert [mail.recipient for mail in server.mails] == [f"ann@{DOMAIN}"]
