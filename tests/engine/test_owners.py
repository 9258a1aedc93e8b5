"""Released messages among daemons that share a store: handed over by their owners, taken over from who ended."""

import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text
from support import world as worlds
from support.post import accepted
from support.postgresql import need_postgresql
from support.timetables import at
from support.world import HOUR, MINUTE, SETTINGS, World, changed, world

from dispatcher.engine import recovery
from dispatcher.store import instances
from dispatcher.store.database import StoreLostError
from dispatcher.store.instances import Who

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
EIGHT = at("2026-03-02 08:00")
LEASE = 600_000


@pytest_asyncio.fixture
async def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A daemon among others in the middle of its first batch: of 10 messages 4 have left, one each half a minute."""
    need_postgresql()
    monkeypatch.setattr(worlds, "KEPT_IN", "postgresql")
    async with world(tmp_path, RAMP, now=EIGHT - HOUR, people=30) as it:
        it.database.instance = await joined(it)
        await it.run_until(EIGHT)
        await it.send_to(10)
        await it.run_for(100_000)
        assert len(it.post.handed) == 4
        yield it
        it.database.instance = 0


async def joined(one: World) -> int:
    async with one.database.transaction() as tx:
        return await instances.join(tx, Who("mars", "", 7), LEASE)


async def tell(one: World, statement: str, **values: int) -> None:
    async with one.database.transaction() as tx:
        await tx.execute(text(statement), values)


@pytest.mark.asyncio
async def test_what_is_released_is_ours_and_sent_as_ever(one: World) -> None:
    assert {row.owner for row in await one.rows()} == {one.database.instance}
    await one.run_for(10 * MINUTE)
    assert await one.states() == {"accepted": 10}
    assert len(one.post.handed) == 10


@pytest.mark.asyncio
async def test_what_was_taken_from_us_is_not_handed_over_and_nothing_is_written_about_it(one: World) -> None:
    other = await joined(one)
    await tell(one, "UPDATE messages SET owner = :other WHERE begun = 0 AND state = 'sending' AND id % 2 = 0",
               other=other)
    taken = [row.id for row in await one.rows(owner=other)]
    assert len(taken) == 3
    await one.run_for(10 * MINUTE)
    assert await one.states() == {"accepted": 7, "sending": 3}
    assert len(one.post.handed) == 7
    assert [row.id for row in await one.rows(state="sending")] == taken


@pytest.mark.asyncio
async def test_what_others_have_not_begun_is_taken_off_the_next_slots(one: World) -> None:
    other = await joined(one)
    await tell(one, "UPDATE messages SET owner = :other WHERE begun = 0 AND state = 'sending'", other=other)
    await one.send_to(20, first=10)
    await one.run_until(EIGHT + 10 * MINUTE - 1)
    assert len(one.post.handed) == 4 + 4       # of a slot's 10 messages 6 wait elsewhere


@pytest.mark.asyncio
async def test_whose_lease_was_taken_ends_by_that_and_each_of_its_loops_is_heard_of(one: World) -> None:
    await tell(one, "UPDATE instances SET lease_until = 0")
    one.engine.wake()
    await one.settle()
    assert isinstance(one.engine.failed.exception(), StoreLostError)
    await one.crash()
    gc.collect()
    assert one.troubles == []


@pytest.mark.asyncio
async def test_who_has_ended_is_taken_over_from_and_who_lives_is_not(one: World) -> None:
    ended, living = await joined(one), await joined(one)
    one.post.script = lambda _recipient, _attempt: accepted()
    for owner, rest in ((ended, 0), (living, 1)):
        await tell(one, "UPDATE messages SET owner = :owner, begun = CASE WHEN id > 8 THEN 1 ELSE 0 END "
                        "WHERE state = 'sending' AND id % 2 = :rest", owner=owner, rest=rest)
    one.works.underway.forget(one.works.underway.to_begin())
    assert await recovery.recover(one.works, free=False) == (0, 0)
    await tell(one, "UPDATE instances SET lease_until = 0 WHERE id = :ended", ended=ended)
    assert await recovery.recover(one.works, free=False) == (2, 1)
    async with one.database.transaction() as tx:
        assert [each.id for each in await instances.every(tx)] == [one.database.instance, living]
    assert {row.owner for row in await one.rows(state="sending")} == {living}
    assert [row.doubts for row in await one.rows(state="queued")] == [0, 0, 1]
