"""The lanes' operations: what the evidence has come to, and how a person ends a hold of the dispatcher's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.offices import Desk, faulty, rows
from support.post import Act, accepted, rejected
from support.timetables import at
from support.world import DAY, HOUR, MINUTE, SETTINGS, World, changed, world

from channels.contract import Outcome, Result
from dispatcher.core.reputation import LaneState, Reputation
from dispatcher.engine import evidence
from dispatcher.store import lanes, ledger

EIGHT = at("2026-03-02 08:00")
LANE = "support/other"
QUICK = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "10m"\nhours = "00:00-24:00"\nstart = 7200'))


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, QUICK, now=EIGHT, people=400) as one:
        yield one


@pytest.mark.asyncio
async def test_a_lane_that_its_answers_hold_is_shown_with_all_that_led_to_it_and_a_person_ends_it(one: World) -> None:
    desk = Desk(one)
    assert await desk("lanes.list") == {"lanes": []}
    assert (await desk.refused("lanes.show", lane=LANE)).kind == "unknown"
    one.post.script = lambda recipient, _attempt: (
        rejected() if recipient.endswith("7@mail.example") else accepted())     # one in ten
    await one.send_to(400)
    await one.run_for(HOUR)
    status = await desk("status")
    [hold] = status["holds"]
    assert (hold["kind"], hold["name"], hold["by"], hold["until"]) == ("lane", LANE, "dispatcher", None)
    assert hold["reason"].startswith("bounces: ")
    assert hold["reason"].endswith("surely more than 5 %")
    assert (status["lanes"][0]["state"], status["lanes"][0]["why"]) == ("held", hold["reason"])
    assert (await desk("plan"))["unplaced"][0]["why"] == f"held: {hold['reason']}"
    shown = await desk("lanes.show", lane=LANE)
    assert (shown["state"], shown["share"], shown["held_by"], shown["until"]) == ("held", 0.5, "dispatcher", None)
    assert shown["allowance"] == {"value": 7200, "why": "first"}
    assert (shown["answers"]["accepted"] + shown["answers"]["rejected"], shown["answers"]["minimum"]) == (200, 200)
    assert [(rate["signal"], rate["then"]) for rate in shown["rates"]] == [
        ("bounces", "hold"), ("complaints", "hold"), ("bounces", "slow"), ("complaints", "slow"), ("deferrals", "slow")]
    assert shown["rates"][0] == {"signal": "bounces", "then": "hold", "bad": 20, "of": 200, "line": 0.05,
                                 "enough": True, "passed": True}
    assert [(event["kind"], event["by"]) for event in shown["events"]] == [("lane_held", "")]
    assert [(lane["lane"], lane["state"]) for lane in (await desk("lanes.list"))["lanes"]] == [(LANE, "held")]
    [day] = (await desk("lanes.history", lane=LANE))["steps"]
    assert (day["day"], day["sent"], day["rejected"], day["state"], day["healthy"]) == (
        "2026-03-02", 200, 20, "held", False)

    resumed = await desk("resume", name=LANE, by="Ines")
    assert resumed["resumed"]
    shown = await desk("lanes.show", lane=LANE)
    assert (shown["state"], shown["share"], shown["held_by"]) == ("slow", 0.5, None)
    assert [(event["kind"], event["by"]) for event in shown["events"]][-1] == ("lane_held", "")
    assert ("lane_recovering", "Ines") in [(event["kind"], event["by"]) for event in shown["events"]]
    before = len(one.post.handed)
    await one.run_for(20 * MINUTE)
    assert 40 <= len(one.post.handed) - before <= 55     # half of 50 a slot, and what is new decides


@pytest.mark.asyncio
async def test_resuming_a_lane_ends_a_person_s_hold_and_the_dispatcher_s_own(one: World) -> None:
    desk = Desk(one)
    async with one.database.transaction() as tx:
        await evidence.note(tx, LANE, await lanes.read(tx, LANE), _held(), one.now)
    await desk("hold", name=LANE, reason="a look at it")
    assert len((await desk("status"))["holds"]) == 2
    assert len((await desk("resume", name=LANE))["holds"]) == 2
    assert (await desk("status"))["holds"] == []


@pytest.mark.asyncio
async def test_a_rule_s_pace_and_time_are_shown(one: World) -> None:
    desk = Desk(one)
    reply = "451 4.7.1 deferred for poor reputation"
    one.post.script = lambda _recipient, _attempt: Act(Outcome(Result.DEFERRED, "451 4.7.1", reply, reply=reply))
    await one.send_to(30)
    await one.run_for(MINUTE)
    shown = await desk("lanes.show", lane=LANE)
    assert (shown["state"], shown["per_minute"], shown["why"]) == (
        "slow", 1, f"reply rule deferred-for-reputation: {reply}")
    assert shown["per_minute_until"].startswith("2026-03-02T09:30:")
    plan = await desk("plan")
    assert {batch["limit"] for batch in plan["batches"][1:2]} <= {"slow", "backlog"}


@pytest.mark.asyncio
async def test_a_history_lifts_the_allowance_in_status_plan_and_release_at_once(tmp_path: Path) -> None:
    settings = changed(QUICK, ("start = 7200", "start = 144"))
    async with world(tmp_path, settings, now=EIGHT, people=400) as one:
        desk = Desk(one)
        await one.send_to(400)
        await one.run_for(30 * MINUTE - 1)
        assert len(one.post.handed) == 3
        given = await desk("lanes.import", rows=rows(
            {"date": "2026-02-28", "lane": LANE, "sent": 5_000}, {"date": "2026-03-01", "lane": LANE, "sent": "6000"},
            {"date": "2026-03-03", "lane": LANE, "sent": 1}, {"date": "2026-03-01", "lane": "sales/gmail", "sent": 1},
            {"date": "2026-03-01", "lane": "sales/gmail", "sent": 2}))
        assert (given["days"], faulty(given)) == (4, [4])
        assert [warning["line"] for warning in given["warnings"]] == [5]
        assert (await desk("status"))["lanes"][0]["allowance"] == 7_200      # 6,000 times 1.2
        assert (await desk("plan"))["batches"][0]["size"] == 50
        await one.run_for(10 * MINUTE)
        assert len(one.post.handed) == 53
        steps = (await desk("lanes.history", lane=LANE, days=5))["steps"]
        assert [(step["day"], step["imported"], step["state"]) for step in steps] == [
            ("2026-02-28", 5_000, "imported"), ("2026-03-01", 6_000, "imported"), ("2026-03-02", 0, "healthy")]
        assert [lane["lane"] for lane in (await desk("lanes.list"))["lanes"]] == ["sales/gmail", LANE]
        await one.reload(changed(settings, ("[senders.support]", "[senders.help]")))
        closed = await desk("lanes.show", lane=LANE)
        assert (closed["state"], closed["allowance"]) == ("closed", None)
        assert (await desk("hold", name=LANE, reason="it may come back"))["held"]["name"] == LANE


@pytest.mark.asyncio
async def test_a_day_of_both_is_one_row_and_steps_of_hours_stay_apart(tmp_path: Path) -> None:
    settings = changed(QUICK, ("start = 7200", 'start = 60\nstep = "1h"'))
    async with world(tmp_path, settings, now=EIGHT, people=100) as one:
        desk = Desk(one)
        await one.send_to(100)
        await one.run_for(90 * MINUTE)
        await desk("lanes.import", rows=rows({"date": "2026-03-02", "lane": LANE, "sent": 24}))
        found = await desk("lanes.history", lane=LANE)
        assert found["step"] == "shorter"
        assert [(step["from"], step["imported"]) for step in found["steps"]] == [
            (None, 24), ("2026-03-02T08:00:00Z", 0), ("2026-03-02T09:00:00Z", 0)]
        await one.reload(QUICK)
        assert (await desk("lanes.history", lane=LANE, days=1))["step"] == "day"
        async with one.database.transaction() as tx:
            await ledger.complained(tx, LANE, one.now + DAY, 2)
        assert (await desk("lanes.history", lane=LANE))["steps"][-1]["complaints"] == 2


def _held() -> Reputation:
    return Reputation(LaneState.HELD, 0.5, cause="bounces: too many")
