"""A daemon among others: its lease, its looks, and what follows where either fails; on a real PostgreSQL."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs
from support.postgresql import connect, emptied, named, opened, tell
from support.tcp_proxy import Proxy, proxy

from dispatcher.clock import since_boot
from dispatcher.engine import watch as watches
from dispatcher.engine.watch import Watch, whoami
from dispatcher.store import changes, instances
from dispatcher.store.changes import Change
from dispatcher.store.database import StoreLostError
from dispatcher.store.postgresql import PostgresqlStore

LEASE = 60_000


@asynccontextmanager
async def behind_a_door() -> AsyncIterator[tuple[Proxy, PostgresqlStore]]:
    """A store that is reached through a proxy."""
    address = await emptied()
    async with (
        proxy(address.database.host, address.database.port) as door,
        opened(replace(address, database=replace(address.database, port=door.port))) as store,
    ):
        yield door, store


@asynccontextmanager
async def joined(store: PostgresqlStore, lease: int = LEASE) -> AsyncIterator[tuple[Watch, list[str]]]:
    """A watch that has joined, and what it was told to work in."""
    heard: list[str] = []
    one = Watch(store, lease)

    def hear(what: str) -> watches.Work:
        async def work() -> None:
            heard.append(what)
        return work

    one.on = {change: hear(change) for change in Change}
    one.take_over = hear("take over")
    await one.join()
    yield one, heard


@pytest.mark.asyncio
async def test_a_change_is_worked_in_once_and_stops_come_first() -> None:
    async with opened() as store, joined(store) as (one, heard):
        assert one.may_begin
        await one._look()
        assert heard == []
        async with store.transaction() as tx:
            await changes.tell(tx, Change.NEWS, Change.NAMES, Change.STOPS)
        await one._look()
        assert heard == ["stops", "names", "news"]
        await one._look()
        assert len(heard) == 3


@pytest.mark.asyncio
async def test_a_stop_that_cannot_be_worked_in_lets_nothing_begin_and_is_worked_in_later(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "STALE", 0.05)
    async with opened() as store, joined(store) as (one, heard):
        async with store.transaction() as tx:
            await changes.tell(tx, Change.STOPS)
        work, one.on[Change.STOPS] = one.on[Change.STOPS], failing
        await asyncio.sleep(0.06)
        await one._patiently(one._look, "look_failed")
        assert not one.may_begin
        one.on[Change.STOPS] = work
        waiting = asyncio.create_task(one.until_it_may())
        await one._look()
        await waiting
        assert heard == ["stops"]


async def failing() -> None:
    raise TimeoutError


@pytest.mark.asyncio
async def test_nothing_begins_by_an_old_look_and_all_goes_on_when_the_store_is_back(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "STALE", 0.2)
    monkeypatch.setattr(watches, "EVERY", 0.02)
    async with (
        behind_a_door() as (door, store),
        joined(store) as (one, _),
    ):
        looking = asyncio.create_task(one.look_on())
        with capture_logs() as logs:
            shut(door)
            while one.may_begin:  # noqa: ASYNC110 -- it is a property: nobody is told
                await asyncio.sleep(0.01)
            door.open = True
            await one.until_it_may()
        assert {line["event"] for line in logs} == {"look_failed"}
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def shut(door: Proxy) -> None:
    door.open = False
    door.cut()


@pytest.mark.asyncio
async def test_a_daemon_from_whom_others_have_taken_over_ends_whatever_it_does_first() -> None:
    async with opened() as store, joined(store) as (one, _):
        await tell("UPDATE instances SET lease_until = 0", address=store._address)
        for act in (one._look, one._renew):
            with pytest.raises(StoreLostError, match="has lapsed"):
                await act()


@pytest.mark.asyncio
async def test_past_its_lease_nothing_is_written_or_begun_and_all_goes_on_if_nobody_has_taken_over() -> None:
    async with (
        behind_a_door() as (door, store),
        joined(store, lease=600) as (one, _),
    ):
        shut(door)
        with capture_logs() as logs:
            beating, looking = asyncio.create_task(one.beat()), asyncio.create_task(one.look_on())
            while not one.ended_by_now:  # noqa: ASYNC110 -- it is a property: nobody is told
                await asyncio.sleep(0.02)
            assert not one.may_begin
            door.open = True
            await one.until_it_may()
        assert await named(store) == []
        assert sorted(line["event"] for line in logs) == ["heartbeat_failed", "look_failed"]
        beating.cancel()
        looking.cancel()
        await asyncio.gather(beating, looking, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_transaction_past_the_lease_is_to_be_tried_again_as_long_as_nobody_has_taken_over() -> None:
    async with opened() as store, joined(store) as (one, _):
        await tell("UPDATE instances SET lease_until = 1", address=store._address)
        with pytest.raises(DBAPIError, match="is to be renewed"):
            await named(store)
        await one._renew()
        assert await named(store) == []


@pytest.mark.asyncio
async def test_heartbeats_renew_the_lease() -> None:
    async with opened() as store, joined(store, lease=1_500) as (one, _):
        looking = await connect(store._address)
        first = await looking.fetchval("SELECT lease_until FROM instances")
        beating = asyncio.create_task(one.beat())
        while await looking.fetchval("SELECT lease_until FROM instances") <= first + 1_500:  # noqa: ASYNC110 -- another connection changes it, which sets no event
            await asyncio.sleep(0.02)       # the first lease would be over by then
        await looking.close()
        assert not beating.done()
        assert not one.ended_by_now
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


@pytest.mark.asyncio
async def test_one_that_was_killed_in_the_same_place_is_taken_over_from_at_once_and_one_that_runs_is_not() -> None:
    async with opened() as store:
        who = whoami()
        async with store.transaction() as tx:
            runs = await instances.join(tx, replace(who, process=os.getppid()), LEASE)
            elsewhere = await instances.join(tx, replace(who, place="elsewhere", process=2**22 + 1), LEASE)
            killed = await instances.join(tx, replace(who, process=2**22 + 1), LEASE)
        async with joined(store) as (one, heard):
            async with store.transaction() as tx:
                assert {each.id: each.living for each in await instances.every(tx)} == {
                    runs: True, elsewhere: True, killed: False, one.me: True}
            assert heard == ["take over"]
            assert one.living == 3
            ours = one.me
            await one.leave()
        async with store.transaction() as tx:
            assert await instances.ended(tx) == [killed, ours]


@pytest.mark.asyncio
async def test_a_session_may_take_longer_to_begin_than_a_look_is_waited_for() -> None:
    async with behind_a_door() as (door, store):
        door.delay = 0.1        # a dozen words each way and more until it works: longer than PATIENCE
        before = since_boot()
        async with joined(store) as (one, _):
            assert since_boot() - before > watches.PATIENCE
            assert one.may_begin
            door.delay = 0.0


@pytest.mark.asyncio
async def test_a_store_that_answers_slowly_is_told_of_once_and_once_more_when_it_is_near() -> None:
    async with opened() as store, joined(store) as (one, _):
        with capture_logs() as logs:
            for trip in [0.4] * 9 + [0.01, 0.4] + [0.01] * 9:
                one._measure(trip)
                assert bool(one.distance) == ([line["event"] for line in logs] == ["store_far"])
        assert [line["event"] for line in logs] == ["store_far", "store_near"]


@pytest.mark.asyncio
async def test_others_are_told_of_news_and_who_is_alone_tells_nobody() -> None:
    async with opened() as store, opened(store._address) as second, joined(store) as (one, _):
        one.tell()
        await one._look()
        async with joined(second) as (other, heard):
            await one._look()
            one.tell()
            await one._look()
            await other._look()
            assert heard == ["news"]
