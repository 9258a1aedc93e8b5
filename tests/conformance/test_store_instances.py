"""The daemons that share a store, and what they tell each other: leases, heartbeats, owners, changes."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import LANE, NOW, add, batch, new, people

from dispatcher.core.domains import Domain
from dispatcher.core.reputation import UNBLEMISHED
from dispatcher.store import campaigns, canaries, changes, controls, customers, domains, instances, lanes, owners, queue
from dispatcher.store.canaries import CanaryRow, CanaryState
from dispatcher.store.changes import Change
from dispatcher.store.controls import Hold, Suppression
from dispatcher.store.instances import Look, Who
from dispatcher.store.record_tables import instances as table
from dispatcher.store.tallies import Deltas, apply

LEASE = 60_000


async def joined(tx: AsyncConnection, machine: str = "mars") -> int:
    return await instances.join(tx, Who(machine, f"{machine} since its boot", 7), LEASE)


async def lapse(tx: AsyncConnection, number: int) -> None:
    await tx.execute(update(table).where(table.c.id == number).values(lease_until=instances.NOW))


# Leases

@pytest.mark.asyncio
async def test_each_instance_has_a_number_of_its_own_and_a_lease_from_the_databases_clock(tx: AsyncConnection) -> None:
    one, two = await joined(tx), await joined(tx, "venus")
    assert one != two
    found = await instances.every(tx)
    assert [(each.id, each.machine, each.process, each.living) for each in found] == [
        (one, "mars", 7, True), (two, "venus", 7, True)]
    assert found[0].started_at == found[0].seen_at > NOW
    assert await instances.of_place(tx, "mars since its boot") == {one: 7}
    await lapse(tx, one)
    assert await instances.of_place(tx, "mars since its boot") == {}


@pytest.mark.asyncio
async def test_a_heartbeat_renews_a_lease_until_somebody_has_taken_over(tx: AsyncConnection) -> None:
    one = await joined(tx)
    assert await instances.beat(tx, one, LEASE)
    await lapse(tx, one)
    assert [each.living for each in await instances.every(tx)] == [False]
    assert (await instances.look(tx, one)).ours
    assert await instances.beat(tx, one, LEASE)
    assert [each.living for each in await instances.every(tx)] == [True]
    assert await instances.ended(tx) == []
    await lapse(tx, one)
    assert await instances.ended(tx) == [one]
    assert not await instances.beat(tx, one, LEASE)
    assert not (await instances.look(tx, one)).ours
    assert [each.living for each in await instances.every(tx)] == [False]
    assert not await instances.beat(tx, one + 1, LEASE)


@pytest.mark.asyncio
async def test_who_lives_and_who_has_lapsed_is_seen_by_everyone(tx: AsyncConnection) -> None:
    one, two, three = [await joined(tx) for _ in range(3)]
    await lapse(tx, two)
    assert await instances.look(tx, one) == Look(ours=True, living=2, lapsed=1, stops=0, news=0, names=0)
    assert await instances.ended(tx) == [two]
    assert await instances.others(tx, [two]) == [one, three]
    assert await instances.living_beside(tx, one) == 1
    assert await instances.living_beside(tx, two) == 2
    await instances.forget(tx, [two])
    await instances.forget(tx, [])
    assert await instances.ended(tx) == []


@pytest.mark.asyncio
async def test_one_that_leaves_lives_no_more(tx: AsyncConnection) -> None:
    one, two = await joined(tx), await joined(tx)
    await instances.leave(tx, one)
    assert await instances.ended(tx) == [one]
    assert (await instances.look(tx, two)).living == 1


# Owners

@pytest.mark.asyncio
async def test_a_mark_is_put_only_on_what_is_ones_own_and_still_being_sent(tx: AsyncConnection) -> None:
    await people(tx, *"abcd")
    own, others, free, back = await batch(tx, await add(tx, *map(new, "abcd")))
    for message, owner in ((own, 1), (others, 2), (back, 1)):
        await owners.own(tx, [message.id], owner)
    deltas = Deltas()
    await queue.give_back(tx, [back], 0, deltas)
    await apply(tx, deltas)
    every = [message.id for message in (own, others, free, back)]
    assert await owners.begin(tx, every, 1) == {own.id}
    assert await owners.begin(tx, every, 1) == {own.id}      # once more, as after an answer that was lost
    assert await owners.begin(tx, every, 3) == set()
    assert {message.id: begun for message, _, begun in await queue.sending(tx, 9)} == {
        own.id: 1, others.id: 0, free.id: 0}


@pytest.mark.asyncio
async def test_what_others_have_not_begun_counts_and_what_is_nobodys(tx: AsyncConnection) -> None:
    await people(tx, *"abcd")
    messages = await batch(tx, await add(tx, *map(new, "abcd")))
    await owners.own(tx, [one.id for one in messages[:2]], 1)
    await owners.own(tx, [messages[2].id], 2)
    assert [await owners.not_begun(tx, LANE, number) for number in (1, 2, 3)] == [2, 3, 4]
    await owners.begin(tx, [one.id for one in messages], 1)
    assert [await owners.not_begun(tx, LANE, number) for number in (1, 2, 3)] == [2, 1, 2]
    assert await owners.not_begun(tx, "support/gmail", 1) == 0
    assert await instances.under_way(tx) == {1: 2, 2: 1, None: 1}


@pytest.mark.asyncio
async def test_what_is_left_of_those_who_ended_is_found_and_nothing_of_the_living(tx: AsyncConnection) -> None:
    await people(tx, *"abc")
    ended, living, free = await batch(tx, await add(tx, *map(new, "abc")))
    await owners.own(tx, [ended.id], 1)
    await owners.own(tx, [living.id], 2)

    async def left(numbers: list[int], *, free: bool) -> list[int]:
        return [message.id for message, _, _ in await queue.sending(tx, 9, numbers, free=free)]

    assert await left([2], free=False) == [ended.id]
    assert sorted(await left([2], free=True)) == [ended.id, free.id]
    assert sorted(await left([], free=True)) == [ended.id, living.id, free.id]


# Changes

async def _queue(tx: AsyncConnection) -> None:
    await add(tx, new("a"))


async def _erase(tx: AsyncConnection) -> None:
    await customers.erase(tx, "a")


STOPS: dict[str, Callable[[AsyncConnection], Awaitable[object]]] = {
    "a hold": lambda tx: controls.hold(tx, Hold("everything", "", "why", "who", NOW, None)),
    "a suppression": lambda tx: controls.suppress(tx, [Suppression("a@mail.example", "*", "manual", "", NOW)]),
    "the end of a campaign": lambda tx: campaigns.cancel(tx, "delay", "over", NOW),
    "a customer who is forgotten": _erase,
    "an audience on its way": lambda tx: campaigns.start_expansion(tx, "delay", NOW),
    "a lane's reputation": lambda tx: lanes.write(tx, LANE, UNBLEMISHED),
    "a canary that failed": lambda tx: canaries.put(tx, CanaryRow("delay", CanaryState.FAILED, 1, NOW, None)),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", STOPS)
async def test_every_stop_is_told_where_somebody_may_hear_of_it(tx: AsyncConnection, what: str) -> None:
    await STOPS[what](tx)
    seen = await instances.look(tx, 1)
    shared = tx.dialect.name != "sqlite"
    assert (seen.stops > 0, seen.news, seen.names) == (shared, 0, 0)


@pytest.mark.asyncio
async def test_what_comes_into_the_queue_is_told_and_so_is_a_domains_provider(tx: AsyncConnection) -> None:
    shared = int(tx.dialect.name != "sqlite")
    await _queue(tx)
    assert (await instances.look(tx, 1)).news == shared
    await domains.put(tx, [Domain("acme.example", provider="gmail", asked_at=NOW)])
    assert (await instances.look(tx, 1)).names == shared
    assert [one.provider for one in await domains.asked_since(tx, NOW, "", 9)] == ["gmail"]
    assert await domains.asked_since(tx, NOW + 1, "", 9) == []
    await changes.tell(tx, Change.NEWS, Change.STOPS)
    seen = await instances.look(tx, 1)
    assert (seen.stops, seen.news, seen.names) == (shared, 2 * shared, shared)
