"""Bytes: exact whatever the words hold, CRLF only, no long line, only our headers, the same every time."""

import re
from binascii import b2a_qp
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.letters import JO, RELEASED, SUPPORT, campaign, contents, letter, message, read

from config.addresses import parse_mailbox
from dispatcher.content import readback, skeleton
from dispatcher.content.faults import MessageFault
from dispatcher.content.headers import mailbox_bytes, subject_bytes
from dispatcher.content.mime import body_bytes, identity, normalised, quoted_printable
from dispatcher.content.skeleton import SenderIdentity, prepare

WORDS = campaign("{{ data.subject }}", "{{ data.text }}", "{{ data.html | safe }}")
FIELDS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
BODIES = [
    ".", "..\n.", "a\n.\nMAIL FROM:<x@y.example>\nRCPT TO:<z@y.example>\n", "x" * 997, "x" * 998, "x" * 999,
    "x" * 5000, "x" * 998 + "\n" + "y" * 998, "x" * 998 + "\n" + "y" * 999, "x\n" * 600 + "y" * 999,
    "\u00fc" * 5000, "trailing \nspaces\t\n \n", "trailing \u00fc \nspaces\t\n \n", "a\r\nb\rc\nd", "\n\n\n",
    "x\n\n\u00fc\n\n",
    "=", "=\n=3D\u00fc=", "From here\nFrom there \u00fc", "--\n-- \n", "a\x00b\x0b\x0c\x1c\x1d\x1e\x7f",
    "\u00fc\x85\u2028\u2029x",
    "\ufeffx", "\U0001f600" * 300, "\u0434\u043e\u0431\u0440\u044b\u0439 " * 60, "=?utf-8?q?hi=0D=0A?=", "\t",
    "x" * 76 + "\u00fc",
    "x" * 75 + " \u00fc\n" + "x" * 74 + " \n", ("y" * 74 + "=\n") * 3 + "\u00fc",
]
# Whatever may stand in a header: all but controls, separators and half characters; nothing that strip() takes off.
HEADER_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=200,
).filter(lambda text: text == text.strip())
BODY_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400),
    st.text("ab .=\t\r\n\u00fc", min_size=1, max_size=400),
    st.text("ab .=\t\n", min_size=1, max_size=20).map(lambda text: text * 90),
).filter(lambda text: not text.isspace())


def lines_of(body: bytes) -> list[bytes]:
    """The lines of a message, which must be ended by CRLF and hold no other CR or LF."""
    assert body.endswith(b"\r\n")
    lines = body.removesuffix(b"\r\n").split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998
    return lines


def standard(subject: str, text: str, html: str) -> EmailMessage:
    """The same message built by the standard library and read back."""
    built = EmailMessage(policy=SMTP)
    built["Subject"] = subject
    built.set_content(text, cte="base64")
    built.add_alternative(html, subtype="html", cte="base64")
    return read(built.as_bytes())


@given(HEADER_TEXT, BODY_TEXT, BODY_TEXT)
@example("=?utf-8?q?hi=0D=0ABcc:_x@y.z?=", ".\n.", "x" * 2000)
@example("a  b" * 40, "x", "y")
@example("word " * 40 + "end", "x", "y")
@example("w" * 950, "x", "y")
@example("\U0001f600" * 120, "x", "y")
@example("a =?utf-8?q?x?= \u00fc", "x", "y")
def test_what_we_write_reads_as_it_was_meant_and_as_the_standard_library_would_say_it(
    subject: str, text: str, html: str,
) -> None:
    prepared = prepare(WORDS, "*", SUPPORT)
    said = message({"subject": subject, "text": text, "html": html})
    body = prepared.fill(said, JO).body
    lines_of(body)
    assert body.isascii()
    found = read(body)
    assert found.keys() == FIELDS
    assert found["Subject"] == subject
    assert [part.get_content_type() for part in found.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert contents(body) == {"text/plain": normalised(text), "text/html": normalised(html)}
    theirs = standard(subject, normalised(text), normalised(html))
    assert theirs["Subject"] == found["Subject"] or "=?" in subject     # it decodes what was given to it as text
    assert contents(body) == contents(theirs.as_bytes())
    assert prepared.fill(said, JO).body == prepare(WORDS, "*", SUPPORT).fill(said, JO).body == body


@pytest.mark.parametrize("text", BODIES)
@pytest.mark.parametrize("alone", [True, False])
def test_every_awkward_body_arrives_as_it_was(text: str, alone: bool) -> None:  # noqa: FBT001 -- a parameter of the table
    if text.isspace():
        text += "x"
    said = campaign(text="{{ data.text }}") if alone else WORDS
    body = letter(said, data={"subject": "s", "text": text, "html": "<p>" + text}).body
    lines_of(body)
    assert contents(body)["text/plain"] == normalised(text)
    assert contents(body).get("text/html", normalised("<p>" + text)) == normalised("<p>" + text)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", "7bit"), ("x" * 998 + "\n", "7bit"),
        ("x" * 999 + "\n", "quoted-printable"), ("a\x00\n", "quoted-printable"),
        ("Gr\u00fc\u00dfe aus Berlin\n", "quoted-printable"), ("\u0434\u043e\u0431\u0440\u044b\u0439\n", "base64"),
    ],
)
def test_the_lightest_encoding_that_is_safe_is_taken(text: str, encoding: str) -> None:
    assert body_bytes(text).startswith(f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode())


@given(st.text(st.sampled_from("ab=. \t\n\x00\u00fc\u0434\U0001f600"), max_size=400) | BODY_TEXT)
@example("x" * 75 + "\n" + "y" * 76 + "\n" + "=" * 26 + "\n")
@example("\u00fc" * 600 + "\n\u00fc\n")
@example("\u00fc.\n.\n")
@example(".\n=")
@example("\u00fc \n")
@example("".join(map(chr, range(160, 200))))
def test_text_is_quoted_as_binascii_quotes_it(text: str) -> None:
    octets = normalised(text).encode()
    assert quoted_printable(octets) == b2a_qp(octets.replace(b"\n", b"\r\n"))


def test_lines_of_encoded_bodies_stay_short() -> None:
    for text in ("\u00fc " * 5000 + "\n", ("x" * 74 + " \n\u00fc") * 5 + "\n", "\u0434" * 5000 + "\n"):
        assert max(map(len, body_bytes(text).split(b"\r\n"))) <= 78


def test_a_message_looks_like_this() -> None:
    said = campaign("Hello {{ customer.name }}", "Hi {{ customer.name }}\n", "<p>Hi {{ customer.name }}</p>\n")
    sender = SenderIdentity("support", SUPPORT.mailbox, parse_mailbox("help@acme.example"))
    made = prepare(said, "*", sender).fill(message(), JO)
    own = identity("delay", "A-17", b"acme.example")
    assert made.recipient == "jo@example.org"
    assert made.smtputf8 is False
    assert made.body.decode().split("\r\n") == [
        "From: Acme Support <support@acme.example>",
        "To: jo@example.org",
        "Reply-To: help@acme.example",
        "Subject: Hello Jo",
        "Date: Sun, 01 Mar 2026 09:00:00 +0000",
        f"Message-ID: {own.message_id.decode()}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: multipart/alternative;",
        f' boundary="{own.boundary.decode()}"',
        "",
        f"--{own.boundary.decode()}",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "Hi Jo",
        "",
        f"--{own.boundary.decode()}",
        "Content-Type: text/html; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "<p>Hi Jo</p>",
        "",
        f"--{own.boundary.decode()}--",
        "",
    ]


def test_the_message_id_follows_from_campaign_and_key_alone_and_gives_nobody_away() -> None:
    one = read(letter(campaign(), key="jo@example.org").body)["Message-ID"]
    assert re.fullmatch(r"<[0-9a-f]{32}@acme\.example>", one)
    other = letter(campaign("other", "words"), replace(JO, id="c-2"), key="jo@example.org")
    assert read(other.body)["Message-ID"] == one
    pairs = [("a", "bc"), ("ab", "c"), ("a\0b", "c"), ("a", "b\0c"), ("abc", "")]
    assert len({identity(campaign_id, key, b"x").message_id for campaign_id, key in pairs}) == len(pairs)


def test_a_boundary_that_stands_in_a_body_gives_way_to_another() -> None:
    taken = identity("delay", "A-17", b"acme.example").boundary.decode()
    data = {"subject": "s", "text": f"--{taken}\n--{taken}--\n", "html": f"<p>--{taken}</p>\n"}
    body = letter(WORDS, data=data).body
    assert contents(body) == {"text/plain": data["text"], "text/html": data["html"]}
    assert body == letter(WORDS, data=data).body
    assert f'boundary="{taken}"'.encode() not in body


@pytest.mark.parametrize(
    ("mailbox", "name"),
    [
        ("support@acme.example", ""),
        ("Acme Support <support@acme.example>", "Acme Support"),
        ('"Acme, Inc. (\\"A\\")" <support@acme.example>', 'Acme, Inc. ("A")'),
        ("Gr\u00fc\u00dfe & Co <support@acme.example>", "Gr\u00fc\u00dfe & Co"),
        ("\u5c71" * 60 + " <support@acme.example>", "\u5c71" * 60),
        (f"{'Long ' * 30}Name <support@acme.example>", "Long " * 30 + "Name"),
        ("support@b\u00fccher.example", ""),
    ],
)
def test_from_and_reply_to_read_back(mailbox: str, name: str) -> None:
    sender = SenderIdentity("support", parse_mailbox(mailbox), parse_mailbox(mailbox))
    body = prepare(campaign(), "*", sender).fill(message(), JO).body
    lines_of(body)
    for field in ("From", "Reply-To"):
        (address,) = read(body)[field].addresses
        assert address.display_name.replace(" ", "") == name.replace(" ", "")    # see readback.py
        assert address.addr_spec == str(sender.mailbox.address)
    assert mailbox_bytes(sender.mailbox).isascii()


def test_a_subject_is_folded_only_where_it_reads_the_same() -> None:
    for subject in ("short", "word " * 40 + "end", "a  b" * 40, "w" * 998, "\u00fc" * 300, "x =?= y" * 30):
        written = subject_bytes(subject)
        assert max(map(len, written.split(b"\r\n"))) <= 76
        assert read(b"Subject: " + written + b"\r\n\r\n")["Subject"] == subject


@pytest.mark.parametrize("address", ["j\u00f6@example.org", "\u5c71\u7530@example.org"])
def test_an_international_address_goes_raw_and_is_flagged(address: str) -> None:
    made = letter(campaign(), replace(JO, email=address))
    assert made.smtputf8 is True
    assert made.recipient == address
    assert f"\r\nTo: {address}\r\n".encode() in made.body
    lines_of(made.body)


@pytest.mark.parametrize(
    "address",
    ["", "<>", "a@b.example,c@d.example", "a@b.example\r\nBcc: c@d.example", "a b@c.example", "A <a@b.example>",
     "=?utf-8?q?hi=0D=0ABcc:_x?=@y.example", "a@B.EXAMPLE", "a@localhost"],
)
def test_an_address_that_is_not_one_stored_address_stops_its_message(address: str) -> None:
    with pytest.raises(MessageFault, match="the customer's email address") as caught:
        letter(campaign(), replace(JO, email=address))
    assert not address or address not in str(caught.value)


def test_reply_to_may_follow_from_the_message() -> None:
    said = campaign(reply_to="{{ data.team }} <{{ data.team }}@acme.example>")
    assert read(letter(said, data={"team": "berlin"}).body)["Reply-To"] == "berlin <berlin@acme.example>"
    for team in ("a\r\nBcc: x", "a@b, c", "", "x" * 80):
        with pytest.raises(MessageFault, match=r"email\.reply_to"):
            letter(said, data={"team": team})


def test_one_click_unsubscribe_stands_raw_on_its_own_lines_once_there_is_an_address() -> None:
    url = "https://notify.acme.example/u/" + "t" * 300
    said = campaign(text="Bye: {{ unsubscribe_url }}")
    body = prepare(said, "*", SUPPORT, unsubscribable=True).fill(message(), JO, url).body
    assert f"List-Unsubscribe: <{url}>".encode() in lines_of(body)
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines_of(body)
    assert contents(body)["text/plain"] == f"Bye: {url}\n"
    assert b"List-Unsubscribe" not in letter(campaign()).body


@pytest.mark.parametrize(
    "url", ["https://a.example/\r\nBcc: x", "https://a.example/a>b", "https://a.example/" + "x" * 998],
)
def test_an_unsubscribe_address_that_could_break_its_header_is_refused(url: str) -> None:
    with pytest.raises(MessageFault):
        prepare(campaign(), "*", SUPPORT, unsubscribable=True).fill(message(), JO, url)


def test_an_unsubscribe_address_goes_with_a_skeleton_made_for_one() -> None:
    with pytest.raises(ValueError, match="unsubscribe_url"):
        prepare(campaign(), "*", SUPPORT).fill(message(), JO, "https://a.example/")
    with pytest.raises(ValueError, match="unsubscribe_url"):
        prepare(campaign(), "*", SUPPORT, unsubscribable=True).fill(message(), JO)


def test_a_message_that_was_never_released_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="released_at"):
        prepare(campaign(), "*", SUPPORT).fill(replace(message(), released_at=None), JO)


def test_what_comes_out_empty_or_oversized_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MessageFault, match=r"email\.subject comes out empty"):
        letter(WORDS, data={"subject": " ", "text": "x", "html": "x"})
    with pytest.raises(MessageFault, match=r"email\.text comes out empty"):
        letter(WORDS, data={"subject": "x", "text": "\n", "html": "x"})
    with pytest.raises(MessageFault, match=r"email\.subject: oversized"):
        letter(WORDS, data={"subject": "x" * 999, "text": "x", "html": "x"})
    with pytest.raises(MessageFault, match=r"email\.text: oversized"):
        letter(WORDS, data={"subject": "x", "text": "x" * 200_000, "html": "x"})
    monkeypatch.setattr(skeleton, "OVERSIZED", 1000)
    with pytest.raises(MessageFault, match=r"^oversized: "):
        letter(WORDS, data={"subject": "x", "text": "x" * 2000, "html": "x"})


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        (b"Subject: s", b"Subject: s!", "Subject"),
        (b"jo@example.org", b"bo@example.org", "To"),
        (b"Acme Support", b"Acme", "From"),
        (b"01 Mar", b"02 Mar", "Date"),
        (b"<p>html", b"<p>", "the body"),
        (b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\r\nX-More: x\r\n", "the header's fields"),
        (b"text/html", b"text/plain", "the body"),
    ],
)
def test_a_skeleton_that_wrote_something_else_is_found_out_on_its_first_message(
    monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes, wrong: str,
) -> None:
    prepared = prepare(WORDS, "*", SUPPORT)
    said = message({"subject": "s", "text": "text\n", "html": "<p>html</p>\n"})

    def spoiled(body: bytes, meant: readback.Meant) -> list[str]:
        assert old in body
        return readback.differences(body.replace(old, new), meant)

    with monkeypatch.context() as patched:
        patched.setattr(skeleton, "differences", spoiled)
        for _ in range(2):
            with pytest.raises(MessageFault, match=f"does not read back as it was written: {wrong}"):
                prepared.fill(said, JO)
    assert prepared.fill(said, JO).body


def test_the_date_is_that_of_the_release_in_utc() -> None:
    assert read(letter(campaign()).body)["Date"].datetime.timestamp() * 1000 == RELEASED
