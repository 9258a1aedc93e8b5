"""The direct channel: which server a message goes to, within whose bounds, and whose trouble a trouble is."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.dns_server import BLACK_HOLE, BROKEN, NULL_MX, DnsServer, a, both, mx
from support.email_channels import BODY, direct_channel, envelope
from support.smtp_server import CLOSE, SILENCE, SmtpServer, at, say
from support.until import until

from channels.contract import Envelope, Outcome, Result, Trouble

DOMAIN = "house.example"
TWO = {DOMAIN: mx("10 one.example", "20 two.example"), "one.example": a("127.0.0.1"), "two.example": a("127.0.0.2")}
REFUSES = at("banner", say("554 no service"))
# bounds of providers in these tests: connections, messages on each
BOUNDS = {"gmail": (2, 5), "outlook": (3, 100), "other": (6, 100)}


def bounds(provider: str) -> tuple[int, int]:
    return BOUNDS.get(provider, (1, 100))


def to(recipient: str, provider: str = "other") -> Envelope:
    return replace(envelope(recipient), provider=provider)


def said(outcome: Outcome) -> tuple[Result, Trouble, bool]:
    return outcome.result, outcome.trouble, outcome.reached


FOR_NOW = (Result.DEFERRED, Trouble.NONE, False)
NEVER = (Result.REJECTED, Trouble.BAD_ADDRESS, False)


# Which server

@pytest.mark.asyncio
@pytest.mark.parametrize(("zones", "reached"), [
    ({DOMAIN: mx("10 mx.example"), "mx.example": a("127.0.0.1")}, True),
    ({DOMAIN: a("127.0.0.1")}, True),
    ({DOMAIN: mx("20 mx.example", "10 gone.example"), "mx.example": a("127.0.0.1")}, True),
    (TWO | {DOMAIN: mx("20 one.example", "10 dead.example"), "dead.example": a("127.0.0.9")}, True),
    ({DOMAIN: mx("10 mx.example"), "mx.example": a("127.0.0.9", "127.0.0.1")}, True),
    ({DOMAIN: both(mx("10 gone.example"), a("127.0.0.1"))}, False),     # it names servers, so it is none itself
], ids=["mx", "itself", "unknown server", "dead server", "dead address", "not itself"])
async def test_a_message_goes_to_the_first_server_that_is_there(zones: dict, reached: bool) -> None:  # noqa: FBT001 -- a table's column
    async with SmtpServer() as server, DnsServer(zones) as dns, direct_channel(dns, server.port) as channel:
        outcome = await channel.send(to(f"ann@{DOMAIN}"))
        assert said(outcome) == ((Result.ACCEPTED, Trouble.NONE, True) if reached else FOR_NOW)
        assert [(mail.recipient, mail.data) for mail in server.mails] == [(f"ann@{DOMAIN}", BODY)] * reached


@pytest.mark.asyncio
async def test_a_server_that_refuses_is_passed_over_for_the_next_and_left_alone_for_a_while() -> None:
    async with (
        SmtpServer(REFUSES) as one, SmtpServer(place=("127.0.0.2", one.port)) as two,
        DnsServer(TWO) as dns, direct_channel(dns, one.port) as channel,
    ):
        outcomes = [await channel.send(to(f"c{number}@{DOMAIN}")) for number in range(5)]
        assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
        assert (len(one.seen), len(one.mails), len(two.mails)) == (1, 0, 5)


@pytest.mark.asyncio
async def test_equal_servers_share_the_recipients_and_a_recipient_stays_with_his() -> None:
    zones = TWO | {DOMAIN: mx("10 one.example", "10 two.example")}
    async with (
        SmtpServer() as one, SmtpServer(place=("127.0.0.2", one.port)) as two,
        DnsServer(zones) as dns, direct_channel(dns, one.port) as channel,
    ):
        for _ in range(2):
            for number in range(20):
                await channel.send(to(f"c{number}@{DOMAIN}"))
        there = [Counter(mail.recipient for mail in server.mails) for server in (one, two)]
        assert all(len(some) >= 5 for some in there)
        assert there[0] + there[1] == Counter({f"c{number}@{DOMAIN}": 2 for number in range(20)})
        assert not there[0] & there[1]


@pytest.mark.asyncio
async def test_a_refused_recipient_is_not_tried_at_the_next_server() -> None:
    async with (
        SmtpServer(at("rcpt", say("550 5.1.1 no such user"))) as one, SmtpServer(place=("127.0.0.2", one.port)) as two,
        DnsServer(TWO) as dns, direct_channel(dns, one.port) as channel,
    ):
        assert said(await channel.send(to(f"ann@{DOMAIN}"))) == (Result.REJECTED, Trouble.BAD_ADDRESS, True)
        assert two.seen == []


# What the DNS says

@pytest.mark.asyncio
@pytest.mark.parametrize(("zones", "expected", "code", "asked"), [
    ({DOMAIN: NULL_MX}, NEVER, "556 5.1.10", 1),
    ({}, FOR_NOW, "", 1),
    ({DOMAIN: BROKEN}, FOR_NOW, "", 1),
    ({DOMAIN: mx("10 mx.example"), "mx.example": BROKEN}, FOR_NOW, "", 1),
], ids=["null MX", "no domain", "SERVFAIL", "SERVFAIL for the server"])
@pytest.mark.parametrize("provider", ["other", "gmail"])
async def test_a_domain_without_servers_is_the_trouble_of_its_own_messages(
        zones: dict, expected: tuple, code: str, asked: int, provider: str) -> None:
    async with DnsServer(zones) as dns, direct_channel(dns, 9) as channel:
        for _ in range(3):      # what is known is not asked again
            outcome = await channel.send(to(f"ann@{DOMAIN}", provider))
            assert (said(outcome), outcome.code) == (expected, code)
            assert outcome.detail
        assert dns.asked[DOMAIN, "MX"] == asked


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Moves the loop's clock on, by seconds."""
    ahead = 0

    def move(seconds: int) -> None:
        nonlocal ahead
        loop = asyncio.get_running_loop()
        at, ahead = type(loop).time, ahead + seconds
        monkeypatch.setattr(loop, "time", lambda: at(loop) + ahead, raising=False)

    return move


@pytest.mark.asyncio
async def test_a_domain_that_still_does_not_exist_half_an_hour_later_is_rejected_and_its_address_not_suppressed(
        later: Callable[[int], None]) -> None:
    async with DnsServer() as dns, direct_channel(dns, 9) as channel:
        found = []
        for minutes in (0, 10, 19, 1):
            later(minutes * 60)
            found.append(said(await channel.send(to(f"ann@{DOMAIN}"))))
        assert found == [FOR_NOW, FOR_NOW, FOR_NOW, (Result.REJECTED, Trouble.NONE, False)]
        assert said(await channel.send(to(f"ben@{DOMAIN}", "gmail"))) == (Result.REJECTED, Trouble.NONE, False)
        assert dns.asked[DOMAIN, "MX"] == 3     # what was said a minute ago still holds


@pytest.mark.asyncio
async def test_a_domain_that_exists_when_asked_again_is_not_given_up_and_forgotten(
        later: Callable[[int], None]) -> None:
    async with SmtpServer() as server, DnsServer() as dns, direct_channel(dns, server.port) as channel:
        assert said(await channel.send(to(f"ann@{DOMAIN}"))) == FOR_NOW
        later(1_900)
        dns.zones = {DOMAIN: a("127.0.0.1")}
        assert (await channel.send(to(f"ann@{DOMAIN}"))).result is Result.ACCEPTED
        later(4_000)
        dns.zones = {}
        assert said(await channel.send(to(f"ann@{DOMAIN}"))) == FOR_NOW


@pytest.mark.asyncio
async def test_many_domains_that_do_not_exist_are_nobody_elses_trouble() -> None:
    async with DnsServer() as dns, direct_channel(dns, 9) as channel:
        found = {said(await channel.send(to(f"ann@d{number}.example"))) for number in range(20)}
        assert found == {FOR_NOW}


@pytest.mark.asyncio
async def test_a_silent_name_service_is_asked_once_for_a_whole_batch() -> None:
    async with DnsServer({DOMAIN: BLACK_HOLE}) as dns, direct_channel(dns, 9, timeout=100) as channel:
        outcomes = await asyncio.gather(*(channel.send(to(f"c{number}@{DOMAIN}")) for number in range(50)))
        assert {said(outcome) for outcome in outcomes} == {FOR_NOW}
        assert outcomes[0].detail == "the recipient's domain cannot be resolved: timeout"
        assert dns.asked[DOMAIN, "MX"] == 1


@pytest.mark.asyncio
async def test_many_domains_in_a_row_that_cannot_be_reached_are_this_machines_trouble() -> None:
    zones = {f"d{number}.example": a("127.0.0.9") for number in range(20)}
    async with SmtpServer() as server, DnsServer(zones) as dns, direct_channel(dns, server.port) as channel:
        troubles = [(await channel.send(to(f"ann@d{number}.example"))).trouble for number in range(10)]
        assert troubles == [Trouble.NONE] * 7 + [Trouble.UNREACHABLE] + [Trouble.NONE] * 2


@pytest.mark.asyncio
@pytest.mark.parametrize(("script", "trouble"), [
    (REFUSES, Trouble.UNREACHABLE), (at("banner", say("421 busy")), Trouble.BUSY),
    (at("mail", say("550 5.7.1 not you")), Trouble.SETUP), (at("mail", say("421 slower")), Trouble.BUSY),
])
async def test_a_servers_trouble_is_the_lanes_where_it_is_the_providers_and_the_messages_where_it_is_not(
        script: object, trouble: Trouble) -> None:
    async with (
        SmtpServer(script) as server, DnsServer({DOMAIN: a("127.0.0.1")}) as dns,
        direct_channel(dns, server.port) as channel,
    ):
        found = [await channel.send(to(f"ann@{DOMAIN}", provider)) for provider in ("gmail", "other")]
        assert [(one.result, one.trouble) for one in found] == [
            (Result.DEFERRED, trouble), (Result.DEFERRED, Trouble.NONE)]


# Bounds

@pytest.mark.asyncio
async def test_the_servers_of_a_provider_see_no_more_connections_and_messages_on_each_than_it_bears() -> None:
    zones = {f"d{number}.example": mx(f"10 mx{number}.example") for number in range(4)}
    zones |= {f"mx{number}.example": a("127.0.0.1") for number in range(4)}
    async with (
        SmtpServer() as server, DnsServer(zones) as dns, direct_channel(dns, server.port, bounds=bounds) as channel,
    ):
        outcomes = await asyncio.gather(
            *(channel.send(to(f"c{number}@d{number % 4}.example", "gmail")) for number in range(80)))
        assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
        assert server.most_open == 2
        assert max(seen.messages for seen in server.seen) <= 5
        assert sum(seen.messages for seen in server.seen) == 80


@pytest.mark.asyncio
async def test_one_server_gets_the_whole_bound_of_its_provider_and_keeps_its_connections() -> None:
    async with (
        SmtpServer() as server, DnsServer({DOMAIN: a("127.0.0.1")}) as dns,
        direct_channel(dns, server.port, bounds=bounds) as channel,
    ):
        await asyncio.gather(*(channel.send(to(f"c{number}@{DOMAIN}", "outlook")) for number in range(100)))
        assert (server.most_open, len(server.seen)) == (3, 3)


@pytest.mark.asyncio
async def test_providers_do_not_share_their_connections() -> None:
    async with (
        SmtpServer(at("dot", SILENCE)) as server, DnsServer({DOMAIN: a("127.0.0.1")}) as dns,
        direct_channel(dns, server.port, bounds=bounds) as channel,
    ):
        under_way = [asyncio.create_task(channel.send(to(f"c{number}@{DOMAIN}", provider)))
                     for provider in ("gmail", "outlook") for number in range(10)]
        await until(lambda: len(server.mails) == 5)
        assert server.most_open == 5
        await channel.close()
        ends = Counter(outcome.result for outcome in await asyncio.gather(*under_way))
        assert ends == {Result.IN_DOUBT: 5, Result.DEFERRED: 15}


@pytest.mark.asyncio
async def test_a_domain_that_hangs_leaves_room_for_the_others_of_its_lane() -> None:
    zones = {"hangs.example": a("127.0.0.2"), DOMAIN: a("127.0.0.1")}
    async with (
        SmtpServer() as good, SmtpServer(at("banner", SILENCE), place=("127.0.0.2", good.port)) as bad,
        DnsServer(zones) as dns, direct_channel(dns, good.port, bounds=bounds) as channel,
    ):
        hanging = [asyncio.create_task(channel.send(to(f"c{number}@hangs.example"))) for number in range(20)]
        await until(lambda: bad.open == 2)
        outcomes = await asyncio.gather(*(channel.send(to(f"c{number}@{DOMAIN}")) for number in range(20)))
        assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
        assert bad.most_open == 2
        await channel.close()
        assert {said(outcome)[::2] for outcome in await asyncio.gather(*hanging)} == {(Result.DEFERRED, False)}


@pytest.mark.asyncio
async def test_who_waits_at_a_server_that_turns_out_to_be_away_does_not_try_it_again() -> None:
    async with (
        SmtpServer(at("banner", CLOSE)) as server, DnsServer({DOMAIN: a("127.0.0.1")}) as dns,
        direct_channel(dns, server.port, bounds=bounds) as channel,
    ):
        outcomes = await asyncio.gather(*(channel.send(to(f"c{number}@{DOMAIN}")) for number in range(30)))
        assert {said(outcome) for outcome in outcomes} == {FOR_NOW}
        assert len(server.seen) == 2
