"""The canary: the first messages go alone, are waited for, and decide whether the rest follows."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.kept import by_instant, canary_of, promised, released
from support.offices import Desk
from support.post import Act, Script, accepted, deferred, in_doubt, rejected, unreachable
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, MINUTE, SETTINGS, World, changed, person, world

from dispatcher.core import reputation
from dispatcher.core.calendar import slot_at
from dispatcher.engine import evidence
from dispatcher.store import events
from dispatcher.store.events import Kind

LARGE = changed(SETTINGS, ('offset = "0s"', 'start = 2_880\noffset = "0s"'))
TESTED = changed(CAMPAIGN, ("[email]", 'canary = { size = 50, wait = "20m" }\n[email]'))
EIGHT = at("2026-03-02 08:00")
WAITS = "canary: its first messages are out, and what becomes of them is waited for"


async def happened(one: World, subject: str = "delay") -> list[str]:
    """What happened to a campaign's canary, oldest first."""
    async with one.database.transaction() as tx:
        return [found.kind for found in reversed(await events.latest(tx, subject, 100))
                if found.kind in {Kind.CANARY_OUT, Kind.CANARY_PASSED, Kind.CANARY_FAILED}]


def after_eight(releases: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [((instant - EIGHT) // MINUTE, size) for instant, size in releases]


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_canary_passes_and_the_rest_follows_as_planned(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        await one.send_to(120)
        plan = await one.plan()
        assert [str(batch.limit) for batch in plan.batches] == \
            ["allowance", "allowance", "canary", "allowance", "allowance", "allowance", "backlog"]
        await one.run_until(EIGHT + 12 * MINUTE)
        assert after_eight(await by_instant(one)) == [(0, 20), (5, 20), (10, 10)]
        assert (await canary_of(one), await happened(one)) == ("waiting", ["canary_out"])
        status = await Desk(one)("status")
        assert status["campaigns"] == [{"campaign": "delay", "queued": 70, "why": WAITS}]
        again = await one.plan()
        assert promised(again) == promised(plan)[3:]
        assert str(again.batches[0].after) == "canary"
        await one.run_until(EIGHT + HOUR)
        assert after_eight(await by_instant(one))[3:] == [(35, 20), (40, 20), (45, 20), (50, 10)]
        assert await released(one) == promised(plan)
        assert (await canary_of(one), await happened(one)) == ("passed", ["canary_out", "canary_passed"])


@pytest.mark.asyncio
async def test_others_go_on_while_a_canary_is_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        await one.apply(changed(CAMPAIGN, ('id = "delay"', 'id = "free"')))
        await one.customers(person(number, one.now) | {"email": f"c{number}@gmail.com"} for number in range(60, 120))
        await one.send_to(120)
        await one.send_to(60, campaign="free")
        plan = await one.plan()
        await one.run_until(EIGHT + 2 * HOUR)
        delay = after_eight(await by_instant(one, "delay"))
        assert [minute for minute, _ in delay if minute < 25] == [0, 0, 5]
        assert sum(size for minute, size in delay if minute < 25) == 50
        assert sum(size for minute, size in after_eight(await by_instant(one, "free")) if 5 < minute < 25) == 40
        assert await released(one) == promised(plan)


@pytest.mark.asyncio
async def test_a_campaign_with_less_than_its_canary_just_goes_out(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=60) as one:
        await one.send_to(30)
        await one.run_until(EIGHT + HOUR)
        assert (len(one.post.handed), await canary_of(one)) == (30, "out")
        await one.send_to(30, first=30)        # and what comes later goes on with it
        await one.run_until(EIGHT + 65 * MINUTE)
        assert (len(one.post.handed), await canary_of(one)) == (50, "waiting")
        await one.run_until(EIGHT + 2 * HOUR)
        assert (len(one.post.handed), await canary_of(one)) == (60, "passed")


def refusing(count: int) -> Script:
    """The first so many recipients are refused."""
    def script(recipient: str, _attempt: int) -> Act:
        return rejected() if int(recipient[1:].partition("@")[0]) < count else accepted()
    return script


@pytest.mark.asyncio
async def test_bounces_hold_the_campaign_until_a_person_resumes_it(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        one.post.script = refusing(5)
        await one.send_to(120)
        await one.run_until(EIGHT + 3 * HOUR)
        assert (len(one.post.handed), await canary_of(one)) == (50, "failed")
        assert await happened(one) == ["canary_out", "canary_failed"]
        why = "canary: 5 of its 50 messages were rejected, surely more than 3 %"
        status = await Desk(one)("status")
        assert [(hold["kind"], hold["name"], hold["by"], hold["reason"]) for hold in status["holds"]] == [
            ("campaign", "delay", "dispatcher", why)]
        assert (await one.plan()).batches == []
        await one.apply(changed(TESTED, ("Late,", "Later,")))       # a new version keeps the canary's state
        await Desk(one)("resume", name="delay")
        await one.run_for(HOUR)
        assert (len(one.post.handed), await canary_of(one)) == (120, "passed")


@pytest.mark.asyncio
@pytest.mark.parametrize(("refused", "state"), [(4, "passed"), (5, "failed")])
async def test_the_line_is_crossed_where_chance_alone_would_not_do(tmp_path: Path, refused: int, state: str) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        one.post.script = refusing(refused)
        await one.send_to(120)
        await one.run_until(EIGHT + HOUR)
        assert await canary_of(one) == state


@pytest.mark.asyncio
async def test_deferrals_hold_it_too(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        one.post.script = lambda recipient, _: deferred() if recipient.startswith(("c1", "c2")) else accepted()
        await one.send_to(120)
        await one.run_until(EIGHT + HOUR)
        async with one.database.transaction() as tx:
            (failed,) = [found for found in await events.latest(tx, "delay", 10) if found.kind is Kind.CANARY_FAILED]
        assert failed.cause.endswith("attempts were deferred, surely more than 20 %")


@pytest.mark.asyncio
async def test_a_lane_that_was_slowed_meanwhile_fails_it(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        await one.send_to(120)
        await one.run_until(EIGHT + 15 * MINUTE)
        slot = slot_at(one.works.policy.ramp_of("support/other"), "support/other", one.now)
        assert slot is not None
        async with one.database.transaction() as tx:
            slowed = reputation.busy(reputation.UNBLEMISHED, slot, "421", one.now)
            await evidence.note(tx, "support/other", reputation.UNBLEMISHED, slowed, one.now)
            await evidence.note(tx, "support/gmail", reputation.UNBLEMISHED, slowed, one.now)      # not one of its own
        await one.run_until(EIGHT + HOUR)
        assert (len(one.post.handed), await canary_of(one)) == (50, "failed")
        (hold,) = (await Desk(one)("status"))["holds"]
        assert hold["reason"] == "canary: lane support/other was slowed"


@pytest.mark.asyncio
@pytest.mark.parametrize("minute", [3, 7, 12, 31])
async def test_a_crash_between_changes_nothing(tmp_path: Path, minute: int) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        await one.send_to(120)
        await one.run_until(EIGHT + minute * MINUTE + 59_000)
        await one.crash()
        await one.restart()
        await one.run_until(EIGHT + 3 * HOUR)
        assert await happened(one) == ["canary_out", "canary_passed"]
        releases = after_eight(await by_instant(one))
        assert sum(size for instant, size in releases if instant < 30) in range(50, 71)     # and what came back unsent
        assert (await one.states())["accepted"] == 120


@pytest.mark.asyncio
async def test_a_daemon_that_was_away_when_the_wait_was_over_judges_it_at_its_start(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        one.post.script = refusing(9)
        await one.send_to(120)
        await one.run_until(EIGHT + 16 * MINUTE)
        await one.drain()
        one.clock.set(EIGHT + 5 * HOUR)
        await one.restart()
        await one.run_for(HOUR)
        assert (len(one.post.handed), await canary_of(one)) == (50, "failed")


@pytest.mark.asyncio
async def test_a_canary_of_which_nothing_was_answered_begins_anew(tmp_path: Path) -> None:
    small = changed(TESTED, ("size = 50", "size = 10"))
    async with world(tmp_path, LARGE, campaign=small, people=200) as one:
        one.post.script = lambda _recipient, _attempt: unreachable() if one.now < EIGHT + 40 * MINUTE else accepted()
        await one.send_to(200)
        await one.run_until(EIGHT + 6 * HOUR)
        assert any(entry["event"] == "canary_unanswered" for entry in one.logs)
        assert (await canary_of(one), (await one.states())["accepted"]) == ("passed", 200)


@pytest.mark.asyncio
async def test_a_canceled_campaign_is_not_held_by_its_canary(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        one.post.script = refusing(9)
        await one.send_to(120)
        await one.run_until(EIGHT + 16 * MINUTE)
        await one.cancel()
        await one.run_for(HOUR)
        assert ((await Desk(one)("status"))["holds"], await canary_of(one)) == ([], "passed")


@pytest.mark.asyncio
async def test_a_hold_and_a_canary_end_with_the_later_of_the_two(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        await one.send_to(120)
        await one.run_until(EIGHT + 11 * MINUTE)
        await one.hold("campaign", "delay", until=EIGHT + 20 * MINUTE)
        stopped = len(one.post.handed)
        assert (await one.plan()).batches[0].at == EIGHT + 35 * MINUTE
        await one.run_until(EIGHT + 34 * MINUTE)
        assert len(one.post.handed) == stopped
        await one.run_for(DAY)
        assert (await one.states())["accepted"] == 120


async def seen_before_it_passed(one: World) -> int:
    """How many of the campaign's messages a server had answered when the canary passed."""
    async with one.database.transaction() as tx:
        (passed,) = [found.at for found in await events.latest(tx, "delay", 100) if found.kind is Kind.CANARY_PASSED]
    return len({handed.recipient for handed in one.post.handed if handed.act.outcome.reached and handed.at < passed})


Weather = Callable[[str, int, int], Act]
"""(recipient, attempt, minutes after eight) -> what becomes of it"""
WEATHERS: dict[str, Weather] = {
    "down for a while": lambda _recipient, _attempt, minute: unreachable() if minute < 170 else accepted(),
    "up and down": lambda _recipient, _attempt, minute: unreachable() if minute % 13 < 6 else accepted(),
    "well for a moment": lambda _recipient, _attempt, minute: unreachable() if 1 <= minute < 90 else accepted(),
    "each at a second try": lambda _recipient, attempt, _minute: accepted() if attempt > 1 else unreachable(),
    "in doubt": lambda _recipient, attempt, _minute: accepted() if attempt > 1 else in_doubt(took=False),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("weather", WEATHERS)
async def test_no_server_sees_more_than_the_canary_before_it_has_passed(tmp_path: Path, weather: str) -> None:
    small = changed(TESTED, ("size = 50", "size = 10"))
    async with world(tmp_path, LARGE, campaign=small, people=60) as one:
        one.post.script = lambda recipient, attempt: \
            WEATHERS[weather](recipient, attempt, (one.now - EIGHT) // MINUTE)
        await one.send_to(60)
        await one.run_for(2 * DAY)
        assert (await canary_of(one), (await one.states())["accepted"]) == ("passed", 60)
        assert 5 <= await seen_before_it_passed(one) <= 10


@pytest.mark.asyncio
@pytest.mark.parametrize("stop", ["end of the daemon", "crash", "hold of the lane"])
async def test_a_canary_that_mostly_came_back_goes_on_with_others(tmp_path: Path, stop: str) -> None:
    small = changed(TESTED, ("size = 50", "size = 20"))
    async with world(tmp_path, LARGE, campaign=small, people=60) as one:
        await one.send_to(60)
        await one.run_until(EIGHT + 20_000)
        assert len(one.post.handed) == 2
        if stop == "hold of the lane":
            await one.hold("lane", "support/other", until=EIGHT + 40 * MINUTE)
        elif stop == "crash":
            await one.crash()
            await one.restart()
        else:
            await one.drain()
            await one.restart()
        await one.run_until(EIGHT + 24 * MINUTE)
        assert (len(one.post.handed), await canary_of(one)) == (2, "waiting")
        await one.run_until(EIGHT + 41 * MINUTE)
        assert await happened(one) == ["canary_out", "canary_out"]
        assert (await canary_of(one), len(one.post.handed)) == ("waiting", 6 if stop == "hold of the lane" else 20)
        await one.run_until(EIGHT + 3 * HOUR)
        assert await happened(one) == ["canary_out", "canary_out", "canary_passed"]
        assert await seen_before_it_passed(one) == 20
        assert (await one.states()) == {"accepted": 60}


@pytest.mark.asyncio
async def test_with_half_of_it_answered_it_is_judged(tmp_path: Path) -> None:
    small = changed(TESTED, ("size = 50", "size = 20"))
    async with world(tmp_path, LARGE, campaign=small, people=60) as one:
        await one.send_to(60)
        await one.run_until(EIGHT + 140_000)
        await one.drain()
        assert len(one.post.handed) == 10
        await one.restart()
        await one.run_until(EIGHT + HOUR)
        assert await happened(one) == ["canary_out", "canary_passed"]


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_canary_that_fails_stops_what_has_not_begun(tmp_path: Path) -> None:
    """Ten connections, and a server that takes five and a half minutes to refuse: half of the slot has to wait."""
    hasty = changed(TESTED, ("size = 50", "size = 20"), ("20m", "1m"))
    async with world(tmp_path, LARGE, campaign=hasty, people=60) as one:
        one.post.script = lambda _recipient, _attempt: replace(rejected(), takes=330_000)
        await one.send_to(60)
        await one.run_until(EIGHT + 6 * MINUTE - 1)
        begun = len(one.post.handed)
        assert (await canary_of(one), begun in range(10, 14)) == ("waiting", True)
        await one.run_until(EIGHT + HOUR)
        assert (await canary_of(one), len(one.post.handed)) == ("failed", begun)
        assert await one.states() == {"rejected": begun, "queued": 60 - begun}


@pytest.mark.asyncio
async def test_a_canary_is_waited_for_while_it_is_on_its_way_to_a_slow_server(tmp_path: Path) -> None:
    hasty = changed(TESTED, ("size = 50", "size = 20"), ("20m", "1s"))
    async with world(tmp_path, LARGE, campaign=hasty, people=60) as one:
        one.post.script = lambda _recipient, _attempt: accepted(takes=330_000)
        await one.send_to(60)
        await one.run_until(EIGHT + 7 * MINUTE)
        assert (await canary_of(one), await happened(one)) == ("waiting", ["canary_out"])
        await one.run_until(EIGHT + 20 * MINUTE)
        assert await happened(one) == ["canary_out", "canary_passed"]


WHY = "canary: 5 of its 50 messages were rejected, surely more than 3 %"


@asynccontextmanager
async def failed(folder: Path, hold: str = "") -> AsyncIterator[World]:
    """A world whose canary has failed; a person may have held the campaign before."""
    async with world(folder, LARGE, campaign=TESTED, people=120) as one:
        one.post.script = refusing(5)
        await one.send_to(120)
        await one.run_until(EIGHT + 20 * MINUTE)
        if hold:
            await Desk(one)("hold", name="delay", reason=hold, by="ana")
        await one.run_until(EIGHT + HOUR)
        assert (len(one.post.handed), await canary_of(one)) == (50, "failed")
        yield one


@pytest.mark.asyncio
async def test_the_end_of_a_persons_hold_does_not_let_a_failed_canary_pass(tmp_path: Path) -> None:
    async with failed(tmp_path) as one:
        await Desk(one)("hold", name="delay", reason="I look", by="ana", for_ms=HOUR)
        status = await Desk(one)("status")
        assert [(hold["reason"], hold["by"]) for hold in status["holds"]] == [("I look", "ana"), (WHY, "dispatcher")]
        assert status["campaigns"] == [{"campaign": "delay", "queued": 70, "why": WHY}]
        await one.run_for(3 * HOUR)
        assert (len(one.post.handed), await canary_of(one)) == (50, "failed")
        assert [hold["reason"] for hold in (await Desk(one)("status"))["holds"]] == [WHY]
        assert (await one.plan()).batches == []


@pytest.mark.asyncio
async def test_a_persons_hold_stands_beside_that_of_a_failed_canary(tmp_path: Path) -> None:
    async with failed(tmp_path, hold="the text is wrong") as one:
        assert [hold["reason"] for hold in (await Desk(one)("status"))["holds"]] == ["the text is wrong", WHY]
        done = await Desk(one)("resume", name="delay", by="ana")
        assert (done["resumed"], len(done["holds"]), done["still_held"]) == (True, 2, [])
        await one.run_for(HOUR)
        assert (len(one.post.handed), await canary_of(one)) == (120, "passed")


@pytest.mark.asyncio
@pytest.mark.parametrize(("given", "state"), [
    ({"name": "delay"}, "passed"), ({"kind": "campaign", "name": "delay"}, "passed"), ({"name": "service"}, "passed"),
    ({"kind": "category", "name": "service"}, "passed"), ({}, "passed"),
    ({"kind": "category", "name": "promotional"}, "failed"), ({"kind": "lane", "name": "support/other"}, "failed"),
])
async def test_a_person_lets_it_pass_by_campaign_by_category_or_with_everything(
    tmp_path: Path, given: dict[str, str], state: str,
) -> None:
    async with failed(tmp_path) as one:
        assert (await Desk(one)("resume", **given, by="ana"))["resumed"] is (state == "passed")
        assert await canary_of(one) == state
        async with one.database.transaction() as tx:
            passed = [(found.by, found.cause) for found in await events.latest(tx, "delay", 100)
                      if found.kind is Kind.CANARY_PASSED]
        assert passed == ([("ana", WHY)] if state == "passed" else [])


@pytest.mark.asyncio
async def test_a_canceled_campaign_is_no_more_held_by_its_failed_canary(tmp_path: Path) -> None:
    async with failed(tmp_path) as one:
        await one.cancel()
        assert (await Desk(one)("status"))["holds"] == []


@pytest.mark.asyncio
async def test_further_attempts_are_not_counted_again_by_plan_and_engine(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        one.post.script = lambda recipient, attempt: \
            deferred() if attempt == 1 and recipient.startswith(("c1@", "c2@", "c3@")) else accepted()
        await one.send_to(120)
        await one.run_until(EIGHT + 4 * MINUTE)
        plan = await one.plan()
        await one.run_until(EIGHT + 9 * MINUTE)
        assert (await one.rows(campaign="delay"))[1].attempts == 1
        again = await one.plan()
        await one.run_until(EIGHT + HOUR)
        assert promised(plan) == await released(one, EIGHT + 4 * MINUTE)
        assert promised(again) == await released(one, EIGHT + 9 * MINUTE)
        assert [limit for limit in (str(batch.limit) for batch in again.batches) if limit == "canary"] == ["canary"]


@pytest.mark.asyncio
async def test_a_campaigns_canary_is_shown(tmp_path: Path) -> None:
    async with world(tmp_path, LARGE, campaign=TESTED, people=120) as one:
        await one.send_to(120)
        shown = [(await Desk(one)("campaign.show", id="delay"))["canary"]]
        for minute in (6, 12, 40):
            await one.run_until(EIGHT + minute * MINUTE)
            shown.append((await Desk(one)("campaign.show", id="delay"))["canary"])
        assert shown == [
            None, {"state": "out", "released": 40, "until": None, "why": ""},
            {"state": "waiting", "released": 50, "until": "2026-03-02T08:35:00Z", "why": ""},
            {"state": "passed", "released": 50, "until": None, "why": ""},
        ]
