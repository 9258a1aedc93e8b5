"""Pace by answers: what leaves for a campaign or reply address, over all lanes, is what people can answer."""

from pathlib import Path

import pytest
from support.kept import by_instant, most_in_an_hour, promised, released
from support.offices import Desk
from support.post import accepted, deferred
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, SETTINGS, World, changed, person, world

SHARED = changed(SETTINGS, ('offset = "0s"', 'start = 2_000\noffset = "auto"')) + """
[senders.news]
from = "Acme <news@acme.example>"
reply_to = "Support@Acme.example"
ramp = "careful"
[replies."support@acme.example"]
agents = 2
per_hour = 6
expected = 0.5
"""
NEWS = changed(CAMPAIGN, ('id = "delay"', 'id = "news"'), ('["support"]', '["news"]'))
EIGHT = at("2026-03-02 08:00")


async def gmail(one: World, count: int, first: int) -> None:
    await one.customers(person(number, one.now) | {"email": f"c{number}@gmail.com"}
                        for number in range(first, first + count))


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_three_lanes_with_one_reply_address_share_its_hour_and_keep_to_their_plan(tmp_path: Path) -> None:
    async with world(tmp_path, SHARED, people=30) as one:
        await one.apply(NEWS)
        await gmail(one, 30, first=30)
        await one.send_to(60)
        await one.send_to(30, campaign="news")
        plan = await one.plan()
        assert {str(batch.limit) for batch in plan.batches} == {"replies", "backlog"}
        assert {batch.lane for batch in plan.batches} == {"support/other", "support/gmail", "news/other"}
        await one.run_for(DAY)
        assert await released(one) == promised(plan)
        assert most_in_an_hour(await by_instant(one)) == 24
        assert len(one.post.handed) == 90


@pytest.mark.asyncio
async def test_a_campaign_has_a_bound_of_its_own_and_mail_to_another_address_none(tmp_path: Path) -> None:
    bounded = changed(CAMPAIGN, ("[email]", "replies = { agents = 1, per_hour = 12, expected = 1.0 }\n[email]"))
    settings = changed(SETTINGS, ('offset = "0s"', 'start = 2_000\noffset = "0s"'))
    async with world(tmp_path, settings, campaign=bounded, people=40) as one:
        await one.apply(changed(CAMPAIGN, ('id = "delay"', 'id = "free"')))
        await one.send_to(20)
        await one.send_to(20, first=20, campaign="free")
        await one.run_until(EIGHT + 59 * 60_000)
        assert [size for _, size in await by_instant(one, "delay")] == [1] * 12
        assert sum(size for _, size in await by_instant(one, "free")) == 20
        assert (await one.plan()).batches[0].limit == "replies"
        await one.run_for(HOUR)
        assert sum(size for _, size in await by_instant(one, "delay")) == 20


@pytest.mark.asyncio
async def test_further_attempts_count_and_both_bounds_hold(tmp_path: Path) -> None:
    settings = changed(SHARED, ("expected = 0.5", "expected = 1")) + '[retry]\ndelays = ["30m"]\n'
    bounded = changed(CAMPAIGN, ("[email]", "replies = { agents = 1, per_hour = 9, expected = 1.0 }\n[email]"))
    async with world(tmp_path, settings, campaign=bounded, people=40) as one:
        one.post.script = lambda _, attempt: deferred() if attempt == 1 else accepted()
        await one.apply(NEWS)
        await one.send_to(20)
        await one.send_to(20, first=20, campaign="news")
        await one.run_until(EIGHT + 11 * HOUR)
        assert len(one.post.handed) == 80
        assert most_in_an_hour(await by_instant(one, "delay")) <= 9
        assert most_in_an_hour(await by_instant(one)) <= 12


@pytest.mark.asyncio
async def test_where_answers_of_a_segment_go_elsewhere_only_the_others_are_bounded(tmp_path: Path) -> None:
    elsewhere = CAMPAIGN + '[email.segments."DE/Berlin"]\nreply_to = "Berlin <berlin@acme.example>"\n'
    async with world(tmp_path, SHARED, campaign=elsewhere, people=30) as one:
        await one.people(30, first=30, location="DE/Hamburg")
        await one.send_to(60)
        plan = await one.plan()
        await one.run_until(EIGHT + 59 * 60_000)
        lines = [line for line in promised(plan) if line.at < "2026-03-02T08:59"]
        assert await released(one) == lines
        assert sum(line.segments.get("DE/Berlin", 0) for line in lines) == 30
        assert sum(line.segments.get("*", 0) for line in lines) == 20     # from the third slot on


@pytest.mark.asyncio
async def test_a_held_lane_leaves_its_part_to_the_others(tmp_path: Path) -> None:
    async with world(tmp_path, SHARED, people=60) as one:
        await gmail(one, 60, first=60)
        await one.send_to(120)
        await one.hold("lane", "support/gmail")
        plan = await one.plan()
        await one.run_until(EIGHT + 59 * 60_000)
        assert [line.size for line in await released(one)] == [2] * 12
        assert promised(plan)[:12] == await released(one)


@pytest.mark.asyncio
async def test_an_hour_that_is_used_up_is_slept_through(tmp_path: Path) -> None:
    settings = changed(SHARED, ("start = 2_000", 'start = 40_000\nevery = "1s"\nceiling = 50_000'))
    async with world(tmp_path, settings, people=40) as one:
        await one.send_to(40)
        await one.run_until(EIGHT + 60_000)
        assert len(await released(one)) == 24
        loop = one.engine.lanes["support/other"]
        assert loop.next_slot is not None
        assert loop.next_slot.start >= EIGHT + HOUR
        await one.run_for(HOUR)
        assert len(await released(one)) == 40


@pytest.mark.asyncio
async def test_a_reload_may_bring_and_take_a_bound(tmp_path: Path) -> None:
    free = SHARED.partition("[replies")[0]
    async with world(tmp_path, free, people=400) as one:
        await one.send_to(400)
        await one.run_until(EIGHT + 29 * 60_000)
        before = len(await by_instant(one))
        assert sum(size for _, size in await by_instant(one)) == 83
        await one.reload(SHARED)
        plan = await one.plan(EIGHT + 3 * HOUR)
        await one.run_until(EIGHT + 89 * 60_000)
        assert (await by_instant(one))[before:][0][0] > EIGHT + HOUR      # all that went before counts
        assert (await released(one))[before:] == [line for line in promised(plan) if line.at < "2026-03-02T09:29"]
        await one.reload(free)
        await one.run_for(10 * 60_000)
        assert (await released(one))[-1].size > 2


@pytest.mark.asyncio
async def test_status_and_reload_say_the_size_that_leaves(tmp_path: Path) -> None:
    async with world(tmp_path, SHARED, people=30) as one:
        desk = Desk(one)
        await gmail(one, 30, first=30)
        await one.send_to(60)
        for _ in range(5):
            lanes = (await desk("status"))["lanes"]
            first = min(lanes, key=lambda lane: lane["next_slot_at"])
            await one.run_until(at(first["next_slot_at"][:19].replace("T", " ")) + 1_000)
            line = (await released(one))[-1]
            assert (line.lane, line.size, first["limit"]) == (first["lane"], first["next_size"], "replies")
