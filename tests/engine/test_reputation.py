"""A lane's reputation in the running engine: evidence slows and holds it, and it climbs back; no other lane notices."""

from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select
from support.post import Act, accepted, busy, deferred, rejected, wrong_setup
from support.timetables import at
from support.world import DAY, HOUR, MINUTE, SETTINGS, World, changed, world

from channels.contract import Outcome, Result, Trouble
from dispatcher.core.reputation import LaneState
from dispatcher.store import events, lanes, ledger
from dispatcher.store.record_tables import events as events_table
from dispatcher.store.tables import batches, steps

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
EIGHT = at("2026-03-02 08:00")
GMAIL, OTHER = "support/gmail", "support/other"
UNUSUAL = "421 4.7.28 Our system has detected an unusual rate of unsolicited mail"


def said(reply: str, result: Result = Result.DEFERRED, trouble: Trouble = Trouble.BUSY) -> Act:
    """The server refuses in these words."""
    return Act(Outcome(result, reply[:3], reply, trouble, reply=reply))


async def people_at_gmail(one: World, count: int, first: int = 0) -> None:
    await one.customers([
        {"id": f"g{number}", "email": f"g{number}@gmail.com", "location": "DE/Berlin", "name": "G",
         "last_active_at": "2026-03-01"} for number in range(first, first + count)])


async def send_to_gmail(one: World, count: int) -> None:
    await one.send(*({"customer": f"g{number}"} for number in range(count)))


async def sizes(one: World, lane: str) -> list[int]:
    """What each released slot of a lane took."""
    async with one.database.transaction() as tx:
        return [size for (size,) in await tx.execute(
            select(batches.c.size).where(batches.c.lane == lane).order_by(batches.c.slot))]


async def story(one: World, lane: str = OTHER) -> list[tuple[str, str]]:
    """A lane's events, oldest first."""
    async with one.database.transaction() as tx:
        return [(str(event.kind), event.cause) for event in reversed(await events.latest(tx, lane, 1_000))]


async def marks(one: World, lane: str = OTHER) -> list[tuple[str, int]]:
    """State and mark of a lane's steps."""
    async with one.database.transaction() as tx:
        return [tuple(row) for row in await tx.execute(
            select(steps.c.state, steps.c.unhealthy).where(steps.c.lane == lane).order_by(steps.c.step))]


@pytest.mark.asyncio
async def test_a_storm_at_gmail_slows_its_lane_within_one_slot_and_the_other_does_not_notice(tmp_path: Path) -> None:
    settings = changed(RAMP, ('every = "5m"', 'every = "20m"'), ("start = 2880", "start = 1440"))
    async with world(tmp_path, settings, now=EIGHT, people=480) as one:
        await people_at_gmail(one, 480)
        one.post.script = lambda recipient, _attempt: (
            said(UNUSUAL) if recipient.startswith("g") and one.now < EIGHT + HOUR else accepted())
        await one.send_to(480)
        await send_to_gmail(one, 480)
        await one.run_for(8 * HOUR)
        assert (await sizes(one, OTHER)) == [20] * 24
        gmail = await sizes(one, GMAIL)
        assert gmail[:2] == [20, 10]            # slow with the next slot
        assert all(later >= earlier - 1 for earlier, later in pairwise(gmail[1:]))   # neighbours differ by rounding
        assert [sum(gmail[hour * 3:hour * 3 + 3]) for hour in range(8)] == [40, 31, 36, 42, 48, 54, 59, 60]
        assert [kind for kind, _ in await story(one, GMAIL)] == ["lane_slowed", "lane_healthy"]
        assert (await story(one, GMAIL))[0][1] == f"reply rule gmail-unusual-rate: {UNUSUAL}"
        assert await story(one, OTHER) == []
        assert (await marks(one, GMAIL), await marks(one, OTHER)) == ([("slow", 1)], [("healthy", 0)])
        told = [entry for entry in one.logs if entry["event"].startswith("lane_")]
        assert [(entry["event"], entry["lane"], entry["why"]) for entry in told] == [
            ("lane_slowed", GMAIL, "reply rule gmail-unusual-rate"), ("lane_healthy", GMAIL, "")]


@pytest.mark.asyncio
async def test_an_unhealthy_day_shrinks_the_next_and_rests_three(tmp_path: Path) -> None:
    settings = changed(RAMP, ('every = "5m"', 'every = "2h"'), ("start = 2880", "start = 24"))
    async with world(tmp_path, settings, now=EIGHT - 8 * HOUR, people=160) as one:
        bad_day = range(EIGHT + DAY, EIGHT + DAY + HOUR)
        one.post.script = lambda _recipient, attempt: (
            said("450 4.7.1 deferred, poor reputation", trouble=Trouble.NONE)
            if one.now in bad_day and attempt == 1 else accepted())
        await one.send_to(160)
        await one.run_for(6 * DAY - HOUR)
        async with one.database.transaction() as tx:
            rows = [tuple(row) for row in await tx.execute(
                select(steps.c.allowance, steps.c.unhealthy).where(steps.c.lane == OTHER).order_by(steps.c.step))]
        # three quarters the day after, the same for two more, and then it grows again
        assert rows == [(24, 0), (28, 1), (21, 0), (21, 0), (21, 0), (25, 0)]


@pytest.mark.asyncio
async def test_a_wave_of_bounces_slows_then_holds_and_after_a_person_s_word_the_lane_climbs(tmp_path: Path) -> None:
    settings = changed(RAMP, ('every = "5m"', 'every = "30m"'), ("start = 2880", "start = 1920"))
    async with world(tmp_path, settings, now=EIGHT, people=900) as one:
        bad = {f"c{number}@mail.example" for number in range(100, 900, 7)}
        cured = False
        one.post.script = lambda recipient, _attempt: (
            rejected(bad_address=True) if recipient in bad and not cured else accepted())
        await one.send_to(900)
        await one.run_for(6 * HOUR)
        happened = await story(one)
        assert [kind for kind, _ in happened] == ["lane_held"] or \
            [kind for kind, _ in happened] == ["lane_slowed", "lane_held"]
        assert happened[-1][1].startswith("bounces: ")
        assert happened[-1][1].endswith("surely more than 5 %")
        held_at = sum(await sizes(one, OTHER))
        assert held_at >= 200
        await one.run_for(DAY)
        assert sum(await sizes(one, OTHER)) == held_at      # nothing without a person
        cured = True
        await one.resume("lane", OTHER)
        before = len(await sizes(one, OTHER))
        await one.run_for(7 * HOUR)
        assert (await sizes(one, OTHER))[before:][:11] == [15, 17, 18, 20, 21, 23, 24, 26, 27, 29, 30]
        assert [kind for kind, _ in await story(one)][-2:] == ["lane_recovering", "lane_healthy"]
        assert (await marks(one))[0] == ("held", 1)


@pytest.mark.asyncio
async def test_deferrals_without_a_rule_slow_a_lane_that_has_its_minimum(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=280) as one:
        one.post.script = lambda _recipient, attempt: (
            deferred() if one.now >= EIGHT + 2 * HOUR and attempt == 1 else accepted())
        await one.send_to(280)
        await one.run_for(2 * HOUR)
        assert await story(one) == []
        await one.run_for(10 * MINUTE - 1)
        assert (await story(one))[0] == ("lane_slowed",
                                         "deferrals: 10 of the last 20 attempts, surely more than 20 %")
        assert (await sizes(one, OTHER))[22:] == [10, 10, 10, 5]


@pytest.mark.asyncio
async def test_a_plain_421_slows_without_making_the_step_unhealthy(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=60) as one:
        one.post.script = lambda recipient, attempt: (
            busy() if recipient.startswith("c3@") and attempt == 1 else accepted())
        await one.send_to(60)
        await one.run_for(HOUR)
        assert await marks(one) == [("slow", 0)]
        assert await story(one) == [("lane_slowed", "the server asks for less: 421 too many")]


@pytest.mark.asyncio
async def test_a_hold_rule_stops_what_is_released_and_ends_by_itself(tmp_path: Path) -> None:
    settings = RAMP + '[[reputation.rules]]\nname = "ours"\nreply = "go away"\naction = "hold"\nfor = "1h"\n'
    async with world(tmp_path, settings, now=EIGHT, people=200) as one:
        one.post.script = lambda _recipient, _attempt: (
            said("450 GO AWAY", trouble=Trouble.NONE) if one.now < EIGHT + MINUTE else accepted())
        await one.send_to(200)
        await one.run_for(4 * MINUTE)
        assert len(one.post.handed) == 1
        status = await one.plan()
        assert at("2026-03-02 09:00") <= status.batches[0].at <= at("2026-03-02 09:05")
        await one.run_until(at("2026-03-02 09:04"))
        assert (await one.states())["accepted"] > 0
        await one.run_for(12 * HOUR)
        assert await one.states() == {"accepted": 200}
        assert (await sizes(one, OTHER))[:2] == [10, 5]
        assert [kind for kind, _ in await story(one)] == ["lane_held", "lane_recovering"]
        assert await marks(one) == [("held", 1)]


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_what_a_lane_has_come_to_survives_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        one.post.script = lambda _recipient, attempt: said("421 x") if attempt == 1 else accepted()
        await one.send_to(100)
        await one.run_for(MINUTE)
        before = one.works.reputation_of(OTHER)
        assert (before.share, before.state) == (0.5, LaneState.SLOW)
        await one.crash()
        await one.restart()
        assert one.works.reputation_of(OTHER) == before
        await one.run_for(5 * MINUTE)
        assert (await sizes(one, OTHER))[:2] == [10, 5]


@pytest.mark.asyncio
async def test_a_rule_never_matches_our_own_words(tmp_path: Path) -> None:
    settings = RAMP + '[[reputation.rules]]\nname = "ours"\nreply = "timed out"\naction = "hold"\n'
    async with world(tmp_path, settings, now=EIGHT, people=20) as one:
        one.post.script = lambda _recipient, attempt: (
            Act(Outcome(Result.DEFERRED, "", "timed out (at MAIL)")) if attempt == 1 else accepted())
        await one.send_to(20)
        await one.run_for(2 * HOUR)
        assert await one.states() == {"accepted": 20}
        assert await story(one) == []


@pytest.mark.asyncio
async def test_a_rule_is_of_its_provider_alone(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=5) as one:
        one.post.script = lambda _recipient, attempt: (
            said("421 4.7.0 [TSS04]", trouble=Trouble.NONE) if attempt == 1 else accepted())
        await one.send_to(5)
        await one.run_for(MINUTE)
        assert await story(one) == []


@pytest.mark.asyncio
async def test_a_person_s_hold_is_not_overwritten_and_a_resume_ends_both(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=20) as one:
        one.post.script = lambda _recipient, _attempt: wrong_setup()
        await one.send_to(20)
        await one.hold("lane", OTHER, until=EIGHT + 30 * MINUTE)
        await one.run_for(40 * MINUTE)
        await one.hold("lane", OTHER)
        async with one.database.transaction() as tx:
            rows = [tuple(row) for row in await tx.exec_driver_sql("SELECT kind, name, reason, by FROM holds")]
            [own] = await lanes.held(tx, one.now)
        assert rows == [("lane", OTHER, "a person says so", "ops")]
        assert (own.reason, own.by, own.until) == (
            "the sender's set-up must be looked at: TLS is required and not offered", "dispatcher", None)
        one.post.script = lambda _recipient, _attempt: accepted()
        await one.resume("lane", OTHER)
        await one.run_for(2 * HOUR)
        assert await one.states() == {"accepted": 20}
        assert max(await sizes(one, OTHER)) == 10     # its own set-up costs a lane nothing
        assert [mark for _, mark in await marks(one)] == [0]


@pytest.mark.asyncio
async def test_complaints_hold_a_lane(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=400) as one:
        await one.send_to(400)
        await one.run_for(2 * HOUR)
        async with one.database.transaction() as tx:
            assert await ledger.complained(tx, OTHER, one.now, 4)
        await one.run_for(HOUR)
        assert [kind for kind, _ in await story(one)] == ["lane_held"]
        assert (await story(one))[0][1].startswith("complaints: 4 of the last 2")
        assert (await one.states())["queued"] > 100


@pytest.mark.asyncio
async def test_many_replies_of_a_storm_are_one_event(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT) as one:
        await people_at_gmail(one, 50)
        one.post.script = lambda _recipient, _attempt: said(UNUSUAL)
        await send_to_gmail(one, 50)
        await one.run_for(HOUR)
        async with one.database.transaction() as tx:
            found = list(await tx.execute(select(events_table.c.kind).where(events_table.c.subject == GMAIL)))
        assert found == [("lane_slowed",)]
