"""What waits, read ahead of a plan in pages, is what a single look sees; the tallies put right what moves meanwhile."""

from pathlib import Path

import pytest
from sqlalchemy import text
from support.stores import NOW, add, campaign, new, sqlite

from dispatcher.engine.waits import GRAIN, put_right, read_ahead, read_waits
from dispatcher.store.database import Database
from dispatcher.store.waiting import Waiting

SPOT = ("support/other", "delay", 2, 0, "*")
DUE = (NOW + 1, NOW + 2, NOW + 2, NOW + 2, NOW + 2, NOW + GRAIN, NOW + GRAIN + 5)


async def fill(store: Database) -> None:
    async with store.transaction() as tx:
        await campaign(tx)
        await add(tx, *(new(f"c{number}", not_before=due) for number, due in enumerate(DUE)))


@pytest.mark.asyncio
@pytest.mark.parametrize("page", [1, 2, 3, 6])
async def test_pages_come_to_what_one_look_sees(tmp_path: Path, page: int) -> None:
    async with sqlite(tmp_path) as store:
        await fill(store)
        ahead = await read_ahead(store, page)
        assert ahead is not None
        async with store.transaction() as tx:
            assert sorted(await read_waits(tx, ahead), key=lambda one: one.due) == \
                sorted(await read_waits(tx), key=lambda one: one.due)


@pytest.mark.asyncio
async def test_few_are_not_read_ahead(tmp_path: Path) -> None:
    async with sqlite(tmp_path) as store:
        await fill(store)
        assert await read_ahead(store, len(DUE)) is None


@pytest.mark.asyncio
async def test_what_became_due_meanwhile_waits_no_more(tmp_path: Path) -> None:
    async with sqlite(tmp_path) as store:
        await fill(store)
        ahead = await read_ahead(store, 2)
        async with store.transaction() as tx:
            await tx.execute(text("UPDATE tallies SET count = 0 WHERE state = 'waiting'"))
            assert await read_waits(tx, ahead) == []


@pytest.mark.parametrize(("count", "seen", "then"), [
    (5, {10: 2, 20: 3}, {10: 2, 20: 3}),
    (4, {10: 2, 20: 3}, {10: 1, 20: 3}),
    (2, {10: 2, 20: 3}, {20: 2}),
    (7, {10: 2, 20: 3}, {10: 4, 20: 3}),
    (3, {}, {0: 3}),
])
def test_the_soonest_are_those_that_have_gone_or_come(count: int, seen: dict[int, int], then: dict[int, int]) -> None:
    waits = [Waiting(SPOT, due, number) for due, number in seen.items()]
    assert {one.due: one.count for one in put_right(SPOT, count, waits)} == then
