"""A direct sender from queue to mail servers: a real name service, real servers, and nobody whom a dead one stops."""

from pathlib import Path

import pytest
from support.dns_server import BROKEN, NULL_MX, DnsServer, a, mx
from support.smtp_server import SILENCE, SmtpServer
from support.smtp_server import at as when
from support.timetables import at
from support.world import HOUR, MINUTE, SETTINGS, changed, world

from dispatcher.core.lane_health import HEALTHY

EIGHT = at("2026-03-02 08:00")


def settings(server: SmtpServer, dns: DnsServer) -> str:
    return changed(
        SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'),
        ('ramp = "careful"\n', f'ramp = "careful"\nserver = "direct://?port={server.port}&private=yes"\n'),
    ) + f'[mx]\nlookup = false\nnameservers = ["{dns.nameserver}"]\n'


def customer(number: int, domain: str) -> dict[str, str]:
    return {"id": f"c{number}", "email": f"c{number}@{domain}", "name": "Ann", "location": "DE/Berlin",
            "last_active_at": "2026-03-02T07:00:00Z"}


@pytest.mark.asyncio
async def test_one_dead_domain_stops_no_other_of_its_lane_and_what_can_never_be_sent_ends(tmp_path: Path) -> None:
    zones = {"good.net": mx("10 mx.good.net"), "mx.good.net": a("127.0.0.1"), "dead.net": a("127.0.0.9"),
             "null.net": NULL_MX, "broken.net": BROKEN}
    domains = ["good.net", "dead.net", "null.net", "broken.net", "gone.net"]
    async with (
        SmtpServer() as server, DnsServer(zones) as dns,
        world(tmp_path, settings(server, dns), now=EIGHT, real=True) as one,
    ):
        await one.customers(customer(number, domains[number % 5]) for number in range(20))
        await one.send_to(20)
        await one.run_for(15 * MINUTE)
        ends = {(row.customer, row.state, row.reason) for row in await one.rows()}
        found = {domain: {end[1:] for end in ends if domains[int(end[0][1:]) % 5] == domain} for domain in domains}
        assert found == {
            "good.net": {("accepted", "")},
            "dead.net": {("queued", "deferred")}, "broken.net": {("queued", "deferred")},
            "null.net": {("rejected", "")}, "gone.net": {("queued", "deferred")},    # it is asked a second time later
        }
        assert sorted(mail.recipient for mail in server.mails) == [
            "c0@good.net", "c10@good.net", "c15@good.net", "c5@good.net"]
        assert one.works.health_of("support/other") == HEALTHY
        async with one.database.transaction() as tx:
            suppressed = await tx.exec_driver_sql("SELECT address FROM suppressions")
            assert {row[0].partition("@")[2] for row in suppressed} == {"null.net"}
        await one.drain()


@pytest.mark.asyncio
async def test_a_provider_that_is_away_makes_its_own_lane_wait_and_no_other(tmp_path: Path) -> None:
    zones = {"gmail.com": a("127.0.0.9"), "yahoo.com": a("127.0.0.1")}
    async with (
        SmtpServer() as server, DnsServer(zones) as dns,
        world(tmp_path, settings(server, dns), now=EIGHT, real=True) as one,
    ):
        await one.customers(customer(number, ["gmail.com", "yahoo.com"][number % 2]) for number in range(20))
        await one.send_to(20)
        await one.run_for(MINUTE)
        assert one.works.health_of("support/gmail").waiting
        assert one.works.health_of("support/yahoo") == HEALTHY
        await one.run_for(HOUR)
        assert {mail.recipient.partition("@")[2] for mail in server.mails} == {"yahoo.com"}
        assert len(server.mails) == 10
        await one.drain()


@pytest.mark.asyncio
async def test_a_provider_whose_server_hangs_takes_no_turn_from_the_others(tmp_path: Path) -> None:
    zones = {"gmail.com": a("127.0.0.2"), "yahoo.com": a("127.0.0.1")}
    async with (
        SmtpServer() as good, SmtpServer(when("banner", SILENCE), place=("127.0.0.2", good.port)) as bad,
        DnsServer(zones) as dns, world(tmp_path, settings(good, dns), now=EIGHT) as one,
    ):
        one.build = None        # real channels, and a time that does not wait for what hangs
        await one.crash()
        await one.restart()
        await one.customers(customer(number, ["gmail.com", "yahoo.com"][number % 2]) for number in range(40))
        await one.send_to(40)
        while len(good.mails) < 20 or bad.open < 5:
            await one.run_for(MINUTE)
        assert {mail.recipient.partition("@")[2] for mail in good.mails} == {"yahoo.com"}
        assert bad.most_open == 5
        await one.drain(0)
