import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from config.addresses import header_safe, normalise, parse_address, parse_mailbox

BREAKING = ["\r", "\n", "\0", "\t", "\x1b", "\x7f", "\x85", "\x9f", "\u2028", "\u2029", "\ud800", "\udfff"]


@pytest.mark.parametrize("text", [
    "a@b.example", "first.last+tag@mail.example", "o'neil@mail.example", "!#$%&'*+/=?^_`{|}~-@mail.example",
    "a@r3---sn.example", "a@xn--exmple-cua.org", "1@2.example", f"{'l' * 64}@mail.example", "a@a-b.co",
])
def test_an_ascii_address_is_kept_as_it_is(text: str) -> None:
    address = parse_address(text)
    assert str(address) == text
    assert not address.smtputf8


def test_the_domain_is_lower_cased_and_the_local_part_is_not() -> None:
    address = parse_address("Some.One@Mail.EXAMPLE")
    assert (address.local, address.domain, str(address)) == ("Some.One", "mail.example", "Some.One@mail.example")


@pytest.mark.parametrize(("text", "stored", "utf8"), [
    ("user@exämple.org", "user@xn--exmple-cua.org", False),
    ("user@EXÄMPLE.org", "user@xn--exmple-cua.org", False),
    ("user@straße.de", "user@xn--strae-oqa.de", False),
    ("user@例え.テスト", "user@xn--r8jz45g.xn--zckzah", False),
    ("user@\uff4dail\uff0eexample", "user@mail.example", False),
    ("üser@mail.example", "üser@mail.example", True),
    ("用户@例え.テスト", "用户@xn--r8jz45g.xn--zckzah", True),
])
def test_an_international_address_is_stored_with_its_a_label(text: str, stored: str, utf8: bool) -> None:  # noqa: FBT001 -- a table's column
    address = parse_address(text)
    assert str(address) == stored
    assert address.smtputf8 is utf8


@pytest.mark.parametrize(("text", "why"), [
    ("", "is empty"),
    ("<>", "is empty"),
    ("a", "has no @"),
    ("@mail.example", "nothing before"),
    ("a@", "nothing after"),
    ("a@b.example,c@d.example", "more than one"),
    ("a@b.example;", "more than one"),
    ("a@b@c.example", "more than one"),
    ("@relay.example:a@b.example", "source route"),
    ("<@relay.example,@other.example:a@b.example>", "source route"),
    ("<a@b.example>", "< or >"),
    ("Name <a@b.example>", "white space"),
    (" a@b.example", "white space"),
    ("a@b.example ", "white space"),
    ("a b@c.example", "white space"),
    ("a\u00a0b@c.example", "white space"),
    ("a@b .example", "white space"),
    ('"a b"@c.example', "quoted local part"),
    ('"a"@c.example', "quoted local part"),
    ("a(comment)@b.example", "holds ( before"),
    ("a\\b@c.example", "holds \\ before"),
    (".a@b.example", "dot at an end"),
    ("a.@b.example", "dot at an end"),
    ("a..b@c.example", "dot at an end, or two"),
    (f"{'l' * 65}@b.example", "more than 64 octets"),
    (f"{'ü' * 33}@b.example", "more than 64 octets"),
    (f"a@{'b' * 390}.example", "too long"),
    (f"{'l' * 60}@{'.'.join(['d' * 60] * 3)}.example.example", "too long"),
    ("a@localhost", "without a dot"),
    ("a@[127.0.0.1]", "IP address"),
    ("a@[IPv6:::1]", "IP address"),
    ("a@127.0.0.1", "no valid domain"),
    ("a@.example", "dot at an end"),
    ("a@b.example.", "dot at an end"),
    ("a@b..example", "two in a row"),
    ("a@-b.example", "no valid domain"),
    ("a@b-.example", "no valid domain"),
    ("a@b_c.example", "no valid domain"),
    ("a@b.123", "no valid domain"),
    (f"a@{'b' * 64}.example", "no valid domain"),
    ("a@xn--a.example", "no valid international domain"),
    ("a@☃☃.example\u200b", "no valid international domain"),
    ("a@b\u200bc.exam\u0378ple", "no valid international domain"),
    ("a\u200bb@c.example", "invisible"),
    ("a\u202eb@c.example", "invisible"),
    ("a\ue000b@c.example", "invisible"),
])
def test_what_is_no_single_plain_address_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_address(text)


@pytest.mark.parametrize("character", BREAKING)
@pytest.mark.parametrize("text", ["a{}@b.example", "a@b{}.example", "{}a@b.example", "a@b.example{}"])
def test_no_control_character_passes_anywhere(text: str, character: str) -> None:
    with pytest.raises(ValueError, match=r"holds .*U\+"):
        parse_address(text.format(character))


@pytest.mark.parametrize("text", ["secret.person@b@c", "secret.person @b.example", "secret.person@localhost"])
def test_a_refusal_does_not_repeat_the_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(holds|has|is) ") as refused:
        parse_address(text)
    assert "secret" not in str(refused.value)


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert str(address).count("@") == 1
    assert str(address).isprintable()
    assert " " not in str(address)


LOCALS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
DOMAINS = st.sampled_from(["mail.example", "MAIL.example", "exämple.org", "例え.テスト", "a-b.co.example"])


@given(LOCALS, DOMAINS)
def test_what_is_stored_reads_as_itself(local: str, domain: str) -> None:
    try:
        stored = str(parse_address(f"{local}@{domain}"))
    except ValueError:
        assume(False)   # noqa: FBT003 -- hypothesis asks for it so
        raise
    assert str(parse_address(stored)) == stored
    assert normalise(stored) == normalise(f"{local}@{domain}")


@pytest.mark.parametrize(("one", "other"), [
    ("Some.One@Mail.Example", "some.one@mail.example"),
    ("user@EXÄMPLE.org", "USER@xn--exmple-cua.org"),
    ("Üser@mail.example", "üser@mail.example"),
    ("u\u0308ser@mail.example", "ÜSER@mail.example"),
    ("straße@mail.example", "STRASSE@mail.example"),
])
def test_the_same_address_written_otherwise_is_suppressed_too(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


def test_addresses_that_differ_stay_different() -> None:
    assert len({normalise(f"{local}@mail.example") for local in ("a.b", "ab", "a+b", "a-b")}) == 4


@pytest.mark.parametrize(("text", "name", "written"), [
    ("support@acme.example", "", "support@acme.example"),
    ("<support@acme.example>", "", "support@acme.example"),
    ("Acme Support <support@acme.example>", "Acme Support", "Acme Support <support@acme.example>"),
    ("Acme Support<support@acme.example>", "Acme Support", "Acme Support <support@acme.example>"),
    ("Ácme Süpport <support@acme.example>", "Ácme Süpport", "Ácme Süpport <support@acme.example>"),
    ("O'Neil & Co. <o@acme.example>", "O'Neil & Co.", "O'Neil & Co. <o@acme.example>"),
    ('"Acme, Inc." <o@acme.example>', "Acme, Inc.", '"Acme, Inc." <o@acme.example>'),
    ('"say \\"hi\\" \\\\" <o@acme.example>', 'say "hi" \\', '"say \\"hi\\" \\\\" <o@acme.example>'),
])
def test_a_mailbox_is_an_address_with_or_without_a_name(text: str, name: str, written: str) -> None:
    mailbox = parse_mailbox(text)
    assert mailbox.name == name
    assert str(mailbox) == written
    assert parse_mailbox(written) == mailbox


@pytest.mark.parametrize(("text", "why"), [
    ("Acme, Inc. <o@acme.example>", "quotes"),
    ("Acme <o@acme.example> more", "white space"),
    ("Acme <o@acme.example>, B <b@acme.example>", "white space"),
    ("Acme <o@acme.example", "white space"),
    ("Acme <<o@acme.example>>", "white space"),
    ("Acme <o@localhost>", "without a dot"),
    ("Acme < o@acme.example>", "white space"),
    ("=?utf-8?q?hi=0D=0ABcc:_x@y.z?= <o@acme.example>", "name"),
    ('"=?utf-8?q?hi?=" <o@acme.example>', "encoded name"),
    ('"half <o@acme.example>', "quotes"),
    ("", "is empty"),
    ("Acme <>", "is empty"),
])
def test_what_is_no_single_mailbox_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_mailbox(text)


@pytest.mark.parametrize("character", BREAKING)
def test_no_control_character_passes_in_a_display_name(character: str) -> None:
    with pytest.raises(ValueError, match=r"holds .*U\+"):
        parse_mailbox(f"Ac{character}me <o@acme.example>")


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029")))
def test_text_without_control_characters_may_stand_in_a_header(text: str) -> None:
    assert header_safe(text) is None


@given(st.text(), st.sampled_from(BREAKING), st.text())
def test_nothing_that_could_break_a_header_line_passes(before: str, character: str, after: str) -> None:
    with pytest.raises(ValueError, match=r"holds .*U\+"):
        header_safe(before + character + after)
