"""What the email channel puts on the wire: the stored address and nothing else, the bytes and nothing else."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.email_channels import BODY, email_channel, envelope
from support.smtp_server import HELLO, SmtpServer

from channels.contract import Envelope, Result, Trouble
from channels.smtp_session import Order, is_mailbox, make_order

HEAD = b"Subject: hello\r\n\r\n"


@pytest.mark.asyncio
@pytest.mark.parametrize("text", [
    b".\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@x.example>\r\nDATA\r\n",
    b"a\r\n.\r\n.\r\n..\r\n...\r\n.x\r\n",
    b"\r\n\r\n.\r\n\r\n",
    b"." * 2_000 + b"\r\n",
], ids=["a second message", "dots", "empty lines", "a row of dots"])
async def test_any_body_arrives_as_text_and_as_one_message(text: bytes) -> None:
    async with SmtpServer() as server, email_channel(server.port) as channel:
        for body in (HEAD + text, text):
            assert (await channel.send(envelope(body=body))).result is Result.ACCEPTED
        assert [mail.data for mail in server.mails] == [HEAD + text, text]
        assert {mail.recipient for mail in server.mails} == {envelope().recipient}
        assert sum(line.startswith(b"MAIL") for line in server.lines) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(("body", "arrives"), [(b"", b""), (HEAD + b"no end", HEAD + b"no end\r\n")])
async def test_a_body_without_an_end_gets_one(body: bytes, arrives: bytes) -> None:
    async with SmtpServer() as server, email_channel(server.port) as channel:
        assert (await channel.send(envelope(body=body))).result is Result.ACCEPTED
        assert server.mails[0].data == arrives


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [
    b"a\n.\nMAIL FROM:<x@y>\n", b"a\r\n.\nb\r\n", b"a\n.\r\nb\r\n", b"a\r.\r\n", b"a\r\n\r",
])
async def test_a_body_with_bare_line_ends_is_poison_and_never_offered(body: bytes) -> None:
    async with SmtpServer() as server, email_channel(server.port) as channel:
        outcome = await channel.send(envelope(body=body))
        assert (outcome.result, outcome.trouble, outcome.reached) == (Result.REJECTED, Trouble.NONE, False)
        assert not server.seen


POISONOUS = [
    "a@b.example>\r\nRCPT TO:<c@d.example", "a@b.example> SIZE=1", "a b@c.example", "a@b.example\n", "a\x00@b.example",
    "<a@b.example>", "", "a", "@b.example", "a@", "a@b@c.example", "a\u2028@b.example", "a\ud800@b.example",
    "a\x85@b.example",
]


@pytest.mark.asyncio
@pytest.mark.parametrize("address", POISONOUS)
@pytest.mark.parametrize("smtputf8", [False, True])
async def test_an_address_that_could_end_its_path_is_never_offered(address: str, smtputf8: bool) -> None:  # noqa: FBT001 -- both ways
    async with SmtpServer() as server, email_channel(server.port) as channel:
        outcome = await channel.send(envelope(address, smtputf8=smtputf8))
        if address == "a@b@c.example":    # a quoted local part may hold an @; the border decides on that
            assert outcome.result is Result.ACCEPTED
            return
        assert (outcome.result, outcome.reached) == (Result.REJECTED, False)
        assert not server.seen


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_whatever_passes_for_a_mailbox_stays_one_path_on_one_line(address: str) -> None:
    order = make_order("news@acme.example", Envelope(address, BODY, "x", smtputf8=True))
    if is_mailbox(address):
        assert isinstance(order, Order)
        assert order.recipient.decode() == address
        assert not set(address) & set("<> \r\n\0\t")
    else:
        assert not isinstance(order, Order)


@pytest.mark.asyncio
@pytest.mark.parametrize(("offers", "body", "smtputf8", "parameters"), [
    (HELLO, BODY, False, f"SIZE={len(BODY)}"),
    (HELLO, BODY + "ä\r\n".encode(), False, f"SIZE={len(BODY) + 4} BODY=8BITMIME"),
    (HELLO, BODY, True, f"SIZE={len(BODY)} SMTPUTF8"),
    (("8BITMIME",), BODY, False, ""),
    ((), BODY + "ä\r\n".encode(), False, ""),
])
async def test_mail_names_only_what_the_server_offers(
        offers: tuple[str, ...], body: bytes, smtputf8: bool, parameters: str) -> None:  # noqa: FBT001 -- a table's column
    async with SmtpServer(offers=offers) as server, email_channel(server.port) as channel:
        address = "üser@customer.example" if smtputf8 else "user@customer.example"
        assert (await channel.send(envelope(address, body, smtputf8=smtputf8))).result is Result.ACCEPTED
        mail = server.mails[0]
        assert (mail.sender, mail.recipient, mail.parameters.strip()) == ("news@acme.example", address, parameters)


@pytest.mark.asyncio
async def test_smtputf8_that_is_not_offered_rejects_this_message_only_and_keeps_the_connection() -> None:
    async with SmtpServer(offers=("8BITMIME",)) as server, email_channel(server.port) as channel:
        outcome = await channel.send(envelope("üser@customer.example", smtputf8=True))
        assert (outcome.result, outcome.trouble, outcome.reached) == (Result.REJECTED, Trouble.NONE, False)
        assert "SMTPUTF8" in outcome.detail
        assert (await channel.send(envelope())).result is Result.ACCEPTED
        assert [seen.messages for seen in server.seen] == [1]


@pytest.mark.asyncio
@pytest.mark.parametrize(("offer", "result"), [
    ("SIZE 40", Result.REJECTED), (f"SIZE {len(BODY)}", Result.ACCEPTED), ("SIZE 0", Result.ACCEPTED),
    ("SIZE", Result.ACCEPTED), ("SIZE much", Result.ACCEPTED), ("SIZE ²", Result.ACCEPTED),
    ("SIZE -1", Result.ACCEPTED),
])
async def test_a_message_above_the_size_that_the_server_tells_is_not_offered(offer: str, result: Result) -> None:
    body = BODY + b"x" * 40 + b"\r\n" if offer == "SIZE 40" else BODY
    async with SmtpServer(offers=(offer,)) as server, email_channel(server.port) as channel:
        outcome = await channel.send(envelope(body=body))
        assert outcome.result is result
        assert outcome.reached == (result is Result.ACCEPTED)


@pytest.mark.asyncio
@pytest.mark.parametrize(("helo", "line"), [
    ("mail.acme.example", b"EHLO mail.acme.example\r\n"), ("", b"EHLO [127.0.0.1]\r\n"),
])
async def test_ehlo_gives_the_configured_name_or_the_address(helo: str, line: bytes) -> None:
    async with SmtpServer() as server, email_channel(server.port, helo=helo) as channel:
        await channel.send(envelope())
        assert server.lines[0] == line


@given(st.binary(max_size=300).map(lambda text: text.replace(b"\r", b"").replace(b"\n", b"\r\n")))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.asyncio
async def test_bytes_arrive_as_they_are(text: bytes) -> None:
    async with SmtpServer() as server, email_channel(server.port) as channel:
        assert (await channel.send(envelope(body=text))).result is Result.ACCEPTED
        assert server.mails[0].data == (text if not text or text.endswith(b"\r\n") else text + b"\r\n")
