"""A store that cannot be written, or is left in the middle: nothing is sent, nothing is lost, it recovers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from support.post import accepted, unreachable, wrong_setup
from support.timetables import at
from support.truth import assert_true
from support.world import HOUR, MINUTE, SETTINGS, World, changed, world

from dispatcher.engine.underway import of_customers

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
EIGHT = at("2026-03-02 08:00")


@asynccontextmanager
async def store_fails(one: World) -> AsyncIterator[list[int]]:
    """The disk is full: no transaction gets through. The list counts those that were tried."""
    whole, tried = one.database.transaction, [0]

    @asynccontextmanager
    async def fail(*, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        tried[0] += 1
        async with whole():
            raise OperationalError("COMMIT", {}, Exception("database or disk is full"))
        yield  # type: ignore[unreachable] # what makes it a generator

    one.database.transaction = fail   # type: ignore[method-assign] # as if the disk were full
    try:
        yield tried
    finally:
        one.database.transaction = whole   # type: ignore[method-assign] # space is back


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_while_the_store_fails_nothing_is_sent_and_nothing_is_lost(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=60) as one:
        one.post.script = lambda _r, _a: accepted(takes=20_000)
        await one.send_to(60)
        await one.run_for(65_000)
        began = len(one.post.handed)
        async with store_fails(one) as tried:
            await one.run_for(20 * MINUTE)
            assert len(one.post.handed) <= began + 1      # what was marked before
            assert 100 < tried[0] < 10_000
            assert one.works.journal.failing
        await one.run_for(2 * HOUR)
        assert not one.works.journal.failing
        assert await one.states() == {"accepted": 60}
        assert len(one.post.handed) == 60


@pytest.mark.asyncio
@pytest.mark.parametrize("trouble", [unreachable, wrong_setup])
async def test_what_goes_back_while_the_store_fails_is_not_forgotten(tmp_path: Path, trouble) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=10) as one:
        answers = iter([trouble()])
        one.post.script = lambda _r, _a: next(answers, accepted())
        await one.send_to(10)
        await one.run_until(EIGHT - 1)
        async with store_fails(one):
            await one.run_for(3 * MINUTE)
        await one.run_for(MINUTE)
        await one.resume("lane", "support/other")
        await one.run_for(2 * HOUR)
        assert await one.states() == {"accepted": 10}


@pytest.mark.asyncio
async def test_stops_that_cannot_be_written_are_written_later(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=10) as one:
        await one.send_to(10)
        await one.run_for(MINUTE)
        async with store_fails(one):
            stopping = asyncio.create_task(one.engine.stop_items(of_customers(["c7", "c8"]), "unknown_customer"))
            await one.run_for(MINUTE)
            assert not stopping.done()
        await one.run_for(HOUR)
        assert await stopping == 2
        assert await one.states() == {"accepted": 8, "skipped": 2}


@pytest.mark.asyncio
async def test_a_drain_ends_in_time_though_the_store_fails(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=10) as one:
        one.post.script = lambda recipient, _attempt: accepted(takes=20_000 if recipient.startswith("c2@") else 0)
        await one.send_to(10)
        await one.run_for(65_000)
        async with store_fails(one):
            await one.run_for(20_000)      # one outcome waits to be written, seven messages to be handed over
            await one.drain()
        await one.restart()
        assert await one.states() == {"accepted": 2, "queued": 8}
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 10}
        assert [len(one.post.copies(f"c{number}@mail.example")) for number in range(4)] == [1, 1, 2, 1]


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_transaction_cancelled_at_any_statement_leaves_the_store_usable_and_nothing_half_written(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, RAMP, now=EIGHT - HOUR, people=200) as one:
        await one.hold("everything")
        sync_engine = one.database._engine.sync_engine
        statements = 0
        for stop_at in range(1, 31):
            task = asyncio.create_task(one.send_to(3, first=stop_at * 3))
            statements = 0

            def count(*_: object, task: asyncio.Task[None] = task, stop_at: int = stop_at) -> None:
                nonlocal statements
                statements += 1
                if statements == stop_at:
                    task.cancel()

            for name in ("before_cursor_execute", "commit"):
                event.listen(sync_engine, name, count)
            await asyncio.gather(task, return_exceptions=True)
            for name in ("before_cursor_execute", "commit"):
                event.remove(sync_engine, name, count)
            async with one.database.transaction() as tx:
                await assert_true(tx)
        assert statements < 30      # the last one was through before it could be cancelled
        rows = await one.rows()
        assert len(rows) % 3 == 0
        assert 0 < len(rows) < 90
