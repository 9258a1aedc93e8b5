"""A day's timetable: what `plan` says is what happens, and what was not used is not made up for."""

from collections import Counter
from pathlib import Path

import pytest
from support.post import accepted
from support.timetables import at
from support.world import DAY, HOUR, MINUTE, SETTINGS, World, changed, world

HOURLY = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "1h"\nhours = "08:00-12:00"\nstart = 10'))


def clock(instant: int) -> str:
    minutes, seconds = divmod(instant // 1000 % 86400, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def times(one: World) -> list[str]:
    return [clock(handed.at) for handed in one.post.handed]


@pytest.mark.asyncio
async def test_a_batch_leaves_evenly_spread_over_its_slot(tmp_path: Path) -> None:
    async with world(tmp_path, HOURLY, people=7) as one:
        await one.send_to(7)
        await one.run_until(at("2026-03-02 23:00"))
        assert times(one) == [
            "08:00:00", "08:30:00",
            "09:00:00", "09:20:00", "09:40:00",
            "10:00:00", "10:30:00",
        ]
        assert await one.states() == {"accepted": 7}


@pytest.mark.asyncio
@pytest.mark.parametrize("start", ["07:00", "09:10", "11:59"])
async def test_what_plan_says_is_what_happens_over_days_of_growth(tmp_path: Path, start: str) -> None:
    async with world(tmp_path, HOURLY, now=at(f"2026-03-02 {start}"), people=60) as one:
        await one.send_to(60)
        said = await one.plan()
        assert said.left == said.late == 0
        await one.run_until(at("2026-03-09 00:00"))
        happened: Counter[int] = Counter()
        for handed in one.post.handed:
            slot = max(batch.at for batch in said.batches if batch.at <= handed.at)
            happened[slot] += 1
        assert happened == {batch.at: batch.size for batch in said.batches}
        assert one.post.handed[-1].at == said.done_at


@pytest.mark.asyncio
async def test_what_plan_says_holds_for_messages_that_wait_and_a_lane_that_is_held_for_a_while(tmp_path: Path) -> None:
    async with world(tmp_path, changed(HOURLY, ("start = 10", "start = 40")), people=40) as one:
        await one.send_to(5)
        await one.send(*({"customer": f"c{number}", "not_before": f"2026-03-02T{10 + number % 3}:{number}:00Z"}
                         for number in range(10, 40)))
        await one.hold("lane", "support/other", until=at("2026-03-02 10:12:30"))
        said = await one.plan()
        await one.run_until(at("2026-03-05 00:00"))
        async with one.database.transaction() as tx:
            rows = list(await tx.exec_driver_sql("SELECT released_at, size FROM batches ORDER BY slot"))
        assert [(batch.at, batch.size) for batch in said.batches] == rows
        assert said.done_at == one.post.handed[-1].at


@pytest.mark.asyncio
async def test_the_allowance_grows_by_a_fifth_a_day(tmp_path: Path) -> None:
    async with world(tmp_path, HOURLY, people=80) as one:
        await one.send_to(80)
        days = []
        for day in range(6):
            before = len(one.post.handed)
            await one.run_until(at("2026-03-03 00:00") + day * DAY)
            days.append(len(one.post.handed) - before)
        assert days == [10, 12, 14, 16, 19, 9]


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_segments_leave_in_the_campaigns_order_and_urgent_messages_first(tmp_path: Path) -> None:
    async with world(tmp_path, HOURLY, people=4) as one:
        await one.people(3, first=4, location="FR/Paris")
        await one.send_to(3, first=4)
        await one.send_to(3)
        await one.send({"customer": "c3", "priority": "urgent"})
        await one.run_until(at("2026-03-02 23:00"))
        assert one.post.recipients == ["c3", "c0", "c1", "c2", "c4", "c5", "c6"]


@pytest.mark.asyncio
async def test_time_held_idle_or_stopped_is_not_made_up_for(tmp_path: Path) -> None:
    async with world(tmp_path, HOURLY, people=30) as one:
        await one.hold("everything")
        await one.send_to(30)
        await one.run_until(at("2026-03-02 09:30"))
        assert one.post.handed == []
        await one.resume("everything")
        await one.run_until(at("2026-03-02 23:00"))
        # Half of the slot of 9 o'clock, then 2 and 3: the quarter that was held is gone.
        assert times(one) == ["09:30:00", "10:00:00", "10:30:00", "11:00:00", "11:20:00", "11:40:00"]
        await one.drain()
        one.clock.set(at("2026-03-03 10:30"))
        await one.restart()
        await one.run_until(at("2026-03-03 23:00"))
        assert times(one)[6:] == ["10:30:00", "11:00:00", "11:20:00", "11:40:00"]


@pytest.mark.asyncio
async def test_a_lane_that_was_idle_releases_the_rest_of_its_slot_and_no_more(tmp_path: Path) -> None:
    async with world(tmp_path, changed(HOURLY, ("start = 10", "start = 40")), people=40) as one:
        await one.run_until(at("2026-03-02 10:45"))
        await one.send_to(40)
        await one.run_for(10 * MINUTE)
        assert len(one.post.handed) == 2    # of 10, the quarter that is left of the slot


@pytest.mark.asyncio
async def test_a_message_for_later_waits_for_its_time(tmp_path: Path) -> None:
    async with world(tmp_path, HOURLY, people=1) as one:
        await one.send({"customer": "c0", "not_before": "2026-03-02T10:20:00Z"})
        assert await one.states() == {"waiting": 1}
        await one.run_until(at("2026-03-02 23:00"))
        assert times(one) == ["10:20:00"]


@pytest.mark.asyncio
async def test_a_server_that_takes_its_time_gets_no_heap(tmp_path: Path) -> None:
    async with world(tmp_path, changed(HOURLY, ("start = 10", "start = 40")), people=40) as one:
        one.post.width = 1
        await one.reload(changed(HOURLY, ("start = 10", "start = 40"), ("support@", "support2@")))
        one.post.script = lambda _recipient, _attempt: accepted(takes=HOUR)
        await one.send_to(40)
        await one.run_until(at("2026-03-02 12:00"))
        async with one.database.transaction() as tx:
            sizes = [row[0] for row in await tx.exec_driver_sql("SELECT size FROM batches ORDER BY slot")]
        assert sizes[0] == 10
        assert len(one.works.underway) <= 11


@pytest.mark.asyncio
async def test_an_open_queue_of_messages_to_come_is_not_polled(tmp_path: Path) -> None:
    async with world(tmp_path, SETTINGS, now=at("2026-03-02 08:00"), people=50) as one:
        await one.send(*({"customer": f"c{number}", "not_before": "2026-03-02T18:00:00Z"} for number in range(50)))
        await one.run_for(MINUTE)
        wakes, end = 0, one.now + HOUR
        while (instant := one.clock.next_wake()) is not None and instant < end:
            one.clock.set(instant)
            await one.settle()
            wakes += 1
        assert wakes < 10     # an hour's seconds are 3,600
        assert await one.states() == {"waiting": 50}
