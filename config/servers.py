"""The address of a mail server, as ops write it: smtp://HOST[:PORT][?tls=required|off] or smtps://HOST[:PORT].

Or direct://, for no server of one's own: mail goes straight to the servers of each recipient's domain.
"""

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
_SMTP: Final = 25
_FORM: Final = ('write "smtp://HOST:PORT", with "?tls=required" to insist on TLS, or "smtps://HOST:PORT"; '
                'or "direct://" for the servers of each recipient')
_DIRECT_FORM: Final = ('write "direct://", with "?tls=required" to insist on TLS to servers that prove who they are, '
                       '"?tls=off" for none')


class Tls(StrEnum):
    """How a connection comes by its encryption."""

    OFF = "off"              # never, not even where the server offers it
    OFFERED = "offered"      # STARTTLS where the server offers it
    REQUIRED = "required"    # STARTTLS, or nothing is sent
    IMPLICIT = "implicit"    # from the first byte (smtps)


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server to hand messages to, or all of them."""

    host: str               # a name, or an IP address without brackets; "": those of each recipient's domain
    port: int
    tls: Tls
    private: bool = False   # of direct: also to servers with addresses of this machine and of private networks

    @property
    def direct(self) -> bool:
        """True where mail goes straight to the servers of each recipient's domain."""
        return not self.host

    @property
    def loopback(self) -> bool:
        """True where what is sent stays on this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        """The address as it would be written in full."""
        if self.direct:
            options = [f"port={self.port}"] if self.port != _SMTP else []
            options += [f"tls={self.tls}"] if self.tls is not Tls.OFFERED else []
            options += ["private=yes"] if self.private else []
            return f"direct://{'?' if options else ''}{'&'.join(options)}"
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
    if found["scheme"] == "direct":
        return _direct(found)
    if found["scheme"] not in {"smtp", "smtps"}:
        raise ValueError(f"has an unknown scheme; {_FORM}")
    if found["path"] not in {None, "/"}:
        raise ValueError(f"goes on after the host; {_FORM}")
    secure = found["scheme"] == "smtps"
    port = port_in(found["port"], 465 if secure else _SMTP)
    return Server(host_in(found["host"], _FORM), port, _tls(found["query"], secure=secure))


def _direct(found: re.Match[str]) -> Server:
    if found["host"] or found["port"] is not None or found["path"] not in {None, "/"}:
        raise ValueError(f"names a server behind direct://, which has none of its own; {_DIRECT_FORM}")
    options: dict[str, str] = {}
    for option in (found["query"] or "").split("&") if found["query"] else ():
        key, _, value = option.partition("=")
        if key in options or option not in {"tls=required", "tls=off", "private=yes", f"port={value}"}:
            raise ValueError("has an unknown option after the ?; the options of direct:// are tls=required, tls=off, "
                             "port=NUMBER and private=yes, each once, parted by &")
        options[key] = value
    port = port_in(options.get("port"), _SMTP)
    return Server("", port, Tls(options.get("tls", Tls.OFFERED)), private="private" in options)


def is_host_name(text: str) -> bool:
    """True for a host's name, or an IPv4 address; underscores pass, for networks of containers use them."""
    return _HOST.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """True for a name or address of this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_in(text: str, form: str) -> str:
    """The host of an address, IPv6 without brackets; ValueError with `form`, how such addresses are written."""
    try:
        if text.startswith("["):
            return str(ipaddress.IPv6Address(text[1:-1]))
    except ValueError:
        raise ValueError("has no valid IPv6 address between its brackets") from None
    if not is_host_name(text):
        raise ValueError(f"has no valid host name; {form}")
    return text.lower()


def port_in(text: str | None, default: int) -> int:
    """The port of an address, or the usual one; ValueError where it is none."""
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
