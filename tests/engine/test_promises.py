"""A campaign's plan is stored before the first of it is released, once, whatever happens around it.

Bugs that were planted, and found: a release that does not ask for the promise; a promise stored again at the restart;
an event without its promise.
"""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, SETTINGS, World, changed, world

from dispatcher.core.times import format_instant
from dispatcher.engine import promises
from dispatcher.store import events, plans
from dispatcher.store.events import Event, Kind
from dispatcher.store.plans import Promise
from dispatcher.store.tables import batch_parts

NEWS = changed(CAMPAIGN, ('id = "delay"', 'id = "news"'))


async def promise(one: World, campaign: str = "delay") -> Promise | None:
    async with one.database.transaction() as tx:
        kept = await plans.get(tx, campaign)
    return plans.read(*kept) if kept is not None else None


async def started(one: World) -> list[Event]:
    async with one.database.transaction() as tx:
        return await events.between(tx, 0, one.now + 1, 100, [Kind.CAMPAIGN_STARTED])


async def first_release(one: World, campaign: str = "delay") -> int | None:
    async with one.database.transaction() as tx:
        found: Any = await tx.execute(
            select(batch_parts.c.released_at).where(batch_parts.c.campaign == campaign).order_by(batch_parts.c.slot))
        return next((at for (at,) in found), None)


@pytest.mark.asyncio
async def test_what_is_promised_is_the_plan_and_what_then_happens(tmp_path: Path) -> None:
    async with world(tmp_path, people=150) as one:
        await one.send_to(150)
        await one.run_for(1_000)
        plan, found = await one.plan(), await promise(one)
        assert found is not None
        assert [(batch.at, batch.until, batch.lane, batch.size, batch.segments, batch.limit)
                for batch in found.batches] == [
            (batch.at, batch.until, batch.lane, batch.size, dict(batch.segments), batch.limit)
            for batch in plan.batches]
        assert (found.queued, found.done_at, found.late, found.cut) == (150, plan.done_at, 0, False)
        (event,) = await started(one)
        assert (event.at, event.subject, event.data) == (found.stored_at, "delay", {
            "version": 1, "queued": 150, "done_at": found.done_at, "late": 0})
        await one.run_for(3 * DAY)
        assert one.post.handed[-1].at == found.done_at
        assert await promise(one) == found


@pytest.mark.asyncio
async def test_it_is_there_before_the_first_batch_also_where_a_slot_is_open_already(tmp_path: Path) -> None:
    async with world(tmp_path, people=5, now=at("2026-03-02 09:00:10")) as one:
        await one.send_to(5)
        await one.settle()
        found, first = await promise(one), await first_release(one)
        assert found is not None
        assert first is not None
        assert found.stored_at <= first == at("2026-03-02 09:00:10")


@pytest.mark.asyncio
async def test_campaigns_that_start_together_are_promised_out_of_one_plan(tmp_path: Path) -> None:
    async with world(tmp_path, people=60) as one:
        await one.apply(NEWS)
        await one.send_to(60)
        await one.send_to(30, campaign="news")
        await one.run_for(1_000)
        delay, news = await promise(one), await promise(one, "news")
        assert delay is not None
        assert news is not None
        assert delay.stored_at == news.stored_at
        assert [sum(batch.size for batch in each.batches) for each in (delay, news)] == [60, 30]
        taken = {(batch.lane, batch.at): batch.size for batch in delay.batches}
        assert all(taken.get((batch.lane, batch.at), 0) + batch.size <= 1 for batch in news.batches)


@pytest.mark.asyncio
async def test_what_is_added_later_is_not_promised(tmp_path: Path) -> None:
    async with world(tmp_path, people=30) as one:
        await one.send_to(10)
        await one.run_for(1_000)
        before = await promise(one)
        await one.send_to(20, first=10)
        await one.run_for(DAY)
        assert await promise(one) == before
        assert before is not None
        assert before.queued == 10


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_crash_keeps_the_promise(tmp_path: Path) -> None:
    async with world(tmp_path, people=30) as one:
        await one.send_to(30)
        await one.run_until(at("2026-03-02 09:00:00"))
        before = await promise(one)
        await one.crash()
        await one.restart()
        await one.run_for(DAY)
        assert await promise(one) == before
        assert [event.subject for event in await started(one)] == ["delay"]
        assert await one.states() == {"accepted": 30}


@pytest.mark.asyncio
async def test_what_may_not_be_released_has_not_started(tmp_path: Path) -> None:
    async with world(tmp_path, people=10) as one:
        await one.hold("campaign", "delay")
        await one.send_to(10)
        await one.run_for(2 * HOUR)
        assert await promise(one) is None
        await one.resume("campaign", "delay")
        await one.run_for(1_000)
        found = await promise(one)
        assert found is not None
        assert format_instant(found.stored_at).startswith("2026-03-02T09:00:0")


@pytest.mark.asyncio
async def test_a_campaign_whose_lanes_are_all_held_starts_when_they_go_on(tmp_path: Path) -> None:
    async with world(tmp_path, people=10) as one:
        await one.hold("everything")
        await one.send_to(10)
        await one.run_for(2 * HOUR)
        assert await promise(one) is None
        await one.resume("everything")
        await one.run_for(1_000)
        found = await promise(one)
        assert found is not None
        assert len(found.batches) == 10


@pytest.mark.asyncio
async def test_a_hold_with_an_end_is_part_of_the_promise(tmp_path: Path) -> None:
    async with world(tmp_path, people=10) as one:
        await one.hold("everything", until=at("2026-03-02 15:00:00"))
        await one.send_to(10)
        await one.run_for(1_000)
        found = await promise(one)
        assert found is not None
        assert found.batches[0].at >= at("2026-03-02 15:00:00")


@pytest.mark.asyncio
async def test_a_promise_keeps_so_many_batches_and_says_that_it_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(promises, "MOST_BATCHES", 7)
    async with world(tmp_path, people=30) as one:
        await one.send_to(30)
        await one.run_for(1_000)
        found = await promise(one)
        assert found is not None
        assert (found.queued, len(found.batches), found.done_at, found.cut) == (30, 7, None, True)


@pytest.mark.asyncio
async def test_a_plan_that_cannot_be_made_keeps_nobody_from_hearing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("a plan that goes wrong")

    monkeypatch.setattr(promises, "promised", fail)
    async with world(tmp_path, people=10) as one:
        await one.send_to(10)
        await one.run_for(DAY)
        assert await promise(one) is None
        assert await one.states() == {"accepted": 10}
        assert [log["log_level"] for log in one.logs if log["event"] == "plan_not_promised"] == ["error"]


@pytest.mark.asyncio
async def test_a_store_that_does_not_take_the_promise_lets_nothing_leave_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = plans.store
    failing = True

    async def failing_store(*args: Any) -> bool:
        if failing:
            raise OperationalError("INSERT", {}, OSError("disk full"))
        return await store(*args)

    monkeypatch.setattr(plans, "store", failing_store)
    async with world(tmp_path, people=10, now=at("2026-03-02 08:04:50")) as one:
        await one.send_to(10)
        await one.run_until(at("2026-03-02 08:05:20"))
        assert (await first_release(one), len(await started(one))) == (None, 0)
        failing = False
        await one.run_until(at("2026-03-02 08:05:25"))
        assert await promise(one) is not None
        assert await first_release(one) is not None
        await one.run_for(DAY)
        assert await one.states() == {"accepted": 10}
    assert any(log["event"] == "promises_failed" for log in one.logs)


@pytest.mark.asyncio
async def test_lanes_of_other_campaigns_do_not_wait_for_a_promise(tmp_path: Path) -> None:
    settings = SETTINGS + '[senders.news]\nfrom = "News <news@acme.example>"\nramp = "careful"\n'
    async with world(tmp_path, settings, people=20) as one:
        await one.apply(changed(NEWS, ('senders = ["support"]', 'senders = ["news"]')))
        await one.send_to(10)
        await one.run_until(at("2026-03-02 08:01:00"))
        turn = one.engine._promises._turn

        async def never() -> None:
            await one.clock.sleep_until(at("2026-03-03 00:00:00"))
            await turn()

        one.engine._promises._turn = never      # type: ignore[method-assign] # a plan that takes all day
        await one.send_to(10, campaign="news")
        await one.run_until(at("2026-03-02 20:00:00"))
        assert {handed.sender for handed in one.post.handed} == {"support@acme.example"}
        assert len(one.post.handed) == 10
        await one.run_until(at("2026-03-03 20:00:00"))
        assert len(one.post.handed) == 20
