"""A real DNS server on loopback, by UDP, whose zones are scripted. It counts what it was asked.

A zone is a dictionary: name -> what it answers. `Zone` values are made by the functions below; a name that is not there
does not exist (NXDOMAIN).
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from config.nameservers import Nameserver

SILENT = "silent"       # no answer at all
SERVFAIL = "servfail"


@dataclass(frozen=True)
class Zone:
    """What a name has: records by type as text; a negative answer's time to live; or a misdeed."""

    records: dict[str, list[str]] = field(default_factory=dict)
    ttl: int = 3600
    misdeed: str = ""


def mx(*hosts: str, ttl: int = 3600) -> Zone:
    """MX records, such as "10 mx.house.net"."""
    return Zone({"MX": [f"{host}." if not host.endswith(".") else host for host in hosts]}, ttl)


def a(*addresses: str, ttl: int = 3600) -> Zone:
    """Addresses."""
    four, six = [one for one in addresses if ":" not in one], [one for one in addresses if ":" in one]
    return Zone({"A": four} | ({"AAAA": six} if six else {}), ttl)


def both(*zones: Zone) -> Zone:
    """All that these zones have."""
    return replace(zones[0], records={kind: texts for zone in zones for kind, texts in zone.records.items()})


NULL_MX = mx("0 .")
BROKEN = Zone(misdeed=SERVFAIL)
BLACK_HOLE = Zone(misdeed=SILENT)


class DnsServer(asyncio.DatagramProtocol):
    """`async with DnsServer(zones) as server:` answers at `server.nameserver`."""

    def __init__(self, zones: dict[str, Zone] | None = None, *, negative_ttl: int = 900, dead: bool = False) -> None:
        self.zones = dict(zones or {})
        self.negative_ttl = negative_ttl
        self.dead = dead                              # says nothing to anybody
        self.asked: Counter[tuple[str, str]] = Counter()
        self.port = 0

    @property
    def nameserver(self) -> Nameserver:
        return Nameserver("127.0.0.1", self.port)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        self.transport.close()
        await asyncio.sleep(0)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        question = dns.message.from_wire(data)
        wanted = question.question[0]
        name = wanted.name.to_text(omit_final_dot=True).lower()
        self.asked[name, dns.rdatatype.to_text(wanted.rdtype)] += 1
        zone = self.zones.get(name)
        if self.dead or (zone is not None and zone.misdeed == SILENT):
            return
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        if zone is not None and zone.misdeed == SERVFAIL:
            answer.set_rcode(dns.rcode.SERVFAIL)
        else:
            self._fill(answer, wanted, zone)
        self.transport.sendto(answer.to_wire(), addr)

    def _fill(self, answer: dns.message.Message, wanted: dns.rrset.RRset, zone: Zone | None) -> None:
        texts = zone.records.get(dns.rdatatype.to_text(wanted.rdtype), []) if zone is not None else []
        if zone is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        if zone is not None and texts:
            answer.answer.append(dns.rrset.from_text(wanted.name, zone.ttl, "IN", wanted.rdtype, *texts))
            return
        ttl = zone.ttl if zone is not None else self.negative_ttl
        soa = f"ns.net. hostmaster.net. 1 3600 600 86400 {ttl}"
        answer.authority.append(dns.rrset.from_text(dns.name.root, ttl, "IN", "SOA", soa))


@contextmanager
def dns_beside(zones: dict[str, Zone]) -> Iterator[DnsServer]:
    """A server with a loop and a thread of its own, for tests that have none."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = DnsServer(zones)
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
        yield server
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
