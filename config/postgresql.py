"""The address of a PostgreSQL database, as ops write it: postgresql://USER@HOST[:PORT]/DATABASE[?sslmode=...].

Or postgresql://USER@/DATABASE?host=/FOLDER for the Unix socket in a folder. The words are those of PostgreSQL's own
tools, but nothing is taken from their environment or files: what is not written here is the default that stands here.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from config.faults import any_of, nearest
from config.servers import host_in, is_loopback, port_in

SCHEME: Final = "postgresql"
FORM: Final = ('write "postgresql://USER@HOST:PORT/DATABASE", or "postgresql://USER@/DATABASE?host=/FOLDER" for the '
               "Unix socket in a folder")
_URL: Final = re.compile(
    r"(?:(?P<user>[^/?#@]*)@)?(?P<host>\[[^\]/?#@]*\]|[^:/?#@\[\]]*)(?::(?P<port>[^/?#]*))?"
    r"(?:/(?P<database>[^?#]*))?(?:\?(?P<query>[^#]*))?"
)
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USUAL_PORT: Final = 5432
_LONGEST_NAME: Final = 63       # bytes: PostgreSQL cuts what is longer, silently
_OPTIONS: Final = ("host", "port", "sslmode")
_BESIDE: Final = {"password": "password", "user": "the user before the @", "dbname": "the database behind the /",
                  "sslrootcert": "ca_file"}
"""Words of PostgreSQL's tools that have another place here."""


class SslMode(StrEnum):
    """How a connection comes by its encryption, in PostgreSQL's own words."""

    DISABLE = "disable"
    PREFER = "prefer"              # where the server offers it; whoever answers
    REQUIRE = "require"            # encrypted, whoever answers
    VERIFY_CA = "verify-ca"        # and the server has a certificate of an authority that is trusted
    VERIFY_FULL = "verify-full"    # and for its own name


VERIFYING: Final = frozenset({SslMode.VERIFY_CA, SslMode.VERIFY_FULL})


@dataclass(frozen=True, slots=True)
class Postgresql:
    """A database to keep the store in."""

    user: str
    host: str               # a name, an IP address without brackets, or "/FOLDER" of a Unix socket
    port: int
    database: str
    sslmode: SslMode

    @property
    def loopback(self) -> bool:
        """True where what is said stays on this machine."""
        return self.host.startswith("/") or is_loopback(self.host)

    def __str__(self) -> str:
        """The address as it would be written in full; it holds no secret."""
        user, database = quote(self.user, safe=""), quote(self.database, safe="")
        if self.host.startswith("/"):
            port = f"&port={self.port}" if self.port != _USUAL_PORT else ""
            return f"{SCHEME}://{user}@/{database}?host={quote(self.host)}{port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?sslmode={self.sslmode}" if self.sslmode is not SslMode.PREFER else ""
        return f"{SCHEME}://{user}@{host}:{self.port}/{database}{query}"


def parse_postgresql(text: str) -> Postgresql:
    """The database that a URL names, or ValueError with what is allowed; the URL itself is never repeated."""
    rest = text.removeprefix(f"{SCHEME}://")
    if ":" in rest.rpartition("@")[0]:
        raise ValueError('holds a password; write it as password = { credential = "NAME" }, beside url')
    found = _URL.fullmatch(rest)
    if rest == text or found is None:
        raise ValueError(f"is no address of a database; {FORM}")
    options = _options(found["query"])
    folder = options.get("host", "")
    if folder and (found["host"] or found["port"] is not None):
        raise ValueError(f"names two hosts; {FORM}")
    if not found["user"]:
        raise ValueError(f"names no user; {FORM}")
    if not found["database"]:
        raise ValueError(f"names no database; {FORM}")
    user, database = _name(found["user"], "user"), _name(found["database"], "database")
    if folder:
        if "sslmode" in options:
            raise ValueError("has an sslmode for a Unix socket, which needs none; leave it out")
        return Postgresql(user, _folder(folder), port_in(options.get("port"), _USUAL_PORT), database, SslMode.DISABLE)
    if "port" in options:
        raise ValueError(f"has its port in the wrong place; {FORM}")
    return Postgresql(user, _host(found["host"]), port_in(found["port"], _USUAL_PORT), database,
                      SslMode(options.get("sslmode", SslMode.PREFER)))


def _options(query: str | None) -> dict[str, str]:
    options: dict[str, str] = {}
    for option in query.split("&") if query else ():
        key, _, value = option.partition("=")
        if key in _BESIDE:
            raise ValueError(f"has {key} after the ?; write {_BESIDE[key]} instead")
        if key not in _OPTIONS:
            raise ValueError(f"has an unknown option after the ?{nearest(key, _OPTIONS)}; the options are "
                             f"{any_of(_OPTIONS)}, parted by &")
        if key in options:
            raise ValueError(f"has {key} twice")
        options[key] = _decoded(value, f"{key} after the ?")
    if options.get("sslmode", SslMode.PREFER) not in set(SslMode):
        raise ValueError(f"has an unknown sslmode{nearest(options['sslmode'], SslMode)}; the modes are "
                         f"{any_of(SslMode)}")
    return options


def _decoded(text: str, what: str) -> str:
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        decoded = ""
    if not decoded.isprintable() or not decoded or _PERCENT.search(text):
        raise ValueError(f"has no usable {what}; write what is not plain as %XX, in UTF-8")
    return decoded


def _name(text: str, what: str) -> str:
    name = _decoded(text, what)
    if len(name.encode()) > _LONGEST_NAME:
        raise ValueError(f"has a {what} of more than {_LONGEST_NAME} bytes, which PostgreSQL has not")
    return name


def _folder(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("names a folder after host= that does not begin with a slash; a host stands before the /")
    return text.rstrip("/") or "/"


def _host(text: str) -> str:
    if not text:
        raise ValueError(f"names no host; {FORM}")
    return host_in(text, FORM)
