"""Mail domains in the store: questions, answers, and what goes with a person."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import NOW, add, new, people, states

from dispatcher.core.domains import Domain
from dispatcher.store import customers, domains, queue
from dispatcher.store.tallies import Deltas, apply

HOUR = 3_600_000
ANSWER = Domain("acme.net", "gmail", "mx.google.com", "mx", NOW, None, NOW + HOUR)


async def known(tx: AsyncConnection) -> list[Domain]:
    return await domains.page(tx, "", 100)


@pytest.mark.asyncio
async def test_a_question_is_written_once_and_due_at_once(tx: AsyncConnection) -> None:
    await domains.ask(tx, [], NOW)
    await domains.ask(tx, ["b.net", "a.net"], NOW)
    await domains.ask(tx, ["a.net"], NOW + HOUR)
    assert await known(tx) == [Domain("a.net", due_at=NOW), Domain("b.net", due_at=NOW)]
    assert await domains.due(tx, NOW - 1, 10) == []
    assert [one.domain for one in await domains.due(tx, NOW, 1)] == ["a.net"]
    assert await domains.next_due(tx) == NOW
    assert await domains.count(tx) == (2, 2)


@pytest.mark.asyncio
async def test_an_answer_that_holds_is_not_asked_again_and_one_that_does_not_is(tx: AsyncConnection) -> None:
    await domains.ask(tx, ["acme.net"], NOW)
    await domains.put(tx, [ANSWER])
    await domains.ask(tx, ["acme.net"], NOW + HOUR - 1)
    assert await domains.get(tx, ["acme.net", "b.net"]) == {"acme.net": ANSWER}
    assert await domains.next_due(tx) is None
    await domains.ask(tx, ["acme.net"], NOW + HOUR)
    assert [one.provider for one in await domains.due(tx, NOW + HOUR, 10)] == ["gmail"]
    assert await domains.count(tx) == (1, 1)


@pytest.mark.asyncio
async def test_the_least_recently_asked_are_forgotten_first(tx: AsyncConnection) -> None:
    await domains.put(tx, [Domain(f"d{number}.net", asked_at=NOW - number) for number in range(5)])
    await domains.ask(tx, ["new.net"], NOW)
    assert await domains.forget_oldest(tx, 3) == ["d4.net", "d3.net", "d2.net"]
    assert [one.domain for one in await known(tx)] == ["d0.net", "d1.net", "new.net"]


@pytest.mark.asyncio
async def test_customers_are_found_by_their_domain_as_it_is_now(tx: AsyncConnection) -> None:
    await people(tx, "c3", "c1", "c2", email="x@acme.net")
    await people(tx, "c4", email="x@mail.acme.net")
    await people(tx, "c5", email="")
    assert await domains.people(tx, "acme.net", "", 2) == ["c1", "c2"]
    assert await domains.people(tx, "acme.net", "c2", 2) == ["c3"]
    await people(tx, "c1", email="x@b.net")
    assert await domains.people(tx, "acme.net", "", 10) == ["c2", "c3"]


@pytest.mark.asyncio
async def test_a_message_that_changes_its_lane_keeps_all_else(tx: AsyncConnection) -> None:
    one, two = await add(tx, new("c1", segment="FR", rank=3), new("c2", not_before=NOW + HOUR))
    deltas = Deltas()
    await domains.relane(tx, [(one, "queued"), (two, "waiting")], "support/gmail", deltas)
    await apply(tx, deltas)
    found = [message for message, _ in await queue.queued_of(tx, ["c1", "c2"])]
    assert [(message.lane, message.segment, message.rank) for message in found] == [
        ("support/gmail", "FR", 3), ("support/gmail", "*", 0)]
    assert await states(tx) == [("queued", ""), ("queued", "")]


@pytest.mark.asyncio
async def test_a_domain_goes_with_the_last_of_its_people(tx: AsyncConnection) -> None:
    await people(tx, "c1", "c2", email="x@acme.net")
    await domains.put(tx, [ANSWER, Domain("other.net")])
    await customers.erase(tx, "c1")
    assert [one.domain for one in await known(tx)] == ["acme.net", "other.net"]
    await customers.erase(tx, "c2")
    assert [one.domain for one in await known(tx)] == ["other.net"]
