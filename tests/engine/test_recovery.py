"""Crashes, restarts, reloads, clocks that are set: no loss, no burst, never above an allowance."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from support.post import accepted
from support.timetables import at
from support.world import DAY, HOUR, MINUTE, SETTINGS, World, changed, world

from dispatcher.core.ramp import LEAD

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
EIGHT = at("2026-03-02 08:00")


async def spent(one: World) -> list[tuple[int, ...]]:
    async with one.database.transaction() as tx:
        return [tuple(row) for row in await tx.exec_driver_sql("SELECT spent, unsent, accepted, in_doubt FROM steps")]


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_crash_in_mid_batch_gives_back_what_had_not_begun_and_sends_what_had_again(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=10) as one:
        one.post.script = lambda _r, _a: accepted(takes=45_000)
        await one.send_to(10)
        await one.run_for(100_000)        # at 0, 30, 60, 90 s: two answered, two on their way
        assert len(one.post.handed) == 4
        await one.crash()
        await one.restart()
        assert await one.states() == {"accepted": 2, "queued": 8}
        assert [(row.doubts, row.attempts) for row in await one.rows(state="queued")] == [(1, 1)] * 2 + [(0, 0)] * 6
        assert await spent(one) == [(10, 6, 2, 2)]
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 10}
        for number in range(10):
            copies = one.post.copies(f"c{number}@mail.example")
            assert len(copies) == (2 if number in (2, 3) else 1)
            assert len(set(copies)) == 1


@pytest.mark.asyncio
async def test_a_restart_in_a_slot_that_was_released_waits_for_the_next(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=30) as one:
        await one.send_to(30)
        await one.run_for(MINUTE + LEAD)
        for _ in range(5):
            await one.crash()
            await one.restart()
            await one.run_for(10_000)
        assert len(one.post.handed) == 3
        await one.run_until(EIGHT + 10 * MINUTE - 1)
        assert len(one.post.handed) == 3 + 10


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_drain_gives_back_what_has_not_begun_and_notes_what_finishes_in_time(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=10) as one:
        one.post.script = lambda recipient, _attempt: accepted(takes=None if recipient.startswith("c1@") else 0)
        await one.send_to(10)
        await one.run_for(70_000)
        await one.drain()
        assert one.post.closed == 1
        await one.open()
        assert await one.states() == {"accepted": 2, "waiting": 1, "queued": 7}
        one.post.script = lambda _r, _a: accepted()
        await one.start()
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 10}
        assert sorted(len(one.post.to(f"c{number}@mail.example")) for number in range(10)) == [1] * 9 + [2]


@pytest.mark.asyncio
async def test_a_drain_may_come_at_any_moment_of_a_release(tmp_path: Path) -> None:
    async with world(tmp_path, changed(RAMP, ('every = "5m"', 'every = "1m"')), now=EIGHT, people=60) as one:
        await one.send_to(60)
        for turns in range(0, 120, 4):
            one.clock.set(max(one.clock.next_wake() or 0, one.now))
            for _ in range(turns):
                await asyncio.sleep(0)      # in the middle of a transaction, of a batch, of nothing
            await one.drain()
            one.check()
            await one.restart()
        await one.run_for(DAY)
        assert await one.states() == {"accepted": 60}
        for row in await one.rows():
            assert len(one.post.copies(f"{row.customer}@mail.example")) == 1 + row.doubts


@pytest.mark.asyncio
async def test_nothing_begins_after_a_drain_has(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=60) as one:
        await one.send_to(60)
        await one.run_for(MINUTE)
        before = len(one.post.handed)
        await one.drain()
        one.clock.set(one.now + HOUR)
        assert len(one.post.handed) == before
        await one.open()
        await one.start()


@pytest.mark.asyncio
async def test_a_reload_in_mid_step_bites_at_the_next_slot_and_releases_no_stored_up_burst(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=400) as one:
        await one.send_to(400)
        await one.run_until(EIGHT + 10 * MINUTE - 1)
        counts = []
        for settings in (changed(RAMP, ("start = 2880", "start = 5760")),
                         changed(RAMP, ("start = 2880", "start = 288\nceiling = 288")),
                         changed(RAMP, ("start = 2880", "start = 2880\nlargest_batch = 3")),
                         changed(RAMP, ('every = "5m"', 'every = "1m"')),
                         changed(RAMP, ('offset = "0s"', 'offset = "2m"'))):
            before = len(one.post.handed)
            await one.run_for(2 * MINUTE)
            await one.reload(settings)      # in the middle of a slot that was released already
            await one.run_for(8 * MINUTE)
            counts.append(len(one.post.handed) - before)
        # Of two slots of five minutes the first goes on as it was, the second goes by the new word.
        assert counts == [10 + 20, 20 + 1, 1 + 3, 3 + 5 * 2, 2 * 2 + 10 + 6]


@pytest.mark.asyncio
async def test_lowering_the_ceiling_below_what_was_spent_ends_the_step(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=at("2026-03-02 00:00"), people=300) as one:
        await one.send_to(300)
        await one.run_for(HOUR - 1)
        assert len(one.post.handed) == 120
        await one.reload(changed(RAMP, ("start = 2880", "start = 119\nceiling = 119")))
        await one.run_until(at("2026-03-03 00:00") - 1)
        assert len(one.post.handed) == 120
        await one.run_for(DAY)
        assert len(one.post.handed) == 239


@pytest.mark.asyncio
async def test_another_timezone_or_step_length_cannot_cheat_a_step(tmp_path: Path) -> None:
    ten = changed(RAMP, ("start = 2880", "start = 10"))
    async with world(tmp_path, ten, now=at("2026-03-02 00:00"), people=100) as one:
        await one.send_to(100)
        await one.run_until(at("2026-03-02 18:00"))
        before = len(one.post.handed)
        for zone in ("Asia/Tokyo", "America/New_York", "UTC", "Pacific/Auckland", "UTC"):
            await one.reload(changed(ten, ('timezone = "UTC"', f'timezone = "{zone}"')))
            await one.run_for(10 * MINUTE)
        assert len(one.post.handed) - before <= 3
        await one.states()
        await one.reload(changed(ten, ("start = 10", 'start = 10\nstep = "1h"\n'), ('hours = "00:00-24:00"\n', "")))
        await one.run_for(10 * MINUTE)
        await one.reload(ten)
        await one.run_until(at("2026-03-03 00:00") - 1)
        assert len(one.post.handed) <= 20


@pytest.mark.asyncio
@pytest.mark.parametrize("jump", [-DAY, -HOUR, -MINUTE])
async def test_a_clock_put_back_reopens_no_slot_and_brings_no_burst(tmp_path: Path, jump: int) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        await one.send_to(100)
        await one.run_for(10 * MINUTE + 1000)
        sent = len(one.post.handed)
        one.clock.jump(one.now + jump)
        await one.run_for(-jump)
        assert len(one.post.handed) <= sent + 10
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 100}
        assert len(one.post.handed) == 100


@pytest.mark.asyncio
async def test_a_clock_put_forward_a_day_brings_no_burst(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        await one.send_to(100)
        await one.run_for(MINUTE + 1000)
        one.clock.jump(one.now + DAY)
        await one.run_for(0)
        assert len(one.post.handed) <= 10 + 10
        await one.run_for(HOUR)
        assert len(one.post.handed) == 100


@pytest.mark.asyncio
async def test_after_a_standstill_what_is_late_comes_at_twice_its_pace_and_not_in_one_burst(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        await one.send_to(100)
        await one.run_for(MINUTE + 1000)
        assert len(one.post.handed) == 3          # one every half minute
        one.clock.jump(one.now + 3 * MINUTE)      # as after a suspended machine
        await one.run_for(50_000)
        late = [handed.at for handed in one.post.handed[3:]]
        assert [round((later - earlier) / 1000) for earlier, later in pairwise(late)] == [15, 15]
        await one.run_for(HOUR)
        assert len(one.post.handed) == 100


@pytest.mark.asyncio
async def test_a_clock_put_back_does_not_keep_outcomes_from_the_store(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        await one.send_to(1)
        await one.run_for(LEAD)
        assert (await one.states()) == {"sending": 1}     # the journal lets outcomes gather for a moment
        one.clock.jump(one.now - DAY)
        await one.run_for(1000)
        assert (await one.states()) == {"accepted": 1}


@pytest.mark.asyncio
async def test_a_sender_that_is_taken_out_of_the_configuration_waits_until_it_is_back(tmp_path: Path) -> None:
    other = changed(RAMP, ("[senders.support]", "[senders.helpdesk]"))
    async with world(tmp_path, RAMP, now=EIGHT, people=30) as one:
        await one.send_to(30)
        await one.run_for(MINUTE)
        await one.reload(other)
        await one.run_for(HOUR)
        assert len(one.post.handed) <= 4
        assert set(await one.states()) == {"accepted", "queued"}
        await one.reload(RAMP)
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 30}
        assert len(one.post.handed) == 30


@pytest.mark.asyncio
async def test_a_sender_that_is_gone_for_a_moment_leaves_no_message_behind(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=30) as one:
        await one.send_to(30)
        await one.run_for(45_000)
        await one.reload(changed(RAMP, ("[senders.support]", "[senders.helpdesk]")))
        await one.run_for(40_000)
        await one.reload(RAMP)
        await one.run_for(2 * HOUR)
        assert await one.states() == {"accepted": 30}
        assert len(one.post.handed) == 30
