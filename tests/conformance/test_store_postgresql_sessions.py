"""Sessions with PostgreSQL that break: idle, in a transaction, in the commit itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from support.cluster import free_port
from support.postgresql import emptied, named, opened, tell
from support.stores import add, campaign, new, states
from support.tcp_proxy import Proxy, proxy

from dispatcher.store import postgresql
from dispatcher.store.after import after_commit
from dispatcher.store.database import StoreLostError
from dispatcher.store.postgresql import PostgresqlStore
from dispatcher.store.postgresql_session import WORKING, dial, make_engine, unreachable


async def end_session(store: PostgresqlStore) -> None:
    """As when the server is restarted."""
    await tell(f"SELECT pg_terminate_backend({store._session.backend}, 5000)", address=store._address)


@pytest.mark.asyncio
async def test_a_session_that_ended_between_transactions_is_not_even_noticed() -> None:
    async with opened() as store:
        async with store.transaction() as tx:
            await campaign(tx)
        for _ in range(2):
            await end_session(store)
            await asyncio.sleep(0.05)      # until this side has heard of it, too
            assert await named(store) == ["delay"]


@pytest.mark.asyncio
async def test_a_session_that_ends_in_a_transaction_takes_it_along_and_the_next_works() -> None:
    async with opened() as store:
        async with store.transaction() as tx:
            await campaign(tx)
        with pytest.raises(DBAPIError):  # noqa: PT012 -- what raises is the statement after the end
            async with store.transaction() as tx:
                await add(tx, new("a"))
                await end_session(store)
                await add(tx, new("b"))
        async with store.transaction() as tx:
            assert await states(tx) == []
            await add(tx, new("a"))
        async with store.transaction() as tx:
            assert len(await states(tx)) == 1


@pytest.mark.asyncio
async def test_a_server_that_refuses_connections_is_an_error_of_the_store_like_any_other() -> None:
    """As while it restarts: everybody who works on the store tries again by DBAPIError, and by nothing else."""
    address = await emptied()
    nowhere = replace(address, database=replace(address.database, port=free_port()))
    with pytest.raises(DBAPIError) as refused:
        await dial(make_engine(nowhere, WORKING))
    assert unreachable(refused.value)


@asynccontextmanager
async def behind_a_door() -> AsyncIterator[tuple[PostgresqlStore, Proxy]]:
    """A store whose connections a test can break as it likes."""
    address = await emptied()
    async with (
        proxy(address.database.host, address.database.port) as door,
        opened(replace(address, database=replace(address.database, port=door.port))) as store,
    ):
        async with store.transaction() as tx:
            await campaign(tx)
        yield store, door


async def put_one(store: PostgresqlStore, said: list[str]) -> None:
    async with store.transaction() as tx:
        await add(tx, new("a"))
        after_commit(tx, lambda: said.append("it is there"))


def once(word: bytes) -> Any:
    """Say yes to the first that holds this word."""
    left = [word]
    return lambda data: left[:1] == [word] and word in data and bool(left.pop())


@pytest.mark.asyncio
@pytest.mark.parametrize("answered", [True, False])
async def test_what_came_of_a_commit_without_an_answer_is_asked_for_and_the_block_ends_so(
        answered: bool) -> None:  # noqa: FBT001 -- whether the server had done it
    said: list[str] = []
    async with behind_a_door() as (store, door):
        if answered:
            door.lose_answer = once(b"COMMIT")
            await put_one(store, said)
        else:
            door.lose_request = once(b"COMMIT")
            with pytest.raises(DBAPIError):
                await put_one(store, said)
        async with store.transaction() as tx:
            assert len(await states(tx)) == len(said) == int(answered)


@pytest.mark.asyncio
async def test_where_nobody_can_say_it_the_store_is_lost_and_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "ASKED_FOR", 0.2)
    monkeypatch.setattr(postgresql, "ASKED_EVERY", 0.05)
    async with behind_a_door() as (store, door):
        lose = once(b"COMMIT")

        def lose_and_shut(data: bytes) -> bool:
            door.open = not (lost := lose(data))
            return lost

        door.lose_answer = lose_and_shut
        with pytest.raises(StoreLostError, match="nobody can say whether"):
            await put_one(store, [])
        door.open = True
        with pytest.raises(StoreLostError, match="nobody can say whether"):
            await named(store)


@pytest.mark.asyncio
async def test_a_server_that_has_not_heard_that_a_session_is_gone_is_told() -> None:
    async with behind_a_door() as (store, door):
        former = store._session.backend
        door.silent = True
        door.cut()
        await asyncio.sleep(0.05)
        assert await named(store) == ["delay"]
        assert store._session.backend != former


@pytest.mark.asyncio
async def test_a_session_that_was_lost_with_the_store_in_its_hands_keeps_nobody_out() -> None:
    async with behind_a_door() as (store, door):
        former = store._session.backend
        with pytest.raises(DBAPIError):  # noqa: PT012 -- what raises is the statement after the end
            async with store.transaction() as tx:
                await add(tx, new("a"))
                door.silent = True
                door.cut()
                await asyncio.sleep(0.05)
                await add(tx, new("b"))
        async with store.transaction() as tx:
            assert await states(tx) == []
        assert store._session.backend != former


@pytest.mark.asyncio
async def test_a_server_that_is_away_fails_each_transaction_until_it_is_back() -> None:
    async with behind_a_door() as (store, door):
        door.open = False
        door.cut()
        await asyncio.sleep(0.05)
        for _ in range(3):
            with pytest.raises(DBAPIError):
                await named(store)
        door.open = True
        assert await named(store) == ["delay"]


@pytest.mark.asyncio
async def test_a_task_that_is_cancelled_while_its_statement_runs_leaves_a_usable_store() -> None:
    async with opened() as store:
        running = asyncio.Event()

        async def ask() -> None:
            async with store.transaction() as tx:
                await campaign(tx)
                running.set()
                await tx.exec_driver_sql("SELECT pg_sleep(60)")

        for _ in range(2):
            running.clear()
            task = asyncio.create_task(ask())
            await running.wait()
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await named(store) == []
