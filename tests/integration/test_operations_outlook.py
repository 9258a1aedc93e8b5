"""`status` and `plan`: what they say is what the daemon then does."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from socket import gethostname

import pytest
import pytest_asyncio
from support.offices import Desk, rows
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, SETTINGS, World, changed, world

from dispatcher.core.lane_health import reached, unreachable
from dispatcher.core.reputation import LaneState, Reputation
from dispatcher.core.times import format_instant
from dispatcher.store import lanes

SECOND = changed(CAMPAIGN, ('id = "delay"', 'id = "news"'))


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, people=150) as it:
        yield it


@pytest.mark.asyncio
async def test_status_shows_lanes_messages_and_reasons(one: World) -> None:
    desk = Desk(one)
    await desk("customers.import", rows=rows({"id": "mute"}, {"id": "g", "email": "g@gmail.com",
                                                              "last_active_at": "2026-03-01"}))
    await one.send_to(150)
    await desk("send.requests", campaign="delay", rows=rows({"customer": "mute"}, {"customer": "g"}))
    status = await desk("status")
    assert [(lane["lane"], lane["state"], lane["allowance"], lane["spent"], lane["queued"]) for lane in
            status["lanes"]] == [("support/gmail", "healthy", 100, 0, 1), ("support/other", "healthy", 100, 0, 150)]
    assert [(lane["next_slot_at"], lane["next_size"]) for lane in status["lanes"]] == \
        [("2026-03-02T08:05:00Z", 1)] * 2
    assert status["messages"] == {"queued": 151, "sending": 0, "accepted": 0, "rejected": 0, "in_doubt": 0,
                                  "skipped": 1}
    assert status["skipped"] == {"no_address": 1}
    assert status["daemon"] == {"running": True, "since": "2026-03-02T07:00:00Z", "draining": False, "store": "",
                                "late": ""}
    [daemon] = status["instances"]
    assert (daemon["machine"], daemon["process"], daemon["under_way"], daemon["answers"]) == (
        gethostname(), os.getpid(), 0, True)
    await one.run_until(at("2026-03-02 14:00:00"))
    lane = (await desk("status"))["lanes"][1]
    assert (lane["spent"], lane["queued"]) == (50, 100)


@pytest.mark.asyncio
async def test_the_next_batch_of_status_is_the_one_that_leaves(one: World) -> None:
    desk = Desk(one)
    await one.send_to(150)
    for _ in range(40):
        lane = (await desk("status"))["lanes"][0]
        before = len(one.post.handed)
        await one.run_until(at(lane["next_slot_at"].replace("T", " ").rstrip("Z")) + 4 * 60_000)
        assert len(one.post.handed) - before == lane["next_size"]


@pytest.mark.asyncio
async def test_what_only_waits_has_a_next_time_too(one: World) -> None:
    desk = Desk(one)
    later = format_instant(one.now + 3 * HOUR)
    await one.send({"customer": "c0", "not_before": later})
    lane = (await desk("status"))["lanes"][0]
    assert (lane["queued"], lane["next_size"]) == (1, 1)
    assert lane["next_slot_at"] >= later
    await one.run_for(DAY)
    lane = (await desk("status"))["lanes"][0]
    assert (lane["queued"], lane["next_slot_at"], lane["next_size"]) == (0, None, 0)


@pytest.mark.asyncio
async def test_the_plan_is_what_happens(one: World) -> None:
    desk = Desk(one)
    await one.send_to(150)
    plan = await desk("plan")
    assert (plan["late"], plan["left"], plan["more"], plan["complete"]) == (0, 0, 0, True)
    assert sum(batch["size"] for batch in plan["batches"]) == 150
    assert plan["batches"][0]["segments"] == {"DE/Berlin": 1}
    await one.run_for(3 * DAY)
    assert format_instant(one.post.handed[-1].at) == plan["done_at"]
    assert len({format_instant(one.at) for one in one.post.handed}) == 150
    nothing = await desk("plan")
    assert (nothing["batches"], nothing["done_at"]) == ([], None)


@pytest.mark.asyncio
async def test_the_plan_of_one_campaign_is_its_part_with_the_others_in_their_places(one: World) -> None:
    desk = Desk(one)
    await one.apply(SECOND)
    await one.send_to(60)
    await one.send_to(30, campaign="news")
    whole, part = await desk("plan"), await desk("plan", campaign="news")
    assert sum(batch["size"] for batch in part["batches"]) == 30
    assert all(batch["campaigns"] == {"news": batch["size"]} for batch in part["batches"])
    assert all(batch["segments"] == {"DE/Berlin": batch["size"]} for batch in part["batches"])
    assert {batch["at"] for batch in part["batches"]} == \
        {batch["at"] for batch in whole["batches"] if "news" in batch["campaigns"]}
    assert part["done_at"] is not None
    assert (await desk.refused("plan", campaign="nothing")).kind == "unknown"


@pytest.mark.asyncio
async def test_a_plan_is_cut_where_asked(one: World) -> None:
    desk = Desk(one)
    await one.send_to(150)
    short = await desk("plan", until="2026-03-02T10:00:00Z")
    assert short["batches"][-1]["at"] < "2026-03-02T10:00:00Z"
    assert short["done_at"] is None
    assert short["left"] == 150 - sum(batch["size"] for batch in short["batches"])
    few = await desk("plan", most=3)
    assert (len(few["batches"]), few["more"] > 0, few["done_at"] is not None) == (3, True, True)
    refusal = await desk.refused("plan", until="tomorrow")
    assert (refusal.kind, "until" in refusal.message) == ("usage", True)


@pytest.mark.asyncio
async def test_held_waiting_slow_and_closed_lanes_say_so(one: World) -> None:
    desk = Desk(one)
    await one.send_to(10)
    health = one.works.health
    health["support/other"] = unreachable(one.works.health_of("support/other"), "connection refused", one.now)
    assert _states(await desk("status")) == ["waiting"]
    health["support/other"] = reached(health["support/other"])
    async with one.database.transaction() as tx:
        await lanes.write(tx, "support/other", Reputation(LaneState.SLOW, 0.5, cause="421"))
    assert _states(await desk("status")) == ["slow"]
    await desk("hold", name="support/other", reason="a look at the words")
    status = await desk("status")
    assert (_states(status), status["lanes"][0]["why"]) == (["held"], "a look at the words")
    assert (await desk("plan"))["unplaced"] == \
        [{"lane": "support/other", "count": 10, "why": "held: a look at the words"}]
    await desk("resume")
    await one.reload(SETTINGS.replace("[senders.support]", "[senders.other]"))
    assert _states(await desk("status")) == ["closed"]
    assert (await desk("plan"))["unplaced"][0]["why"].startswith("closed")


@pytest.mark.asyncio
async def test_blocked_campaigns_are_named_with_their_reason(one: World) -> None:
    desk = Desk(one)
    await one.send_to(10)
    await desk("hold", name="delay", reason="wrong price")
    expected = [{"campaign": "delay", "queued": 10, "why": "wrong price"}]
    assert (await desk("status"))["blocked"] == expected
    plan = await desk("plan")
    assert (plan["blocked"], plan["batches"], plan["done_at"]) == ([expected[0] | {"until": None}], [], None)


def _states(status: dict[str, object]) -> list[str]:
    lanes = status["lanes"]
    assert isinstance(lanes, list)
    return [lane["state"] for lane in lanes]


@pytest.mark.asyncio
async def test_a_plan_begins_with_what_is_released_and_has_not_left(tmp_path: Path) -> None:
    busy = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "08:00-20:00"\nstart = 8640'))
    async with world(tmp_path, busy, people=60) as one:
        desk = Desk(one)
        await one.send_to(60)
        await one.run_until(at("2026-03-02 08:01:58"))
        plan = await desk("plan")
        assert [(batch["at"], batch["size"], batch["limit"], batch["segments"]) for batch in plan["batches"]] == \
            [("2026-03-02T08:00:00Z", 36, "released", {"DE/Berlin": 36})]
        assert (plan["done_at"], plan["left"]) == ("2026-03-02T08:05:00Z", 0)
        assert (await desk("plan", campaign="delay"))["batches"] == plan["batches"]
