"""Thousands at once onto the queue: each message stands as if its customer had been asked about alone.

What it is held against is told in a few lines of the core, one customer after the other. Planted, and seen caught: an
address that is compared as it is written, or not at all, or is beyond ASCII; activity at the window's edges taken for
none; a zone, a field or consent that is not looked at; an end that is one for all; a closing word to those who were
never told, and a later update that was none to its customer.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import DAY, HOUR, NOW, campaign, states
from support.truth import assert_tallies_true

from config.addresses import normalise
from config.load import load_settings
from dispatcher.core import audience
from dispatcher.core.audience import Candidate, Skip
from dispatcher.core.lanes import Route, route
from dispatcher.core.model import Campaign, Category, Customer, Priority, Words
from dispatcher.core.segments import belongs
from dispatcher.intake.accept import Answer, Receipt, accept, accept_page
from dispatcher.intake.judging import Known
from dispatcher.intake.requests import parse_request
from dispatcher.policy import Policy, policy_of
from dispatcher.store import arrivals, campaigns, controls, customers, groups, incidents
from dispatcher.store.controls import Suppression
from dispatcher.store.database import Database
from dispatcher.store.tables import messages
from dispatcher.store.tallies import Deltas

CONFIG = """[audience]
activity = ["product", "support"]
[quiet]
hours = "21:00-08:00"
[ramps.careful]
start = 100
ceiling = 1000
[senders.support]
from = "support@acme.example"
server = "smtp://127.0.0.1:25"
ramp = "careful"
"""
WORDS = {"email": Words(subject="s", text="t")}
PLACES = ("", "DE", "DE/Berlin", "DE/Berlin/Mitte", "DEU", "FR/Paris")
LOCALS = ("{0}", "C{0}", "İ{0}", "straße{0}", "c.{0}+x")
DOMAINS = ("mail.example", "gmail.com", "outlook.com", "acme.example")
ZONES = ("", "Europe/Berlin", "Asia/Tokyo", "America/New_York")


def terms(name: str, **changes: Any) -> Campaign:
    return Campaign(**{"id": name, "category": Category.SERVICE, "senders": ("support",), "words": WORDS} | changes)


CAMPAIGNS = (
    terms("plain"),
    terms("places", segment_by="location", segments=("DE/Berlin", "DE")),
    terms("colours", segment_by="colour", segments=("red", "*"), where={"plan": ("pro", "team"), "size": ("l", "m")}),
    terms("there", where={"location": ("DE", "FR/Paris")}, segment_by="plan", segments=("pro", "*")),
    terms("offer", category=Category.PROMOTIONAL, where={"engagement": ("high", "")}),
    terms("soon", useful_for=8 * HOUR),
    terms("alarm", category=Category.CRITICAL, everyone=True, reason="all must know", useful_for=HOUR),
    terms("second", incident="flood", sequence=2, segment_by="location", segments=("DE", "FR")),
    terms("over", incident="flood", sequence=3, closes=True, where={"plan": ("pro",)}),
    terms("nowhere", senders=("gone",)),
)


def person(number: int, chance: random.Random) -> Customer:
    """Anybody: also without address, with one beyond ASCII, with activity at the very edges of the window."""
    edges = [None, NOW, NOW - 30 * DAY, NOW - 30 * DAY - 1, NOW + 300_000, NOW + 300_001, NOW - DAY]
    address = f"{chance.choice(LOCALS).format(number)}@{chance.choice(DOMAINS)}"
    attributes = {name: chance.choice(some) for name, some in (("colour", ("red", "blue")), ("size", ("l", "s", "")))
                  if chance.random() < 0.7}
    return Customer(
        f"c{number}", email=address if chance.random() < 0.9 else "", timezone=chance.choice(ZONES),
        location=chance.choice(PLACES), plan=chance.choice(("", "pro", "team", "free")),
        engagement=chance.choice(("", "high", "low")), last_product_at=chance.choice(edges),
        last_order_at=chance.choice(edges), last_support_at=chance.choice([None, None, *edges]),
        consent=frozenset(chance.choice(((), ("promotional",), ("promotional", "service")))), attributes=attributes,
    )


@dataclass(frozen=True)
class House:
    """People, what was stopped for them, and what they have heard."""

    people: Sequence[Customer]
    policy: Policy
    suppressed: dict[tuple[str, str], str]
    latest: dict[str, int]
    informed: frozenset[str]


async def house(tx: AsyncConnection, folder: Path, seed: int) -> House:
    """Some hundreds of people; half of them have a message of the incident's first update, and some of those got it."""
    chance = random.Random(seed)  # noqa: S311 -- a test's dice
    (folder / "dispatcher.toml").write_text(CONFIG)
    policy = policy_of(load_settings(folder / "dispatcher.toml"))
    people = [person(number, chance) for number in range(300)]
    await customers.put(tx, people, NOW - DAY)
    stopped = [Suppression(normalise(one.email), chance.choice(("*", "service", "promotional")),
                           chance.choice(("manual", "unsubscribe", "bounce")), "", NOW)
               for one in people if one.email and chance.random() < 0.2]
    await controls.suppress(tx, stopped)
    for one in (terms("first", incident="flood", sequence=1), terms("later", incident="flood", sequence=4), *CAMPAIGNS):
        await campaign(tx, one.id, category=one.category, incident=one.incident, sequence=one.sequence,
                       closes=one.closes)
    told = [one.id for one in people if chance.random() < 0.5]
    await say(tx, "first", told, policy)
    await say(tx, "later", chance.sample(told, 40), policy)
    got = told[:60]
    await tx.execute(messages.update().where(messages.c.customer.in_(got), messages.c.campaign == "first")
                     .values(state="accepted", finished_at=NOW))
    await tx.execute(messages.update().where(messages.c.customer.in_(told[60:80])).values(
        state="skipped", reason="no_segment"))
    await tx.execute(text("DELETE FROM tallies"))
    await tx.execute(text("INSERT INTO tallies SELECT campaign, lane, priority, rank, segment, state, "
                          "CASE state WHEN 'skipped' THEN reason ELSE '' END, count(*) FROM messages "
                          "GROUP BY 1, 2, 3, 4, 5, 6, 7"))
    ids = [one.id for one in people]
    return House(people, policy, await controls.suppressed(tx, [normalise(one.email) for one in people if one.email]),
                 await incidents.latest_sequences(tx, "flood", [*ids, "nobody"]),
                 frozenset(await incidents.informed(tx, "flood", 3, ids)))


async def say(tx: AsyncConnection, name: str, to: Sequence[str], policy: Policy) -> None:
    one = terms(name, incident="flood", sequence=1 if name == "first" else 4)
    await accept(tx, [parse_request({"campaign": name, "customer": whom}, NOW) for whom in to],
                 {name: await known(tx, one)}, policy, NOW)


async def known(tx: AsyncConnection, one: Campaign) -> Known:
    stored = await campaigns.get(tx, one.id)
    assert stored is not None
    return Known(one, stored)


def alone(one: Campaign, customer: Customer | None, here: House, *, whom: str, **asked: Any) -> tuple[Any, ...]:
    """How a message to one customer is to stand: segment, rank, lane, priority, expires_at, reason of a skip."""
    informed = one.closes and whom in here.informed
    way = route(audience.as_owed(one, informed=informed), customer, here.policy.channels,
                here.policy.provider_of) if customer else Route()
    ends = [end for end in (asked.get("expires_at"), one.useful_for and NOW + one.useful_for) if end is not None]
    stopped = controls.reason_for(here.suppressed, normalise(way.address), one.category) if way.address else ""
    verdict = audience.verdict(
        Candidate(campaign=one, customer=customer, route=way, expires_at=min(ends, default=None), suppressed=stopped,
                  superseded=bool(one.incident) and here.latest.get(whom, 0) > one.sequence, informed=informed),
        here.policy.rules, NOW)
    usual = Priority.HIGH if one.category is Category.CRITICAL else Priority.NORMAL
    priority = asked.get("priority", Priority.HIGH if one.closes and informed else usual)
    return (way.segment, way.rank, way.lane, priority, min(ends, default=None),
            verdict.reason if isinstance(verdict, Skip) else "")


async def stand(tx: AsyncConnection, name: str) -> dict[str, tuple[Any, ...]]:
    m = messages.c
    rows = await tx.execute(select(m.key, m.segment, m.rank, m.lane, m.priority, m.expires_at, m.reason)
                            .where(m.campaign == name))
    return {key: tuple(values) for key, *values in rows}


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(3))
async def test_requests_in_thousands_stand_as_each_would_alone(store: Database, tmp_path: Path, seed: int) -> None:
    async with store.transaction() as tx:
        here = await house(tx, tmp_path, seed)
        chance = random.Random(seed + 100)  # noqa: S311 -- a test's dice
        for one in CAMPAIGNS:
            asked, wanted = [], {}
            people = [*here.people, None]
            chance.shuffle(people)
            for customer in people:
                whom = customer.id if customer else "nobody"
                some: dict[str, Any] = {}
                if chance.random() < 0.3:
                    some["priority"] = chance.choice((Priority.HIGH, Priority.LOW))
                if chance.random() < 0.3:
                    some["expires_at"] = NOW + chance.choice((-HOUR, 0, HOUR, 14 * HOUR))
                request = parse_request({"campaign": one.id, "customer": whom, "data": {"n": whom}}, NOW)
                asked.append(request._replace(**some))
                wanted[whom] = alone(one, customer, here, whom=whom, **some)
            receipts = await accept(tx, asked, {one.id: await known(tx, one)}, here.policy, NOW)
            assert await stand(tx, one.id) == wanted
            assert receipts == [Receipt(Answer.SKIPPED, wanted[one.key][-1]) if wanted[one.key][-1] else
                                Receipt(Answer.QUEUED) for one in asked]
            if one.incident:
                here = replace(here, latest=await incidents.latest_sequences(
                    tx, "flood", ["nobody", *(customer.id for customer in here.people)]))
        await assert_tallies_true(tx)


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(3))
async def test_an_audience_stands_as_each_of_it_would_alone(store: Database, tmp_path: Path, seed: int) -> None:
    async with store.transaction() as tx:
        here = await house(tx, tmp_path, seed)
        for one in CAMPAIGNS:
            wanted = {customer.id: alone(one, customer, here, whom=customer.id) for customer in here.people
                      if belongs(one.where, customer) or (one.closes and customer.id in here.informed)}
            # Some were asked for before, and some of those are not of its audience.
            asked = [parse_request({"campaign": one.id, "customer": customer.id}, NOW) for customer in here.people
                     if int(customer.id[1:]) % 7 == 0]
            before = [request.customer_id for request in asked if request.customer_id in wanted]
            if not one.incident:
                await accept(tx, asked, {one.id: await known(tx, one)}, here.policy, NOW)
            came: Counter[tuple[str, str]] = Counter()
            page, size = await groups.page(tx, "", 120), 0
            while page.size:
                came += (await accept_page(tx, page, await known(tx, one), here.policy, NOW)).answers
                page, size = await groups.page(tx, page.upto, 120), size + page.size
            assert size == len(here.people)
            found = await stand(tx, one.id)
            assert {whom: found[whom] for whom in wanted} == wanted
            assert came.total() == len(wanted)
            twice = sum(number for (answer, _), number in came.items() if answer is Answer.DUPLICATE)
            assert twice == (len(before) if not one.incident else 0)
            if one.incident:
                here = replace(here, latest=await incidents.latest_sequences(
                    tx, "flood", [customer.id for customer in here.people]))
        await assert_tallies_true(tx)


@pytest.mark.asyncio
async def test_first_come_is_first_served(store: Database) -> None:
    async with store.transaction() as tx:
        await campaign(tx)
        here = [f"c{number}" for number in range(700)]
        random.Random(7).shuffle(here)  # noqa: S311 -- a test's dice
        stands = [arrivals.Stand("*", 0, "support/other", 2, None, skipped) for skipped in ("", "inactive", "")]
        some = [arrivals.Arrival(whom, whom, "", "{}", 0, place % 3) for place, whom in enumerate(here)]
        await arrivals.add(tx, "delay", some, stands, NOW)
        found = await tx.execute(select(messages.c.key).order_by(messages.c.id))
        assert [key for (key,) in found] == here
        assert Counter(await states(tx)) == {("queued", ""): 467, ("skipped", "inactive"): 233}


@pytest.mark.asyncio
async def test_of_two_with_one_key_the_first_stands_and_what_was_there_before_both(store: Database) -> None:
    def asked(*keys: str, by: str) -> list[arrivals.Arrival]:
        return [arrivals.Arrival(key, f"{by}{place}", "", "{}", NOW + place % 2, place % 2)
                for place, key in enumerate(keys)]

    stands = [arrivals.Stand("*", 0, "support/other", 2, None, skipped) for skipped in ("", "inactive")]
    async with store.transaction() as tx:
        await campaign(tx)
        assert (await arrivals.add(tx, "delay", asked("a", "b", by="x"), stands, NOW)).count == 2
        again = await arrivals.add(tx, "delay", asked("c", "a", "c", "d", "b", by="y"), stands, NOW)
        assert again.count == 2
        found = await tx.execute(select(messages.c.key, messages.c.customer, messages.c.state, messages.c.waiting)
                                 .order_by(messages.c.id))
        assert [tuple(row) for row in found] == [
            ("a", "x0", "queued", 0), ("b", "x1", "skipped", 0), ("c", "y0", "queued", 0), ("d", "y3", "skipped", 0)]
        assert (await arrivals.add(tx, "delay", asked("a", "b", by="z"), stands, NOW)).count == 0


@pytest.mark.asyncio
async def test_messages_all_of_which_are_new_are_counted_as_the_database_counts_them(store: Database) -> None:
    stands = [arrivals.Stand(f"s{place}", place, f"support/{place % 3}", place % 4, None, skipped)
              for place, skipped in enumerate(("", "", "", "", "inactive", "capped"))]
    some = [arrivals.Arrival(f"k{place}", "c", "", "{}", NOW + place % 3 - 1, place % 6) for place in range(60)]
    async with store.transaction() as tx:
        await campaign(tx)
        added, here, there = await arrivals.add(tx, "delay", some, stands, NOW), Deltas(), Deltas()
        await arrivals.count(tx, "delay", added, there)
        arrivals.count_new("delay", some, stands, NOW, here)
        assert here == there
        assert here.total() == added.count == 60


@pytest.mark.asyncio
async def test_pages_have_everyone_once_whatever_their_ids(store: Database) -> None:
    ids = ["", "a", "A", "ä", "z", "Z", "aa", "a-b", "a.b", "日本", "~", " "]
    async with store.transaction() as tx:
        await customers.put(tx, [Customer(one) for one in ids if one], NOW)
        seen, page = 0, await groups.page(tx, "", 2)
        while page.size:
            seen, page = seen + page.size, await groups.page(tx, page.upto, 2)
        assert seen == len(ids) - 1
