"""From a server's address to a connection that is ready for messages: name, TCP, TLS, EHLO, AUTH.

aiosmtplib speaks here; each step is called by itself, so that a failure has its phase and each phase its deadline.
Credentials leave over a verified TLS connection, or over loopback; never otherwise.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, cast

import aiosmtplib

from channels.contract import Outcome
from channels.smtp_outcomes import Phase, outcome_of_loss, outcome_of_reply, outcome_of_setup
from channels.smtp_replies import NONSENSE, Reply
from channels.smtp_wire import SmtpWire
from config.servers import Server, Tls


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each step may take, in milliseconds, a dripping reply included (RFC 5321, 4.5.3.2)."""

    connect: int = 30_000     # the name, and then each address tried
    command: int = 300_000    # greeting, EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET
    data: int = 120_000       # from DATA to 354
    block: int = 180_000      # until the server has taken enough of a long body to take the next piece
    dot: int = 600_000        # from the final dot to the answer
    quit: int = 2_000         # a goodbye is a courtesy


@dataclass(frozen=True, slots=True)
class Credentials:
    """What AUTH sends."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Way:
    """All that a connection is made from."""

    server: Server
    helo: str                            # "": the address of this end of the connection, as an address literal
    credentials: Credentials | None
    verifying: ssl.SSLContext            # knows whom to believe
    trusting: ssl.SSLContext             # believes everybody: for opportunistic TLS without secrets (RFC 7435)
    deadlines: Deadlines
    addresses: tuple[str, ...] = ()      # of the server, where they are known; else the system is asked for its name


@dataclass(frozen=True, slots=True)
class Features:
    """What the server offers in its last EHLO."""

    size: int          # bytes of the largest message; 0 for no limit told
    sizes: bool        # MAIL takes SIZE=
    eight_bit: bool
    smtputf8: bool
    pipelining: bool


class Unavailable(Exception):  # noqa: N818 -- it carries an outcome; a server that is away is no programming error
    """No connection came about; `outcome` is what any message that waited for it gets, `phase` how far it came."""

    def __init__(self, outcome: Outcome, phase: Phase = Phase.CONNECT) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome
        self.phase = phase


async def connect(way: Way) -> tuple[SmtpWire, Features]:
    """A connection ready for MAIL; Unavailable says what is wrong. Nothing stays open when it fails or is cancelled."""
    async with _phase(Phase.CONNECT, None):
        sock, near, far = await _dial(way)
    loopback = _is_loopback(far)
    smtp = aiosmtplib.SMTP(
        hostname=way.server.host, sock=sock, local_hostname=way.helo or _address_literal(near),
        timeout=None, use_tls=way.server.tls is Tls.IMPLICIT, start_tls=False,
        tls_context=way.verifying,
    )
    within = way.deadlines.command / 1000
    try:
        async with _phase(Phase.BANNER, within):
            await smtp.connect()
        async with _phase(Phase.EHLO, within):
            await smtp.ehlo()
        await _protect(smtp, way, loopback=loopback)
        await _log_in(smtp, way, loopback=loopback)
        return _take_over(smtp), _features(smtp)
    except BaseException:
        # close() alone would wait for a silent server to end TLS; without the other side there is nothing to wait for
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        smtp.close()
        raise


async def _dial(way: Way) -> tuple[socket.socket, str, str]:
    """A socket connected to the first of the server's addresses that answers; this end's address and that one's."""
    loop = asyncio.get_running_loop()
    within = way.deadlines.connect / 1000
    failure: OSError = OSError("the name has no address")
    for family, address in await _places(way, within):
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as unknown:    # a machine without IPv6
            failure = unknown
            continue
        try:
            sock.setblocking(False)  # noqa: FBT003 -- the standard library's signature
            async with asyncio.timeout(within):
                await loop.sock_connect(sock, address)
            near, far = (str(end[0]).partition("%")[0] for end in (sock.getsockname(), sock.getpeername()))
        except OSError as refused:    # a timeout is one too; the next address may answer
            sock.close()
            failure = refused
        except BaseException:
            sock.close()
            raise
        else:
            return sock, near, far
    raise failure


async def _places(way: Way, within: float) -> list[tuple[int, tuple[Any, ...]]]:
    """Where the server may be: address families and addresses, with the port."""
    if way.addresses:
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, (one, way.server.port)) for one in way.addresses]
    async with asyncio.timeout(within):
        found = await asyncio.get_running_loop().getaddrinfo(way.server.host, way.server.port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


async def _protect(smtp: aiosmtplib.SMTP, way: Way, *, loopback: bool) -> None:
    """STARTTLS where it is required, or offered; the three cases explicit."""
    if way.server.tls in (Tls.IMPLICIT, Tls.OFF):
        return
    required, within = way.server.tls is Tls.REQUIRED, way.deadlines.command / 1000
    if not smtp.supports_extension("starttls"):
        if required:
            raise Unavailable(outcome_of_setup("TLS is required and the server does not offer STARTTLS"))
        return
    verified = required or (way.credentials is not None and not loopback)
    async with _phase(Phase.STARTTLS, within):
        try:
            await smtp.starttls(tls_context=way.verifying if verified else way.trusting)
        except aiosmtplib.SMTPResponseException as refused:
            if required or not smtp.is_connected or refused.code not in range(400, 600) or refused.code == 421:  # noqa: PLR2004 -- RFC 3207 refusals
                raise
            return    # offered, but not now: as if it had not been offered
    async with _phase(Phase.EHLO, within):
        await smtp.ehlo()


async def _log_in(smtp: aiosmtplib.SMTP, way: Way, *, loopback: bool) -> None:
    """AUTH, once, by the first mechanism that both know: over TLS the simplest is as safe as any."""
    credentials, within = way.credentials, way.deadlines.command / 1000
    if credentials is None:
        return
    async with _phase(Phase.AUTH, within):
        encrypted = smtp.get_transport_info("sslcontext") is not None
    if not encrypted and not loopback:
        raise Unavailable(outcome_of_setup(
            "credentials are never sent without TLS, and there is none on this connection; "
            "use smtps:// or ?tls=required, or remove username and password"))
    mechanisms = {"plain": smtp.auth_plain, "login": smtp.auth_login, "cram-md5": smtp.auth_crammd5}
    offered = [name for name in mechanisms if name in smtp.server_auth_methods]
    if not offered:
        raise Unavailable(outcome_of_setup(
            "credentials are set, and the server offers no AUTH of PLAIN, LOGIN or CRAM-MD5"))
    async with _phase(Phase.AUTH, within):
        await mechanisms[offered[0]](credentials.username, credentials.password)


def _take_over(smtp: aiosmtplib.SMTP) -> SmtpWire:
    """The connection, from here on read and written by our own code."""
    if smtp.transport is None:
        raise Unavailable(outcome_of_loss(Phase.EHLO, "the server closed the connection"))
    return SmtpWire(cast("asyncio.Transport", smtp.transport))


@asynccontextmanager
async def _phase(phase: Phase, within: float | None) -> AsyncIterator[None]:
    """Turn what goes wrong in a phase, or lasts longer than so many seconds, into Unavailable.

    The library has no deadline of its own: its wait_for, before Python 3.12, can lose a cancellation.
    """
    try:
        async with asyncio.timeout(within):
            yield
    except aiosmtplib.SMTPResponseException as said:
        reply = Reply(said.code if said.code in range(200, 600) else NONSENSE, said.message)
        outcome = outcome_of_reply(phase, reply) or outcome_of_loss(phase, f"unexpected reply {reply.line}")
        raise Unavailable(outcome, phase) from said
    except (OSError, aiosmtplib.SMTPException) as failure:
        cause = failure.__cause__ if isinstance(failure.__cause__, OSError) else failure
        raise Unavailable(_outcome_of_failure(phase, cause), phase) from failure


def _outcome_of_failure(phase: Phase, failure: BaseException) -> Outcome:
    """What a failure of the network, of the name service or of TLS comes to."""
    match failure:
        case ssl.SSLCertVerificationError():
            return outcome_of_setup(f"the server's certificate is not to be trusted: {failure.verify_message}")
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | aiosmtplib.SMTPServerDisconnected():
            return outcome_of_loss(phase, "the server closed the connection")
        case ssl.SSLError():
            return outcome_of_setup(f"TLS failed: {failure.reason or failure}")
        case TimeoutError():
            return outcome_of_loss(phase, "no answer in time")
        case socket.gaierror():
            return outcome_of_loss(phase, f"the server's name cannot be resolved: {failure.strerror}")
    return outcome_of_loss(phase, str(failure) or type(failure).__name__)


def _features(smtp: aiosmtplib.SMTP) -> Features:
    """What the server said of itself."""
    size = smtp.esmtp_extensions.get("size", "").strip()
    return Features(
        size=int(size) if size.isascii() and size.isdecimal() and len(size) < 20 else 0,  # noqa: PLR2004 -- RFC 1870: at most 20 digits
        sizes=smtp.supports_extension("size"),
        eight_bit=smtp.supports_extension("8bitmime"),
        smtputf8=smtp.supports_extension("smtputf8"),
        pipelining=smtp.supports_extension("pipelining"),
    )


def _is_loopback(far: str) -> bool:
    """True if the other end is on this machine, by its address and not by its name."""
    address = ip_address(far)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _address_literal(near: str) -> str:
    """This end's address as EHLO wants it where there is no good name (RFC 5321, 4.1.3)."""
    return f"[IPv6:{near}]" if ":" in near else f"[{near}]"
