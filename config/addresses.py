"""Mail addresses, read strictly at the border: what passes here may stand in RCPT TO and in a header as it is.

Refused is all that servers and libraries read in different ways: quoted local parts, routes, groups, comments, domain
literals, more than one address. A domain is kept as written and as A-label (IDNA 2008 with the UTS 46 mapping); a
local part beyond ASCII is accepted and flagged, for only a server with SMTPUTF8 takes it. No message repeats the
address: it belongs to a person, and messages get logged.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

import idna

LONGEST: Final = 254            # characters of a path without its brackets (RFC 5321 4.5.3.1.3, erratum 1690)
LONGEST_LOCAL: Final = 64       # octets (RFC 5321 4.5.3.1.1)
LONGEST_DOMAIN: Final = 253

_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# What nearly every address is: a plain ASCII dot-atom, and a domain without A-labels.
_PLAIN: Final = re.compile(
    rf"({_ATEXT}+(?:\.{_ATEXT}+)*)@((?:(?![Xx][Nn]--){_LABEL}\.)+(?![Xx][Nn]--)(?![0-9]+\Z){_LABEL})"
)
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_ATOM: Final = re.compile(rf"{_ATEXT}+")
_BREAKING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MAILBOX: Final = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SPECIALS: Final = re.compile(r'[()<>\[\]:;@\\,"]')
_NAMES: Final = {"\r": "a line break", "\n": "a line break", "\x00": "a NUL", "\u2028": "a line separator",
                 "\u2029": "a paragraph separator", "\x85": "a line break"}
_UNSEEN: Final = {"Cf", "Cn", "Co"}      # format characters, unassigned, private use: no two programs agree on them


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox's address. Its text is what is stored and what RCPT gets: the local part as it was, the A-label."""

    local: str
    domain: str             # as written, lower-cased
    ascii_domain: str       # as A-label, lower-cased

    @property
    def smtputf8(self) -> bool:
        """True where only a server with SMTPUTF8 takes it."""
        return not self.local.isascii()

    def __str__(self) -> str:
        """The address to store and to send to."""
        return f"{self.local}@{self.ascii_domain}"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with the name that a reader sees; "" where there is none."""

    name: str
    address: Address

    def __str__(self) -> str:
        """As one would write it: `Acme Support <support@acme.example>`."""
        if not self.name:
            return str(self.address)
        name = self.name
        if _SPECIALS.search(name):
            name = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
        return f"{name} <{self.address}>"


def header_safe(text: str) -> None:
    """Raises ValueError where a text holds what could break a header line, or cannot be encoded at all.

    That is every control character (tab too), the separators U+2028 and U+2029, and lone surrogates.
    """
    found = _BREAKING.search(text)
    if found is None:
        return
    character = found[0]
    what = "a lone surrogate" if character >= "\ud800" else _NAMES.get(character, "a control character")
    raise ValueError(f"holds {what} (U+{ord(character):04X})")


def parse_address(text: str) -> Address:
    """The address that a text is, and nothing around it; ValueError says why it is none."""
    found = _PLAIN.fullmatch(text) if len(text) <= LONGEST else None
    if found is not None:
        local, domain = found.groups()
        if len(local) <= LONGEST_LOCAL:
            domain = domain.lower()
            return Address(local, domain, domain)
    return _parse_slowly(text)


def normalise(text: str) -> str:
    """The form in which suppressed addresses are compared: what a person would call the same address is the same."""
    address = parse_address(text)
    if not address.smtputf8:
        return f"{address.local}@{address.ascii_domain}".lower()
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", address.local).casefold())
    return f"{local}@{address.ascii_domain}"


def parse_mailbox(text: str) -> Mailbox:
    """`Acme Support <support@acme.example>`, or the bare address; a name with special characters stands in quotes."""
    header_safe(text)
    found = _MAILBOX.fullmatch(text)
    if found is None:
        return Mailbox("", parse_address(text))
    return Mailbox(_display_name(found["name"].strip(" ")), parse_address(found["address"]))


def _display_name(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _SPECIALS.search(text):
        raise ValueError('has a name with a special character; put the name in quotes: "Acme, Inc." <a@acme.example>')
    if "=?" in text:
        raise ValueError("has an encoded name (=?...?=); write the name as it reads")
    return text


def _parse_slowly(text: str) -> Address:
    """Everything that is not plain: says what is wrong, or reads what is international."""
    _check_whole(text)
    local, _, domain = text.rpartition("@")
    _check_local(local)
    _check_written_domain(domain)
    address = Address(local, domain.lower(), _ascii_domain(domain))
    if len(local.encode()) + 1 + len(address.ascii_domain) > LONGEST:
        raise ValueError(f"is too long: an address has at most {LONGEST} characters")
    return address


def _check_whole(text: str) -> None:
    if text in {"", "<>"}:
        raise ValueError("is empty; an address looks like name@example.org")
    if len(text) > LONGEST:
        raise ValueError(f"is too long: an address has at most {LONGEST} characters")
    header_safe(text)
    if text.startswith(("@", "<@")) and ":" in text:
        raise ValueError("holds a source route; write the address alone")
    if text.startswith('"'):
        raise ValueError("has a quoted local part, which many servers misread; it is not supported")
    if any(character.isspace() for character in text):
        raise ValueError("holds white space, around it or inside; write the address alone")
    if "<" in text or ">" in text:
        raise ValueError("holds < or >; write the address alone")
    if text.count("@") > 1 or "," in text or ";" in text:
        raise ValueError("is more than one address; write exactly one")
    if "@" not in text:
        raise ValueError("has no @; an address looks like name@example.org")


def _check_local(local: str) -> None:
    if not local:
        raise ValueError("has nothing before the @")
    if len(local.encode()) > LONGEST_LOCAL:
        raise ValueError(f"has more than {LONGEST_LOCAL} octets before the @")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise ValueError("has a dot at an end, or two in a row, before the @")
    for character in local:
        if character == "." or _ATOM.match(character):
            continue
        if character.isascii():
            raise ValueError(f"holds {character} before the @, which no address holds unquoted")
        if unicodedata.category(character) in _UNSEEN:
            raise ValueError(f"holds an invisible or unknown character before the @ (U+{ord(character):04X})")


def _check_written_domain(domain: str) -> None:
    if not domain:
        raise ValueError("has nothing after the @")
    if domain.startswith("["):
        raise ValueError("has an IP address after the @; write the domain's name")
    if domain.startswith(".") or domain.endswith(".") or ".." in domain:
        raise ValueError("has a dot at an end, or two in a row, after the @")


def _ascii_domain(domain: str) -> str:
    try:
        ascii_domain = domain.lower() if _is_plain(domain) else idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise ValueError("has no valid international domain after the @") from None
    if len(ascii_domain) > LONGEST_DOMAIN or not _DOMAIN.fullmatch(ascii_domain):
        raise ValueError("has no valid domain after the @; its labels are letters, digits and inner hyphens")
    if "." not in ascii_domain:
        raise ValueError("has a domain without a dot after the @; only full domains are reachable")
    return ascii_domain


def _is_plain(domain: str) -> bool:
    return domain.isascii() and not any(label[:4].lower() == "xn--" for label in domain.split("."))
