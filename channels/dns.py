"""The DNS, asked for mail: the servers of a domain, the addresses of a server. Every failure is a value.

dnspython speaks here; it is imported with the first question. Questions for one name wait for each other, and answers
are kept as long as their zones say, so that a batch to one domain asks once. Nothing here logs.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from channels.mail_hosts import Addresses, Finding, MailHosts
from config.nameservers import Nameserver
from config.servers import is_host_name

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver
    from dns.message import QueryMessage
    from dns.name import Name
    from dns.resolver import NXDOMAIN, Answer

MOST_HOSTS: Final = 20
"""Servers of a domain that are looked at; one with more is not in its right mind."""
KEPT: Final = 10_000
"""Answers that are kept in memory at most."""
SHORTEST_KEPT: Final = 5_000
"""Milliseconds for which what is kept for deliveries holds, whatever its zone says: those who wait for it need it."""
NO_DOMAIN_HOLDS: Final = 300_000
"""Milliseconds for which there is no such domain, at most: what is tried again later shall be asked again."""
FAILURE_HOLDS: Final = 60_000
"""Milliseconds for which no answer is an answer too: a batch to a domain without DNS shall not ask for each message."""
LONGEST_KEPT: Final = 3_600_000
"""Milliseconds after which what is kept for deliveries is asked anew, whatever its zone says."""

Answered = TypeVar("Answered", MailHosts, Addresses)


@dataclass(frozen=True, slots=True)
class DnsOptions:
    """Who is asked, and how long is waited."""

    nameservers: tuple[Nameserver, ...] = ()     # none: the system's
    timeout: int = 5_000                         # milliseconds of one question, all nameservers together


class Names:
    """The name service, as mail needs it."""

    def __init__(self, options: DnsOptions) -> None:
        self.options = options
        self._resolver: Resolver | None = None
        self._hosts: OrderedDict[str, tuple[float, MailHosts]] = OrderedDict()
        self._addresses: OrderedDict[str, tuple[float, Addresses]] = OrderedDict()
        self._asking: dict[tuple[str, str], asyncio.Future[None]] = {}

    async def mail_hosts(self, domain: str) -> MailHosts:
        """Who takes a domain's mail, asked now."""
        found = await self._ask_hosts(domain)
        if found.finding not in {Finding.FAILED, Finding.NO_DOMAIN}:
            _keep(self._hosts, domain, found, found.ttl)
        return found

    async def way_to(self, domain: str) -> MailHosts:
        """The same for a delivery: as known, else asked."""
        async def ask() -> MailHosts:
            found = await self._ask_hosts(domain)
            holds = FAILURE_HOLDS if found.finding is Finding.FAILED else found.ttl
            _keep(self._hosts, domain, found,
                  min(holds, NO_DOMAIN_HOLDS) if found.finding is Finding.NO_DOMAIN else holds)
            return found

        return await self._once(("MX", domain), lambda: _kept(self._hosts, domain), ask)

    async def addresses(self, host: str) -> Addresses:
        """The addresses of a server, as known or asked."""
        async def ask() -> Addresses:
            found = await self._ask_addresses(host)
            _keep(self._addresses, host, found, found.ttl if found.found else FAILURE_HOLDS)
            return found

        return await self._once(("A", host), lambda: _kept(self._addresses, host), ask)

    async def _once(
        self, key: tuple[str, str], known: Callable[[], Answered | None], ask: Callable[[], Awaitable[Answered]]
    ) -> Answered:
        """What is known, or one question for all who want to know it now."""
        while True:
            found = known()
            if found is not None:
                return found
            other = self._asking.get(key)
            if other is None:
                break
            await asyncio.wait({other})
        self._asking[key] = done = asyncio.get_running_loop().create_future()
        try:
            return await ask()
        finally:
            del self._asking[key]
            done.set_result(None)

    async def _ask_hosts(self, domain: str) -> MailHosts:
        answer = await self._ask(domain, "MX")
        if not isinstance(answer, _Nothing):
            return _hosts_of(domain, answer)
        if answer.no_such_name:
            return MailHosts(Finding.NO_DOMAIN, ttl=answer.ttl)
        return MailHosts(Finding.FAILED, why=answer.why)

    async def _ask_addresses(self, host: str) -> Addresses:
        four, six = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"))
        answers = [one for one in (four, six) if not isinstance(one, _Nothing)]
        found = tuple(record.to_text() for one in answers for record in one.rrset or ())
        if found:
            return Addresses(found, ttl=min(_ttl(one) for one in answers if one.rrset))
        failed = next((one for one in (four, six) if isinstance(one, _Nothing) and not one.no_such_name), None)
        return Addresses(why=failed.why if failed is not None else "it has no address")

    async def _ask(self, name: str, kind: str) -> "Answer | _Nothing":
        """One question."""
        import dns.asyncbackend  # noqa: PLC0415 -- `--help` and relays need none of it
        import dns.exception  # noqa: PLC0415 -- as above
        import dns.resolver  # noqa: PLC0415 -- as above
        from dns.name import from_text  # noqa: PLC0415 -- as above

        within = self.options.timeout / 1000
        try:
            resolver = self._get_resolver()
            async with asyncio.timeout(within + 0.5):    # the library goes by the wall clock, which may be set
                return await resolver.resolve(
                    from_text(f"{name}."), kind, raise_on_no_answer=False, search=False, lifetime=within,
                    backend=dns.asyncbackend.get_backend("asyncio"))
        except dns.resolver.NXDOMAIN as nothing:
            return _Nothing("there is no such name", no_such_name=True, ttl=_negative_ttl(nothing))
        except dns.resolver.NoNameservers as refused:
            return _Nothing(_why_refused(refused))
        except (TimeoutError, dns.exception.Timeout):
            return _Nothing("timeout")
        except (dns.exception.DNSException, OSError, UnicodeError) as failure:
            return _Nothing(_words(failure))

    def _get_resolver(self) -> "Resolver":
        """The resolver, made with the first question: the system's nameservers are read then, and once."""
        if self._resolver is None:
            from dns.asyncresolver import Resolver  # noqa: PLC0415 -- as above
            from dns.nameserver import Do53Nameserver  # noqa: PLC0415 -- as above

            own = [Do53Nameserver(one.address, one.port) for one in self.options.nameservers]
            resolver = Resolver(configure=not own)
            if own:
                resolver.nameservers = own
            self._resolver = resolver
        return self._resolver


@dataclass(frozen=True, slots=True)
class _Nothing:
    """No answer."""

    why: str
    no_such_name: bool = False
    ttl: int = 0


def _hosts_of(domain: str, answer: "Answer") -> MailHosts:
    ttl = _ttl(answer)
    if not answer.rrset:
        return MailHosts(Finding.ITSELF, ((0, domain),), ttl)
    told = {(record.preference, record.exchange.to_text(omit_final_dot=True).lower()) for record in answer.rrset}
    if all(host in {"", "."} for _, host in told):
        return MailHosts(Finding.NULL_MX, ttl=ttl)
    hosts = sorted((preference, host) for preference, host in told if is_host_name(host))
    if not hosts:
        return MailHosts(Finding.FAILED, why="its mail servers have no names that could be asked for")
    return MailHosts(Finding.SERVERS, tuple(hosts[:MOST_HOSTS]), ttl)


def _ttl(answer: "Answer") -> int:
    """Milliseconds that an answer holds; a negative one without a word about it holds no time at all."""
    from dns.ttl import MAX_TTL  # noqa: PLC0415 -- as above

    seconds = answer.chaining_result.minimum_ttl
    return int(seconds) * 1000 if seconds < MAX_TTL else 0


def _negative_ttl(nothing: "NXDOMAIN") -> int:
    """Milliseconds that there is no such name."""
    from dns.ttl import MAX_TTL  # noqa: PLC0415 -- as above

    responses: Mapping[Name, QueryMessage] = nothing.kwargs.get("responses") or {}
    found = [response.resolve_chaining().minimum_ttl for response in responses.values()]
    return min((int(seconds) * 1000 for seconds in found if seconds < MAX_TTL), default=0)


def _why_refused(refused: object) -> str:
    """What the nameservers said, where all of them said no: "SERVFAIL"."""
    errors = getattr(refused, "kwargs", {}).get("errors", ())
    said = {_words(one[3]) for one in errors if len(one) > 3}  # noqa: PLR2004 -- (server, tcp, port, error, response)
    return ", ".join(sorted(said))[:200] or "no nameserver answered"


def _words(failure: object) -> str:
    """A failure in a word or two: a response code, the system's words, or its kind; never the name that was asked."""
    text = failure if isinstance(failure, str) else getattr(failure, "strerror", None) or type(failure).__name__
    return text if text.isprintable() else type(failure).__name__


def _keep(kept: OrderedDict[str, tuple[float, Answered]], name: str, found: Answered, holds: int) -> None:
    kept[name] = (asyncio.get_running_loop().time() + min(max(holds, SHORTEST_KEPT), LONGEST_KEPT) / 1000, found)
    kept.move_to_end(name)
    while len(kept) > KEPT:
        kept.popitem(last=False)


def _kept(kept: OrderedDict[str, tuple[float, Answered]], name: str) -> Answered | None:
    found = kept.get(name)
    return found[1] if found is not None and found[0] > asyncio.get_running_loop().time() else None
