"""The name service as mail needs it, asked over the network: what is said, how long it holds, and what goes wrong."""

import asyncio

import pytest
from support.dns_server import BLACK_HOLE, BROKEN, NULL_MX, DnsServer, a, mx

from channels.dns import MOST_HOSTS, DnsOptions, Names
from channels.mail_hosts import Addresses, Finding, MailHosts
from config.nameservers import Nameserver

PATIENT = 60_000
DOMAIN = "acme.net"


def names(*servers: DnsServer, timeout: int = PATIENT) -> Names:
    return Names(DnsOptions(tuple(server.nameserver for server in servers), timeout))


@pytest.mark.asyncio
@pytest.mark.parametrize(("zones", "found"), [
    ({DOMAIN: mx("20 b.net", "10 A.net", ttl=300)},
     MailHosts(Finding.SERVERS, ((10, "a.net"), (20, "b.net")), 300_000)),
    ({DOMAIN: a("192.0.2.1", ttl=60)}, MailHosts(Finding.ITSELF, ((0, DOMAIN),), 60_000)),
    ({DOMAIN: NULL_MX}, MailHosts(Finding.NULL_MX, (), 3_600_000)),
    ({DOMAIN: mx("0 .", "10 a.net")}, MailHosts(Finding.SERVERS, ((10, "a.net"),), 3_600_000)),
    ({}, MailHosts(Finding.NO_DOMAIN, (), 900_000)),
    ({DOMAIN: BROKEN}, MailHosts(Finding.FAILED, why="SERVFAIL")),
    ({DOMAIN: mx("10 a\\000b.net", "10 a\\032b.net")},
     MailHosts(Finding.FAILED, why="its mail servers have no names that could be asked for")),
], ids=["servers", "itself", "null MX", "null MX beside others", "no domain", "SERVFAIL", "no names"])
async def test_what_is_said_of_a_domain_is_a_value(zones: dict, found: MailHosts) -> None:
    async with DnsServer(zones) as dns:
        assert await names(dns).mail_hosts(DOMAIN) == found


@pytest.mark.asyncio
async def test_silence_ends_by_the_timeout_and_the_next_nameserver_is_asked() -> None:
    zones = {DOMAIN: mx("10 a.net")}
    async with (
        DnsServer(zones, dead=True) as dead, DnsServer({DOMAIN: BROKEN}) as broken, DnsServer(zones) as good,
    ):
        assert await names(dead, timeout=100).mail_hosts(DOMAIN) == MailHosts(Finding.FAILED, why="timeout")
        assert (await names(broken, good).mail_hosts(DOMAIN)).hosts == ((10, "a.net"),)


@pytest.mark.asyncio
async def test_a_domain_with_far_too_many_servers_is_bounded() -> None:
    zones = {DOMAIN: mx(*(f"{number} m{number}.net" for number in range(25)))}
    async with DnsServer(zones) as dns:
        assert len((await names(dns).mail_hosts(DOMAIN)).hosts) == MOST_HOSTS


@pytest.mark.asyncio
@pytest.mark.parametrize(("zone", "found"), [
    (a("192.0.2.1", "192.0.2.2", ttl=60), {"192.0.2.1", "192.0.2.2"}),
    (a("192.0.2.1", "2001:db8::1"), {"192.0.2.1", "2001:db8::1"}),
])
async def test_a_server_has_its_addresses_ipv4_first(zone: object, found: set[str]) -> None:
    async with DnsServer({"mx.net": zone}) as dns:
        addresses = await names(dns).addresses("mx.net")
        assert addresses.found[0].startswith("192.0.2.")
        assert set(addresses.found) >= found


@pytest.mark.asyncio
@pytest.mark.parametrize(("zones", "why"), [({}, "it has no address"), ({"mx.net": mx("1 a.net")}, "it has no address"),
                                            ({"mx.net": BROKEN}, "SERVFAIL")])
async def test_a_server_without_addresses_says_why(zones: dict, why: str) -> None:
    async with DnsServer(zones) as dns:
        assert await names(dns).addresses("mx.net") == Addresses(why=why)


@pytest.mark.asyncio
async def test_for_deliveries_a_name_is_asked_once_while_its_answer_holds_and_however_many_want_it() -> None:
    async with DnsServer({DOMAIN: mx("10 a.net"), "a.net": a("192.0.2.1"), "brief.net": mx("10 a.net", ttl=0)}) as dns:
        service = names(dns)
        for _ in range(2):
            await asyncio.gather(*(service.way_to(DOMAIN) for _ in range(20)))
            await asyncio.gather(*(service.addresses("a.net") for _ in range(20)))
        assert (dns.asked[DOMAIN, "MX"], dns.asked["a.net", "A"]) == (1, 1)
        for _ in range(2):      # whoever waits for an answer that its zone would not have kept has it all the same
            await asyncio.gather(*(service.way_to("brief.net") for _ in range(20)))
        assert dns.asked["brief.net", "MX"] == 1
        await service.mail_hosts(DOMAIN)        # who asks for the provider asks now
        assert dns.asked[DOMAIN, "MX"] == 2


@pytest.mark.asyncio
async def test_who_gives_up_waiting_leaves_the_question_to_the_others() -> None:
    async with DnsServer({DOMAIN: BLACK_HOLE}) as dns:
        service = names(dns)
        asking = [asyncio.create_task(service.way_to(DOMAIN)) for _ in range(3)]
        while not dns.asked:  # noqa: ASYNC110 -- what is waited for happens on a socket's other end
            await asyncio.sleep(0)
        dns.zones[DOMAIN] = mx("10 a.net")
        asking[0].cancel()
        found = await asyncio.gather(*asking[1:])
        assert {one.finding for one in found} == {Finding.SERVERS}
        assert asking[0].cancelled()


@pytest.mark.asyncio
async def test_a_nameserver_that_is_not_there_is_a_failure() -> None:
    found = await Names(DnsOptions((Nameserver("127.0.0.1", 9),), 200)).mail_hosts(DOMAIN)
    assert found.finding is Finding.FAILED
    assert found.why
