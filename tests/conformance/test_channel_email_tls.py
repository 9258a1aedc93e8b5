"""TLS and credentials of the email channel: what protects a connection, and that a secret never leaves without it."""

import ssl
from dataclasses import dataclass

import pytest
import trustme
from support.email_channels import BODY, email_channel, envelope
from support.smtp_server import CLOSE, HELLO, Act, SmtpServer, at, say

from channels import smtp_connect
from channels.contract import Outcome, Result, Trouble
from channels.email import EmailOptions, build_email_channel
from config.servers import parse_server

SECRET = {"username": "acme", "password": "s3cret-word"}
PLAIN, LOGIN = (*HELLO, "AUTH PLAIN LOGIN"), (*HELLO, "AUTH LOGIN")
SETUP_DEFERRED = (Result.DEFERRED, Trouble.SETUP, False)


@dataclass(frozen=True)
class Certificates:
    ca_file: str
    right: ssl.SSLContext    # for 127.0.0.1
    wrong: ssl.SSLContext    # for another name, by the same authority


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = trustme.CA()
    contexts = []
    for name in ("127.0.0.1", "elsewhere.example"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(context)
        contexts.append(context)
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Certificates(str(ca_file), *contexts)


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the channel believe that the server is on another machine."""
    monkeypatch.setattr(smtp_connect, "_is_loopback", lambda _: False)


def said(outcome: Outcome) -> tuple[Result, Trouble, bool]:
    return outcome.result, outcome.trouble, outcome.reached


def under_tls(server: SmtpServer, verb: bytes) -> list[bool]:
    return [secure for seen in server.seen for secure, line in seen.lines if line.startswith(verb)]


@pytest.mark.asyncio
@pytest.mark.parametrize(("scheme", "query", "secure"), [
    ("smtps", "", True), ("smtp", "?tls=required", True), ("smtp", "", True), ("smtp", "?tls=off", False),
])
async def test_a_message_travels_as_the_server_key_says(
        certificates: Certificates, scheme: str, query: str, secure: bool) -> None:  # noqa: FBT001 -- a table's column
    async with (
        SmtpServer(tls=certificates.right, implicit=scheme == "smtps") as server,
        email_channel(server.port, query, scheme, ca_file=certificates.ca_file) as channel,
    ):
        assert (await channel.send(envelope())).result is Result.ACCEPTED
        assert under_tls(server, b"MAIL") == [secure]
        assert server.mails[0].data == BODY


@pytest.mark.asyncio
async def test_a_long_body_travels_whole_under_tls(certificates: Certificates) -> None:
    long = BODY + (b"y" * 998 + b"\r\n") * 5_000
    async with (
        SmtpServer(tls=certificates.right) as server,
        email_channel(server.port, "?tls=required", ca_file=certificates.ca_file) as channel,
    ):
        assert (await channel.send(envelope(body=long))).result is Result.ACCEPTED
        assert server.mails[0].data == long


@pytest.mark.asyncio
async def test_tls_required_and_not_offered_holds_the_lane_and_sends_nothing(certificates: Certificates) -> None:
    async with (
        SmtpServer() as server,
        email_channel(server.port, "?tls=required", ca_file=certificates.ca_file, **SECRET) as channel,
    ):
        outcome = await channel.send(envelope())
        assert said(outcome) == SETUP_DEFERRED
        assert "STARTTLS" in outcome.detail
        assert not under_tls(server, b"MAIL")
        assert not server.seen[0].logins


@pytest.mark.asyncio
@pytest.mark.parametrize(("scheme", "query"), [("smtps", ""), ("smtp", "?tls=required")])
@pytest.mark.parametrize("authority", ["known", "unknown"])
async def test_a_wrong_certificate_holds_the_lane_and_sends_nothing(
        certificates: Certificates, scheme: str, query: str, authority: str) -> None:
    known = authority == "known"
    async with (
        SmtpServer(tls=certificates.wrong if known else certificates.right, implicit=scheme == "smtps") as server,
        email_channel(
            server.port, query, scheme, ca_file=certificates.ca_file if known else None, **SECRET) as channel,
    ):
        outcome = await channel.send(envelope())
        assert said(outcome) == SETUP_DEFERRED
        assert "certificate" in outcome.detail
        assert not server.mails
        assert not any(seen.logins for seen in server.seen)


@pytest.mark.asyncio
async def test_tls_from_the_start_to_a_server_that_speaks_plain_holds_the_lane() -> None:
    async with SmtpServer() as server, email_channel(server.port, scheme="smtps") as channel:
        assert said(await channel.send(envelope())) == SETUP_DEFERRED


@pytest.mark.asyncio
async def test_opportunistic_tls_takes_any_certificate_and_its_absence(certificates: Certificates) -> None:
    async with SmtpServer(tls=certificates.wrong) as server, email_channel(server.port) as channel:
        assert (await channel.send(envelope())).result is Result.ACCEPTED
        assert under_tls(server, b"MAIL") == [True]
    for script in (at("starttls", say("454 4.7.0 not now")), None):
        async with (
            SmtpServer(script, tls=certificates.right if script else None) as server,
            email_channel(server.port) as channel,
        ):
            assert (await channel.send(envelope())).result is Result.ACCEPTED
            assert under_tls(server, b"MAIL") == [False]


@pytest.mark.asyncio
@pytest.mark.parametrize(("act", "trouble"), [
    (say("454 4.7.0 not now"), Trouble.UNREACHABLE), (say("502 never"), Trouble.SETUP),
    (say("421 bye"), Trouble.BUSY), (CLOSE, Trouble.UNREACHABLE), (Act(b"what\r\n"), Trouble.UNREACHABLE),
    (Act(b"220 go on\r\n", end="close"), Trouble.UNREACHABLE),
], ids=["454", "502", "421", "close", "nonsense", "close in the handshake"])
async def test_a_starttls_that_fails_where_it_is_required_is_deferred(
        certificates: Certificates, act: Act, trouble: Trouble) -> None:
    async with (
        SmtpServer(at("starttls", act), tls=certificates.right) as server,
        email_channel(server.port, "?tls=required", ca_file=certificates.ca_file) as channel,
    ):
        assert said(await channel.send(envelope())) == (Result.DEFERRED, trouble, False)
        assert not server.mails


@pytest.mark.asyncio
@pytest.mark.parametrize(("offers", "mechanism"), [(PLAIN, "PLAIN"), (LOGIN, "LOGIN")])
@pytest.mark.parametrize(("scheme", "query"), [("smtps", ""), ("smtp", "?tls=required"), ("smtp", "")])
async def test_credentials_are_sent_once_per_connection_and_under_tls(
        certificates: Certificates, far_away: None, offers: tuple[str, ...], mechanism: str, scheme: str, query: str,
) -> None:
    async with (
        SmtpServer(tls=certificates.right, implicit=scheme == "smtps", offers=offers) as server,
        email_channel(server.port, query, scheme, ca_file=certificates.ca_file, **SECRET) as channel,
    ):
        for _ in range(3):
            assert (await channel.send(envelope())).result is Result.ACCEPTED
        assert server.seen[0].logins == [(mechanism, "acme", "s3cret-word", True)]


@pytest.mark.asyncio
@pytest.mark.parametrize("query", ["", "?tls=off"])
async def test_credentials_never_leave_in_clear(far_away: None, query: str) -> None:
    async with SmtpServer(offers=PLAIN) as server, email_channel(server.port, query, **SECRET) as channel:
        outcome = await channel.send(envelope())
        assert said(outcome) == SETUP_DEFERRED
        assert "never sent without TLS" in outcome.detail
        assert not under_tls(server, b"AUTH")


@pytest.mark.asyncio
async def test_credentials_never_leave_in_clear_when_starttls_is_offered_and_refused(
        certificates: Certificates, far_away: None) -> None:
    async with (
        SmtpServer(at("starttls", say("454 not now")), tls=certificates.right, offers=PLAIN) as server,
        email_channel(server.port, **SECRET) as channel,
    ):
        assert said(await channel.send(envelope())) == SETUP_DEFERRED
        assert not under_tls(server, b"AUTH")


@pytest.mark.asyncio
async def test_credentials_never_go_to_a_server_that_cannot_prove_itself(
        certificates: Certificates, far_away: None) -> None:
    async with (
        SmtpServer(tls=certificates.wrong, offers=PLAIN) as server,
        email_channel(server.port, ca_file=certificates.ca_file, **SECRET) as channel,
    ):
        assert said(await channel.send(envelope())) == SETUP_DEFERRED
        assert not server.seen[0].logins


@pytest.mark.asyncio
async def test_credentials_may_go_over_loopback_in_clear() -> None:
    async with SmtpServer(offers=PLAIN) as server, email_channel(server.port, **SECRET) as channel:
        assert (await channel.send(envelope())).result is Result.ACCEPTED
        assert server.seen[0].logins == [("PLAIN", "acme", "s3cret-word", False)]


@pytest.mark.asyncio
@pytest.mark.parametrize(("act", "trouble"), [
    (say("535 5.7.8 wrong"), Trouble.SETUP), (Act(b"535 5.7.8 wrong\r\n", end="close"), Trouble.SETUP),
    (say("454 4.7.0 later"), Trouble.UNREACHABLE), (say("421 bye"), Trouble.BUSY),
    (CLOSE, Trouble.UNREACHABLE), (Act(b"what\r\n"), Trouble.UNREACHABLE),
], ids=["535", "535 and close", "454", "421", "close", "nonsense"])
async def test_a_login_that_fails_is_tried_once_and_deferred(act: Act, trouble: Trouble) -> None:
    async with SmtpServer(at("auth", act), offers=PLAIN) as server, email_channel(server.port, **SECRET) as channel:
        outcome = await channel.send(envelope())
        assert said(outcome) == (Result.DEFERRED, trouble, False)
        assert "s3cret-word" not in outcome.detail
        assert len(under_tls(server, b"AUTH")) == 1
        assert not under_tls(server, b"MAIL")


@pytest.mark.asyncio
async def test_credentials_for_a_server_without_auth_hold_the_lane() -> None:
    async with SmtpServer() as server, email_channel(server.port, **SECRET) as channel:
        assert said(await channel.send(envelope())) == SETUP_DEFERRED


def test_a_password_is_not_in_what_options_print() -> None:
    options = EmailOptions(parse_server("smtp://localhost:25"), "news@acme.example", **SECRET)
    assert "s3cret-word" not in repr(options)


@pytest.mark.parametrize("wrong", [
    {"mail_from": "Acme <news@acme.example>"}, {"mail_from": ""}, {"mail_from": "a@b>\r\nRCPT TO:<c@d"},
    {"connections": 0}, {"messages_per_connection": 0}, {"helo": "two words"}, {"helo": "a\r\nMAIL"},
    {"ca_file": "/nowhere/ca.pem"}, {"ca_file": __file__},
])
def test_options_that_cannot_work_are_refused_when_the_channel_is_built(wrong: dict[str, object]) -> None:
    options = {"server": parse_server("smtp://localhost:25"), "mail_from": "news@acme.example", **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        build_email_channel(EmailOptions(**options))  # type: ignore[arg-type] # some of them are wrong on purpose
