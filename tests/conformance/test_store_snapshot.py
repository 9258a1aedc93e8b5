"""A snapshot: one moment of any store, read beside all work, and nothing written by it."""

import asyncio
import contextlib

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError
from support.stores import campaign

from dispatcher.store import integrity, truth
from dispatcher.store.database import Database
from dispatcher.store.tables import batches, meta, steps

COUNT = select(func.count()).select_from(meta).where(meta.c.name.like("seen%"))
BATCH = {"slot_ends": 0, "step": 0, "size": 1, "allowance": 9_999, "released_at": 0}
NUMBERS = """\
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000) SELECT max(i) FROM n"""


async def write(store: Database, name: str) -> None:
    async with store.transaction() as tx:
        await tx.execute(insert(meta).values(name=name, value=""))


@pytest.mark.asyncio
async def test_it_shows_one_moment_and_nobody_waits_for_it(store: Database) -> None:
    await write(store, "seen1")
    async with store.snapshot() as tx:
        assert (await tx.execute(COUNT)).scalar() == 1
        await write(store, "seen2")
        assert not store.busy
        assert (await tx.execute(COUNT)).scalar() == 1
    async with store.snapshot() as tx:
        assert (await tx.execute(COUNT)).scalar() == 2


@pytest.mark.asyncio
async def test_nothing_is_written_by_it(store: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"):
        async with store.snapshot() as tx:
            await tx.execute(insert(meta).values(name="seen", value=""))
    async with store.snapshot() as tx:
        assert (await tx.execute(COUNT)).scalar() == 0


@pytest.mark.asyncio
async def test_one_that_is_cancelled_in_a_long_statement_ends_at_once(store: Database) -> None:
    """The statement would take minutes."""
    begun = asyncio.Event()

    async def read() -> None:
        async with store.snapshot() as tx:
            begun.set()
            await tx.exec_driver_sql(NUMBERS)

    task = asyncio.create_task(read())
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(20):
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await write(store, "seen")


@pytest.mark.asyncio
async def test_a_whole_store_has_no_faults(store: Database) -> None:
    async with store.transaction() as tx:
        await campaign(tx)
    async with store.snapshot() as tx:
        assert await integrity.faults(tx) == []


@pytest.mark.asyncio
async def test_faults_beyond_a_page_are_found_and_no_more_are_named_than_one_can_read(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth, "PAGE", 7)
    async with store.transaction() as tx:
        await tx.execute(insert(batches), [BATCH | {"lane": f"s/l{lane}", "slot": slot, "slot_ends": slot + 1}
                                           for lane in range(3) for slot in range(25)])
        await tx.execute(insert(steps), [
            {"lane": f"s/l{lane}", "step": 0, "step_ends": 99, "allowance": 0, "spent": 25, "unsent": 0, "accepted": 0,
             "deferred": 0, "rejected": 0, "in_doubt": 0, "last_at": 0} for lane in range(3)])
    async with store.transaction() as tx:
        assert await truth.untrue_ledger(tx) == []
        await tx.execute(batches.update().where(batches.c.lane == "s/l2", batches.c.slot == 24).values(allowance=24))
        assert await truth.untrue_ledger(tx) == ["s/l2: 25 released by 1970-01-01T00:00:00.024Z, allowed 24"]
        await tx.execute(batches.update().values(allowance=0))
        assert len(await truth.untrue_ledger(tx)) == truth.MOST
