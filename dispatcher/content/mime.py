"""Bodies and whole messages as bytes: RFC 2045 without 8-bit transport, CRLF only, no line above 998 octets.

A body keeps its content exactly, with two normalisations that mail has anyway: every line end is one line end,
and the last line has one.
"""

from binascii import b2a_base64, b2a_qp
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

LONGEST_LINE: Final = 998
_PLAIN: Final = bytes([9, 10, *range(32, 127)])
_BASE64_LINE: Final = 57       # octets that make a line of 76
_LINES_KEPT: Final = 1024       # of LONGEST_LINE at most, three times as long when quoted: 4 MB
_SEVEN: Final = b"Content-Transfer-Encoding: 7bit\r\n\r\n"
_QUOTED: Final = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
_BASE64: Final = b"Content-Transfer-Encoding: base64\r\n\r\n"
TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\n"
HTML: Final = b"Content-Type: text/html; charset=utf-8\r\n"


class Identity(NamedTuple):
    """What tells a message from all others, derived from its campaign and key: no customer can be read from it."""

    message_id: bytes
    boundary: bytes


def identity(campaign: str, key: str, domain: bytes) -> Identity:
    """The same for the same message on every attempt; `domain` is the sender's."""
    digest = sha256(f"message-id\0{len(campaign)}\0{campaign}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
    return Identity(b"<%b@%b>" % (digest[:32].encode(), domain), b"=_" + digest[32:].encode())


def normalised(text: str) -> str:
    """The text with line feeds as its only line ends, and one at its end."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def body_bytes(text: str) -> bytes:
    """A normalised text with its Content-Transfer-Encoding; UnicodeEncodeError for half a character.

    Plain ASCII goes as it is; other text quoted-printable, so that people and filters can read it, or base64 where
    more than half of it would be quoted.
    """
    octets = text.encode()
    if len(octets) == len(text):
        plain = not octets.translate(None, _PLAIN)
        if plain and _short_lined(octets):
            return _SEVEN + octets.replace(b"\n", b"\r\n")
    elif (len(octets) - len(text)) * 3 > len(octets):
        whole = octets.replace(b"\n", b"\r\n")
        lines = [b2a_base64(whole[at:at + _BASE64_LINE], newline=False) for at in range(0, len(whole), _BASE64_LINE)]
        return _BASE64 + b"\r\n".join(lines) + b"\r\n"
    return _QUOTED + quoted_printable(octets)


def quoted_printable(octets: bytes) -> bytes:
    """What binascii writes for a normalised text. Lines that all readers of a template get are quoted once for all."""
    if not _short_lined(octets):
        return b2a_qp(octets.replace(b"\n", b"\r\n"))
    *lines, _ = octets.split(b"\n")
    return b"".join(map(_quoted_line, lines))


@lru_cache(maxsize=_LINES_KEPT)
def _quoted_line(line: bytes) -> bytes:
    return b2a_qp(line + b"\r\n")


def _short_lined(octets: bytes) -> bool:
    """Whether no line is too long: a line feed stands in every stretch that a longest line could fill."""
    start = 0
    while len(octets) - start > LONGEST_LINE:
        start = octets.rfind(b"\n", start, start + LONGEST_LINE + 1) + 1
        if not start:
            return False
    return True


def alternative(text: bytes, html: bytes, boundary: bytes) -> bytes:
    """The Content-Type and body of a message in both forms (results of body_bytes), the richer one last."""
    while boundary in text or boundary in html:
        boundary = b"=_" + sha256(boundary).hexdigest()[:32].encode()
    return (
        b'Content-Type: multipart/alternative;\r\n boundary="%b"\r\n\r\n--%b\r\n%b%b\r\n--%b\r\n%b%b\r\n--%b--\r\n'
        % (boundary, boundary, TEXT, text, boundary, HTML, html, boundary)
    )
