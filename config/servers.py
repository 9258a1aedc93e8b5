"""The address of a mail server, as ops write it: smtp://HOST[:PORT][?tls=required|off] or smtps://HOST[:PORT]."""

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^/?#]*)@)?(?P<host>\[[^\]/?#@]*\]|[^:/?#@\[\]]*)"
    r"(?::(?P<port>[^/?#]*))?(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_HOST: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*", re.ASCII)
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_LAST_PORT: Final = 65_535
_FORM: Final = 'write "smtp://HOST:PORT", with "?tls=required" to insist on TLS, or "smtps://HOST:PORT"'


class Tls(StrEnum):
    """How a connection comes by its encryption."""

    OFF = "off"              # never, not even where the server offers it
    OFFERED = "offered"      # STARTTLS where the server offers it
    REQUIRED = "required"    # STARTTLS, or nothing is sent
    IMPLICIT = "implicit"    # from the first byte (smtps)


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server to hand messages to."""

    host: str       # a name, or an IP address without brackets
    port: int
    tls: Tls

    @property
    def loopback(self) -> bool:
        """True where what is sent stays on this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """The address as it would be written in full."""
        scheme = "smtps" if self.tls is Tls.IMPLICIT else "smtp"
        query = f"?tls={self.tls}" if self.tls in {Tls.OFF, Tls.REQUIRED} else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{query}"


def parse_server(text: str) -> Server:
    """The server that a URL names, or ValueError with what is allowed; the URL itself is never repeated."""
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError(f"is no server; {_FORM}")
    if found["user"] is not None:
        raise ValueError("holds a user name; write it as username and password, beside server")
    if found["scheme"] not in {"smtp", "smtps"}:
        raise ValueError(f"has an unknown scheme; {_FORM}")
    if found["path"] not in {None, "/"}:
        raise ValueError(f"goes on after the host; {_FORM}")
    secure = found["scheme"] == "smtps"
    port = _port(found["port"], 465 if secure else 25)
    return Server(_host(found["host"]), port, _tls(found["query"], secure=secure))


def is_host_name(text: str) -> bool:
    """True for a host's name, or an IPv4 address; underscores pass, for networks of containers use them."""
    return _HOST.fullmatch(text) is not None


def _host(text: str) -> str:
    try:
        if text.startswith("["):
            return str(ipaddress.IPv6Address(text[1:-1]))
    except ValueError:
        raise ValueError("has no valid IPv6 address between its brackets") from None
    if not is_host_name(text):
        raise ValueError(f"has no valid host name; {_FORM}")
    return text.lower()


def _port(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= _LAST_PORT:
        raise ValueError(f"has no valid port; it must be from 1 to {_LAST_PORT}")
    return int(text)


def _tls(query: str | None, *, secure: bool) -> Tls:
    if secure:
        if query:
            raise ValueError("needs nothing after the ?: smtps:// is TLS from the start")
        return Tls.IMPLICIT
    choices = {None: Tls.OFFERED, "": Tls.OFFERED, "tls=required": Tls.REQUIRED, "tls=off": Tls.OFF}
    if query not in choices:
        raise ValueError("has an unknown option after the ?; the options are tls=required and tls=off")
    return choices[query]
