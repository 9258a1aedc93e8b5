"""Header values as bytes: exact, one line each unless folded here, and never more fields than were meant.

RFC 5322 and 2047. Whatever reaches a header passes `header_safe` first; a text that holds "=?" is itself encoded, so
that what looks like an encoded word arrives as the characters it is written with.
"""

import re
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from config.addresses import Mailbox, header_safe

_LINE: Final = 76           # characters of a line that holds an encoded word, at most (RFC 2047, section 2)
_FIRST: Final = 39          # octets in a header's first encoded word: 64 characters, beside "Subject: "
_NEXT: Final = 45           # octets in a later one: 72 characters
_LONGEST: Final = 900       # a word that no fold can shorten to a line of 998 is encoded instead
_PHRASE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def subject_bytes(subject: str) -> bytes:
    """The value of a Subject field; ValueError for a text that cannot stand in a header."""
    if subject.isascii() and subject.isprintable() and "=?" not in subject:
        if len(subject) <= _LINE - 9:
            return subject.encode("ascii")
        folded = _folded(subject)
        if folded:
            return folded
    header_safe(subject)
    return _encoded(subject)


def mailbox_bytes(mailbox: Mailbox) -> bytes:
    """The value of From or Reply-To; the address itself is never encoded."""
    header_safe(str(mailbox))
    address = str(mailbox.address).encode()
    name = mailbox.name
    if not name:
        return address
    if not name.isascii() or "=?" in name or len(name) > _LINE:
        return _encoded(name) + b"\r\n <" + address + b">"
    if not _PHRASE.fullmatch(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return name.encode("ascii") + b" <" + address + b">"


@lru_cache(maxsize=1024)
def date_bytes(second: int) -> bytes:
    """The value of Date for a second since the epoch, in UTC."""
    return format_datetime(datetime.fromtimestamp(second, UTC)).encode("ascii")


def _folded(text: str) -> bytes:
    """A long ASCII text, folded before some of its spaces, which unfolding leaves as they were; b"" if it cannot be."""
    lines: list[str] = []
    line = ""
    room = _LINE - 9
    for word in text.split(" "):
        if not word or len(word) > _LONGEST:
            return b""      # two spaces in a row could leave a line of nothing but white space
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line, room = "", _LINE
        line = f"{line} {word}" if line or lines else word
    return "\r\n".join([*lines, line]).encode("ascii")


def _encoded(text: str) -> bytes:
    """A text as encoded words (UTF-8, base64), each of whole characters, one a line."""
    octets = text.encode()
    words: list[bytes] = []
    start = 0
    while start < len(octets):
        end = start + (_NEXT if words else _FIRST)
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # noqa: PLR2004 -- 10xxxxxx continues a character
            end -= 1
        words.append(b"=?utf-8?b?" + b64encode(octets[start:end]) + b"?=")
        start = end
    return b"\r\n ".join(words)
