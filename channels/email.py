"""The email channel: one sender's messages over SMTP to the one server of its configuration.

The parts: smtp_connect.py makes a connection, smtp_session.py sends messages through it, smtp_pool.py keeps as many as
allowed, smtp_outcomes.py says what a reply or a silence means. Nothing here logs: addresses and secrets stay where
they are, and every fault is an Outcome. Trying again later is not decided here.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from channels.contract import Channel, Envelope, Outcome
from channels.dns import Names
from channels.smtp_connect import Credentials, Deadlines, Unavailable, Way
from channels.smtp_outcomes import Phase, outcome_of_loss
from channels.smtp_pool import Bounds, SmtpPool
from channels.smtp_session import is_mailbox, make_order, open_session
from config.providers import load_providers
from config.servers import Server


@dataclass(frozen=True, slots=True)
class EmailOptions:
    """One email sender, as configured."""

    server: Server
    mail_from: str                                       # the envelope's sender: one mailbox, its domain as A-label
    connections: int = 10
    username: str = ""                                   # "" : no AUTH
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None                           # PEM of who is trusted; None: whom the system trusts
    helo: str = ""                                       # this machine's name in EHLO; "": its address as a literal
    messages_per_connection: int = 1_000
    idle: int = 30_000                                   # milliseconds after which an unused connection is closed
    deadlines: Deadlines = field(default_factory=Deadlines)
    # Of direct senders alone (direct.py): whom to ask for names, and the provider's connections and messages on each.
    names: Callable[[], Names] | None = None             # None: the system's name service
    bounds: Callable[[str], tuple[int, int]] = load_providers().bounds


class EmailChannel:
    """Hands messages over; see Channel for the promise."""

    def __init__(self, mail_from: str, pool: SmtpPool, width: int) -> None:
        self._mail_from = mail_from
        self._pool = pool
        self._width = width

    @property
    def width(self) -> int:
        """How many hand-overs run side by side at most."""
        return self._width

    async def send(self, envelope: Envelope) -> Outcome:
        """Hand one message over."""
        try:
            order = make_order(self._mail_from, envelope)
            return order if isinstance(order, Outcome) else await self._pool.hand_over(order)
        except Unavailable as unavailable:
            return unavailable.outcome
        except Exception as fault:  # noqa: BLE001 -- a fault of ours in making the order must not stop a lane
            return outcome_of_loss(Phase.CONNECT, f"internal error: {type(fault).__name__}: {fault}")

    async def close(self) -> None:
        """Say goodbye and release everything; idempotent."""
        await self._pool.close()


def build_email_channel(options: EmailOptions) -> Channel:
    """The channel of a sender; it connects with its first message. ValueError says which option is wrong."""
    check_options(options)
    if options.connections < 1 or options.messages_per_connection < 1:
        raise ValueError("connections and messages_per_connection are at least 1")
    credentials = Credentials(options.username, options.password or "") if options.username else None
    verifying, trusting = tls_contexts(options.ca_file)
    way = Way(options.server, options.helo, credentials, verifying, trusting, options.deadlines)
    bounds = Bounds(options.connections, options.messages_per_connection, options.idle)
    return EmailChannel(options.mail_from, SmtpPool(lambda _: open_session(way), bounds), options.connections)


def check_options(options: EmailOptions) -> None:
    """ValueError says which of the options that every email sender has is wrong."""
    if not is_mailbox(options.mail_from):
        raise ValueError("mail_from is no mailbox; write local@domain without a display name")
    if not options.helo.isascii() or not options.helo.isprintable() or " " in options.helo:
        raise ValueError("helo is no host name; write it in ASCII without spaces, or leave it empty")


def tls_contexts(ca_file: str | None) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS that verifies, and TLS that only encrypts."""
    try:
        verifying = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as fault:
        raise ValueError(
            f"ca_file {ca_file} cannot be used: {fault}; it must be a readable file of PEM certificates") from fault
    trusting = ssl.create_default_context(cafile=ca_file)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    return verifying, trusting
