"""Email without a relay: straight to the mail servers of each recipient's domain, within the bounds of its provider.

The servers are those that the DNS names, the lowest preference first, equal ones spread by recipient; a domain that
names none takes its mail itself (RFC 5321, 5.1). A server that cannot be reached is passed over for the next. Nothing
goes to addresses of this machine or of private networks, unless the sender says so.

In the lane of a provider all mail goes to one house, so its trouble is the lane's. In the lane of everyone else each
domain stands for itself: its trouble is its messages' alone, unless so many domains in a row cannot be reached that it
must be this machine's.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from zlib import crc32

from channels.contract import Channel, Envelope, Outcome, Result, Trouble
from channels.dns import DnsOptions, Names
from channels.email import EmailOptions, check_options, tls_contexts
from channels.mail_hosts import Finding, MailHosts
from channels.reach import is_public
from channels.smtp_connect import Unavailable, Way
from channels.smtp_doors import Doors
from channels.smtp_outcomes import Phase, outcome_of_loss
from channels.smtp_pool import Bounds, SmtpPool
from channels.smtp_replies import clean_line
from channels.smtp_session import Order, SmtpSession, make_order, open_session
from config.providers import OTHER, Exchange, load_providers
from config.servers import Server, Tls

MOST_HOSTS: Final = 5
"""Servers of a domain that one message is tried at."""
MOST_ADDRESSES: Final = 3
"""Addresses of one server that are tried."""
IN_A_ROW: Final = 8
"""Domains of everyone else that could not be reached, and none that could: then it is this machine's network."""
GONE_AFTER: Final = 1_800
"""Seconds after which a domain that still does not exist is believed: one answer of a name service may be a mistake."""
MOST_MISSING: Final = 10_000
"""Domains that did not exist and are remembered."""
_OWN_TROUBLES: Final = frozenset({Trouble.UNREACHABLE, Trouble.BUSY, Trouble.SETUP})


class DirectChannel:
    """Hands messages over; see Channel for the promise."""

    def __init__(self, options: EmailOptions) -> None:
        self._options = options
        own = Names(DnsOptions())
        self._names = options.names or (lambda: own)
        self._contexts = tls_contexts(options.ca_file)
        self._doors = Doors()
        self._pools: dict[str, SmtpPool] = {}
        self._unreached: set[str] = set()      # domains of everyone else, since one was reached
        self._missing: OrderedDict[str, float] = OrderedDict()     # domains that do not exist, first seen so when
        self._closed = False

    @property
    def width(self) -> int:
        """How many hand-overs run side by side at most: those to all providers together."""
        return sum(self._options.bounds(provider)[0] for provider in load_providers().names)

    async def send(self, envelope: Envelope) -> Outcome:
        """Hand one message over."""
        try:
            order = make_order(self._options.mail_from, envelope)
            if isinstance(order, Outcome):
                return order
            domain = envelope.recipient.rpartition("@")[2].lower()
            found = await self._names().way_to(domain)
            if found.finding is Finding.NO_DOMAIN:
                return self._without_domain(domain)
            if found.finding is not Finding.FAILED:
                self._missing.pop(domain, None)
            outcome = _without_servers(found)
            if outcome is None:
                outcome = await self._to_any(_spread(found, envelope.recipient), envelope.provider, order)
        except Unavailable as unavailable:
            outcome = unavailable.outcome
        except Exception as fault:  # noqa: BLE001 -- a fault of ours must not stop a lane; nothing was handed over yet
            return _for_now(f"internal error: {type(fault).__name__}: {fault}")
        return self._judged(outcome, envelope.provider, domain)

    async def close(self) -> None:
        """Say goodbye and release everything; idempotent."""
        self._closed = True
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    async def _to_any(self, hosts: Sequence[str], provider: str, order: Order) -> Outcome:
        """Hand over to the first server that is there; Unavailable with what the last of them came to."""
        up = [host for host in hosts if self._doors.down(host) is None]
        if not up and provider != OTHER:
            up = list(hosts)       # its lane waits between two tries, so there is no need to hold back here
        last = next((outcome for host in hosts if (outcome := self._doors.down(host)) is not None), None)
        for host in up[:MOST_HOSTS]:
            try:
                return await self._to_one(host, provider, order)
            except Unavailable as unavailable:
                last = unavailable.outcome
        raise Unavailable(last or outcome_of_loss(Phase.CONNECT, "there is no server to send to"))

    async def _to_one(self, host: str, provider: str, order: Order) -> Outcome:
        pool = self._pool(provider)
        if provider != OTHER:
            outcome = await self._noted(pool, host, order)
        else:
            async with self._doors.place(host, max(1, self._options.bounds(OTHER)[0] // 3)):
                down = self._doors.down(host)
                if down is not None:
                    raise Unavailable(down)
                outcome = await self._noted(pool, host, order)
        return outcome

    async def _noted(self, pool: SmtpPool, host: str, order: Order) -> Outcome:
        try:
            outcome = await pool.hand_over(order, host)
        except Unavailable as unavailable:
            if not self._closed:
                self._doors.unreached(host, unavailable.outcome)
            raise
        self._doors.reached(host)
        return outcome

    def _pool(self, provider: str) -> SmtpPool:
        """The connections to a provider; one that is not known has everyone else's bounds, and a pool of its own."""
        if self._closed:
            raise Unavailable(outcome_of_loss(Phase.CONNECT, "this channel is closed"))
        pool = self._pools.get(provider)
        if pool is None:
            connections, messages = self._options.bounds(provider)
            pool = SmtpPool(self._open, Bounds(connections, messages, self._options.idle))
            self._pools[provider] = pool
        return pool

    async def _open(self, host: str) -> SmtpSession:
        """Connect to a server; Unavailable says why not."""
        options = self._options
        addresses = await self._addresses(host)
        deadlines = replace(options.deadlines, connect=max(options.deadlines.connect // len(addresses), 1))
        way = Way(Server(host, options.server.port, options.server.tls), options.helo, None, *self._contexts, deadlines,
                  addresses)
        try:
            return await open_session(way)
        except Unavailable as unavailable:
            if options.server.tls is not Tls.OFFERED or unavailable.phase is not Phase.STARTTLS:
                raise
        # It offers TLS and cannot do it. Encryption that nobody insists on must not keep mail away (RFC 7435).
        return await open_session(replace(way, server=replace(way.server, tls=Tls.OFF)))

    async def _addresses(self, host: str) -> tuple[str, ...]:
        found = await self._names().addresses(host)
        if not found.found:
            raise Unavailable(_for_now(f"the mail server {host} cannot be resolved: {found.why}"))
        usable = tuple(one for one in found.found if self._options.server.private or is_public(one))
        if not usable:
            raise Unavailable(_for_now(f"the mail server {host} has only addresses of private networks"))
        return usable[:MOST_ADDRESSES]

    def _without_domain(self, domain: str) -> Outcome:
        """Tried again at first, rejected once it has been so for a while; in neither case a word on the address."""
        now = asyncio.get_running_loop().time()
        since = self._missing.setdefault(domain, now)
        if len(self._missing) > MOST_MISSING:
            self._missing.popitem(last=False)
        if now - since < GONE_AFTER:
            return _for_now("the recipient's domain does not exist, says the DNS; it is asked again")
        return Outcome(Result.REJECTED, "550 5.1.2", "the recipient's domain does not exist, and did not before",
                       reached=False)

    def _judged(self, outcome: Outcome, provider: str, domain: str) -> Outcome:
        """The outcome, its trouble told to whom it belongs."""
        if provider != OTHER:
            return outcome
        if outcome.reached:
            self._unreached.clear()
        elif outcome.result is Result.DEFERRED:
            self._unreached.add(domain)
        if len(self._unreached) >= IN_A_ROW:
            self._unreached.clear()
            return replace(outcome, trouble=Trouble.UNREACHABLE)
        return replace(outcome, trouble=Trouble.NONE) if outcome.trouble in _OWN_TROUBLES else outcome


def build_direct_channel(options: EmailOptions) -> Channel:
    """The channel of a direct sender; it connects with its first message. ValueError says which option is wrong."""
    check_options(options)
    return DirectChannel(options)


def _without_servers(found: MailHosts) -> Outcome | None:
    """What it comes to where the DNS names nobody to send to; None where it does."""
    if found.finding is Finding.NULL_MX:
        return Outcome(Result.REJECTED, "556 5.1.10", "the recipient's domain takes no mail (null MX)",
                       Trouble.BAD_ADDRESS, reached=False)
    if found.finding is Finding.FAILED:
        return _for_now(f"the recipient's domain cannot be resolved: {found.why}")
    return None


def _for_now(why: str) -> Outcome:
    """Trouble of one domain: its message is tried again later, and nobody else is concerned."""
    return Outcome(Result.DEFERRED, detail=clean_line(why), reached=False)


def _spread(found: MailHosts, recipient: str) -> list[str]:
    """The servers in the order of trying: by preference, and equal ones in an order of each recipient's own."""
    def order(one: Exchange) -> tuple[int, int]:
        preference, host = one
        return preference, crc32(f"{host} {recipient}".encode("utf-8", "replace"))

    return [host for _, host in sorted(found.hosts, key=order)]
