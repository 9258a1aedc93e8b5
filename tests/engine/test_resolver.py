"""Providers by the DNS: asked beside everything else, never waited for; queued messages follow the answers."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from support.dns_server import DnsServer, mx
from support.post import accepted, deferred
from support.timetables import at
from support.until import until
from support.world import HOUR, MINUTE, MONDAY, SETTINGS, World, changed, world

from channels.dns import DnsOptions, Names
from channels.mail_hosts import Finding, MailHosts
from config.model import Mx
from dispatcher import providers
from dispatcher.engine import resolver
from dispatcher.store import domains
from dispatcher.store.record_tables import domains as table

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
OFF = SETTINGS + "[mx]\nlookup = false\n"
EIGHT = at("2026-03-02 08:00")
GOOGLE = MailHosts(Finding.SERVERS, ((10, "aspmx.l.google.com"),), ttl=HOUR)
MICROSOFT = MailHosts(Finding.SERVERS, ((0, "acme-net.mail.protection.outlook.com"),), ttl=HOUR)
NOBODY = MailHosts(Finding.FAILED, why="timeout")


class Told:
    """A name service that says what it is told to; who asked when is written down."""

    def __init__(self, one: World, says: dict[str, MailHosts] | None = None) -> None:
        self.world = one
        self.says = says or {}
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, _mx: Mx, domain: str) -> MailHosts:
        self.asked.append((domain, self.world.now))
        return self.says.get(domain, NOBODY)


async def listen(one: World, ask: Callable[[Mx, str], Awaitable[MailHosts]]) -> None:
    """From now on this is asked."""
    one.works.ask = ask
    one.works.policy.providers.wake.set()
    await one.settle()


async def at_acme(one: World, count: int, first: int = 0) -> None:
    """Customers of a hosted domain, and a message for each."""
    await one.customers(
        {"id": f"c{number}", "email": f"c{number}@acme.net", "name": "Ann", "location": "DE/Berlin",
         "last_active_at": "2026-03-02T00:00:00Z"} for number in range(first, first + count))
    await one.send_to(count, first)


async def lanes(one: World) -> dict[str, int]:
    return Counter(row.lane for row in await one.rows())


async def known(one: World) -> list[tuple]:
    t = table.c
    async with one.database.transaction() as tx:
        rows = await tx.execute(select(t.domain, t.provider, t.reason, t.asked_at, t.due_at).order_by(t.domain))
        return [tuple(row) for row in rows]


@pytest.mark.asyncio
async def test_a_domain_met_for_the_first_time_is_other_at_once_and_a_question_stands_with_its_messages(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, now=MONDAY) as one:
        await at_acme(one, 3)
        await one.people(2, first=3)
        await one.send_to(2, first=3)
        assert await lanes(one) == {"support/other": 5}
        assert await known(one) == [("acme.net", "other", "asked_for", None, MONDAY)]


@pytest.mark.asyncio
async def test_a_question_is_not_left_by_messages_that_were_not_taken(tmp_path: Path) -> None:
    async with world(tmp_path, now=MONDAY) as one:
        async with one.database.transaction() as tx:
            await domains.ask(tx, one.works.policy.questions(["ann@acme.net"]), MONDAY)
            await tx.rollback()
        await listen(one, told := Told(one))
        await one.run_for(MINUTE)
        assert (told.asked, await known(one)) == ([], [])


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_an_answer_moves_what_is_queued_to_its_lane_due_or_not_and_it_leaves_there(tmp_path: Path) -> None:
    async with world(tmp_path, now=MONDAY) as one:
        await at_acme(one, 2)
        await at_acme(one, 1, first=2)
        await one.send({"customer": "c2", "key": "later", "not_before": "2026-03-02T09:00:00Z"})
        await one.people(1, first=3)
        await one.send_to(1, first=3)
        await listen(one, told := Told(one, {"acme.net": GOOGLE}))
        assert await lanes(one) == {"support/gmail": 4, "support/other": 1}
        assert told.asked == [("acme.net", MONDAY)]
        await one.run_for(3 * HOUR)
        assert Counter(handed.provider for handed in one.post.handed) == {"gmail": 4, "other": 1}
        assert [row[:3] for row in await known(one)] == [("acme.net", "gmail", "mx")]
        assert await one.states() == {"accepted": 5}


@pytest.mark.asyncio
async def test_messages_that_come_after_the_answer_go_to_the_right_lane_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, now=MONDAY) as one:
        await listen(one, told := Told(one, {"acme.net": GOOGLE}))
        await at_acme(one, 1)
        await one.run_for(2_000)
        await at_acme(one, 600, first=1)
        assert await lanes(one) == {"support/gmail": 601}
        assert len(told.asked) == 1


@pytest.mark.asyncio
async def test_many_queued_messages_are_moved_and_nothing_else_is(tmp_path: Path) -> None:
    async with world(tmp_path, now=MONDAY) as one:
        await at_acme(one, 1_100)
        await one.people(50, first=2_000)
        await one.send_to(50, first=2_000)
        await listen(one, Told(one, {"acme.net": MICROSOFT}))
        assert await lanes(one) == {"support/outlook": 1_100, "support/other": 50}
        assert await one.states() == {"queued": 1_150}


@pytest.mark.asyncio
@pytest.mark.parametrize("dns", ["none", "silent", "failing"])
async def test_no_release_waits_for_the_name_service(tmp_path: Path, dns: str) -> None:
    async def silent(_mx: Mx, _domain: str) -> MailHosts:
        return await asyncio.get_running_loop().create_future()

    async with world(tmp_path, RAMP, now=EIGHT) as one:
        if dns != "none":
            await listen(one, silent if dns == "silent" else Told(one))
        await at_acme(one, 20)
        await one.run_for(10 * MINUTE)
        assert [(handed.at - EIGHT) // 30_000 for handed in one.post.handed] == list(range(20))
        assert {handed.provider for handed in one.post.handed} == {"other"}


@pytest.mark.asyncio
async def test_a_failing_name_service_is_asked_again_later_each_time_and_told_once(tmp_path: Path) -> None:
    async with world(tmp_path, now=MONDAY) as one:
        await one.hold("everything")
        await listen(one, told := Told(one))
        await at_acme(one, 1)
        await one.run_for(4 * HOUR)
        minutes = [round((when - MONDAY) / MINUTE) for _, when in told.asked]
        assert minutes == [0, 1, 3, 7, 15, 31, 63, 123, 183]
        await at_acme(one, 1, first=1)      # does not make it hurry
        await one.run_for(MINUTE)
        assert len(told.asked) == 9
        told.says["acme.net"] = GOOGLE
        await one.run_for(2 * HOUR)
        assert await lanes(one) == {"support/gmail": 2}
        events = [entry["event"] for entry in one.logs if "resolved" in entry["event"]]
        assert events == ["names_unresolved", "names_resolved_again"]
        told_openly = [entry for entry in one.logs if entry["log_level"] != "debug"]
        assert "acme.net" not in str(told_openly)


@pytest.mark.asyncio
async def test_an_answer_past_its_time_is_used_and_asked_again_when_a_message_needs_it(tmp_path: Path) -> None:
    async with world(tmp_path, now=MONDAY) as one:
        await one.hold("everything")
        await listen(one, told := Told(one, {"acme.net": GOOGLE}))
        await at_acme(one, 1)
        await one.run_for(2 * HOUR + MINUTE)
        assert len(told.asked) == 1
        told.says["acme.net"] = NOBODY
        await at_acme(one, 1, first=1)
        await one.run_for(2_000)
        assert Counter(row.lane for row in await one.rows()) == {"support/gmail": 2}
        assert len(told.asked) == 2
        told.says["acme.net"] = MICROSOFT
        await one.run_for(2 * MINUTE)
        assert await lanes(one) == {"support/outlook": 2}


@pytest.mark.asyncio
async def test_a_release_that_looks_at_a_message_asks_again_too(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT) as one:
        await listen(one, told := Told(one, {"acme.net": GOOGLE}))
        one.post.script = lambda _, attempt: deferred() if attempt < 5 else accepted()
        await at_acme(one, 1)
        await one.run_for(50 * MINUTE)
        assert len(told.asked) == 1
        told.says["acme.net"] = MICROSOFT
        await one.run_for(12 * HOUR)
        assert [handed.provider for handed in one.post.handed] == ["other", "gmail", "gmail", "outlook", "outlook"]


@pytest.mark.asyncio
async def test_a_restart_knows_what_was_known_and_asks_what_was_open(tmp_path: Path) -> None:
    async with world(tmp_path, now=MONDAY) as one:
        await listen(one, Told(one, {"acme.net": GOOGLE}))
        await at_acme(one, 1)
        await one.run_for(2_000)
        one.works.ask = None
        await one.customers([{"id": "x", "email": "x@other.net", "location": "DE/Berlin",
                              "last_active_at": "2026-03-02T00:00:00Z"}])
        await one.send({"customer": "x"})
        await one.crash()
        one.write(SETTINGS)
        await one.restart()
        assert one.works.policy.provider_of("acme.net") == "gmail"
        await listen(one, told := Told(one, {"other.net": MICROSOFT}))
        assert [domain for domain, _ in told.asked] == ["other.net"]
        assert await lanes(one) == {"support/gmail": 1, "support/outlook": 1}


@pytest.mark.asyncio
async def test_no_more_domains_are_kept_than_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MOST", 100)
    async with world(tmp_path, now=MONDAY) as one:
        await listen(one, told := Told(one))
        for part in range(6):
            names = [f"d{part}-{number:02}.net" for number in range(50)]
            told.says |= dict.fromkeys(names, GOOGLE)
            async with one.database.transaction() as tx:
                await domains.ask(tx, one.works.policy.questions(f"a@{name}" for name in names), one.now)
            await one.run_for(MINUTE)
        kept = [name for name, *_ in await known(one)]
        assert len(told.asked) == 300
        assert len(kept) <= 101
        assert [name for name in kept if name.startswith("d5")] == [f"d5-{number:02}.net" for number in range(50)]
        assert len(one.works.policy.providers) == len(kept)


@pytest.mark.asyncio
async def test_few_questions_are_under_way_side_by_side(tmp_path: Path) -> None:
    under_way, most = 0, 0

    async def ask(_mx: Mx, _domain: str) -> MailHosts:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(5):
            await asyncio.sleep(0)
        under_way -= 1
        return GOOGLE

    async with world(tmp_path, now=MONDAY) as one:
        async with one.database.transaction() as tx:
            await domains.ask(tx, [f"d{number}.net" for number in range(300)], one.now)
        await listen(one, ask)
        await one.run_for(5_000)
        assert most == 8
        assert len(one.works.policy.providers) == 300


@pytest.mark.asyncio
async def test_an_odd_answer_of_the_asker_is_a_failure_and_the_loop_goes_on(tmp_path: Path) -> None:
    async def ask(_mx: Mx, domain: str) -> MailHosts:
        if domain == "odd.net":
            raise ValueError(domain)
        return GOOGLE

    async with world(tmp_path, now=MONDAY) as one:
        async with one.database.transaction() as tx:
            await domains.ask(tx, ["odd.net", "acme.net"], one.now)
        await listen(one, ask)
        assert [row[:3] for row in await known(one)] == [("acme.net", "gmail", "mx"), ("odd.net", "other", "failed")]


@pytest.mark.asyncio
async def test_without_lookup_nobody_is_asked_and_the_table_decides_until_a_reload_says_otherwise(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, OFF, now=MONDAY) as one:
        await listen(one, told := Told(one, {"acme.net": GOOGLE, "later.net": MICROSOFT}))
        await at_acme(one, 1)
        await one.run_for(MINUTE)
        assert (told.asked, await known(one)) == ([], [])
        await one.reload(SETTINGS)
        await at_acme(one, 1, first=1)
        await one.run_for(2_000)
        assert await lanes(one) == {"support/gmail": 2}
        await one.reload(OFF)
        await at_acme(one, 1, first=2)
        assert await lanes(one) == {"support/gmail": 2, "support/other": 1}
        await one.run_for(10 * HOUR)      # a release moves what stands in the lane of another provider
        assert [handed.provider for handed in one.post.handed] == ["other"] * 3


@pytest.mark.asyncio
async def test_reserved_names_and_listed_domains_are_never_asked(tmp_path: Path) -> None:
    async with world(tmp_path, now=MONDAY) as one:
        await listen(one, told := Told(one))
        addresses = ["a@gmail.com", "b@shop.example", "c@example.org", "d@hotmail.de", "e@x.local"]
        await one.customers(
            {"id": f"c{number}", "email": email, "location": "FR", "last_active_at": "2026-03-02T00:00:00Z"}
            for number, email in enumerate(addresses))
        await one.send_to(len(addresses))
        await one.run_for(HOUR)
        assert (told.asked, await known(one)) == ([], [])
        assert await lanes(one) == {"support/gmail": 1, "support/outlook": 1, "support/other": 3}


@pytest.mark.asyncio
async def test_a_real_name_service_is_asked_over_the_network(tmp_path: Path) -> None:
    zones = {"acme.net": mx("10 aspmx.l.google.com", ttl=7200)}
    async with DnsServer(zones) as dns, world(tmp_path, now=MONDAY) as one:
        await at_acme(one, 2)
        names = Names(DnsOptions((dns.nameserver,), 60_000))
        one.works.ask = lambda _, domain: names.mail_hosts(domain)
        one.works.policy.providers.wake.set()
        await until(lambda: len(one.works.policy.providers))
        await one.settle()
        assert await lanes(one) == {"support/gmail": 2}
        async with one.database.transaction() as tx:
            found = await domains.get(tx, ["acme.net"])
        assert found["acme.net"].expires_at == MONDAY + 2 * HOUR


def test_the_book_keeps_what_is_wanted_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "NOTED", 10)
    book = providers.ProviderBook()
    assert {book.provider_of(f"d{number}.net") for number in range(50)} == {"other"}
    assert len(book.noted()) == 10
    assert book.noted() == []
