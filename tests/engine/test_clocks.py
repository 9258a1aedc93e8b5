"""Clocks that are put back, run ahead or are not set yet; days of 23 and 25 hours; the daemon's life as events."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import OperationalError
from support.offices import Desk
from support.timetables import at
from support.world import DAY, HOUR, MINUTE, SETTINGS, World, changed, world

from dispatcher.core.ramp import LEAD
from dispatcher.core.times import format_instant
from dispatcher.service import status_line
from dispatcher.store import events, life
from dispatcher.store.events import Event, Kind

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
EIGHT = at("2026-03-02 08:00")
WHY = "the clock says {}, but the store has seen {}: set the clock; nothing is sent"


async def happened(one: World, *kinds: Kind) -> list[Event]:
    async with one.database.transaction() as tx:
        return await events.between(tx, 0, 2**60, 1_000, kinds)


async def seen_at(one: World) -> int:
    async with one.database.transaction() as tx:
        return await life.seen_at(tx)


def by_day(one: World, zone: str) -> Counter[str]:
    """How many left on each day of a zone."""
    return Counter(datetime.fromtimestamp(handed.at / 1000, ZoneInfo(zone)).date().isoformat()
                   for handed in one.post.handed)


async def watched(one: World) -> None:
    """A world whose daemon looks at the clock every minute, as it does in life."""
    one.mark_every = MINUTE
    await one.drain()
    await one.restart()


# Behind

@pytest.mark.asyncio
@pytest.mark.parametrize("back", [HOUR, DAY])
async def test_a_clock_put_back_holds_what_is_on_its_way_and_goes_on_where_it_was(tmp_path: Path, back: int) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        await watched(one)
        await one.send_to(100)
        await one.run_for(6 * MINUTE)
        sent, mark = len(one.post.handed), await seen_at(one)
        assert (sent, mark) == (12, one.now)
        one.clock.jump(one.now - back)
        await one.run_for(MINUTE)
        assert len(one.post.handed) == sent
        assert await one.states() == {"accepted": 12, "queued": 88}      # taken back, though its slot was released
        desk = Desk(one)
        status = await desk("status")
        [hold] = status["holds"]
        assert (hold["kind"], hold["until"]) == ("clock", "2026-03-02T08:05:00Z")
        assert [(lane["state"], lane["why"]) for lane in status["lanes"]] == [("held", hold["reason"])]
        await one.run_for(back - 3 * MINUTE)
        assert len(one.post.handed) == sent
        assert await seen_at(one) == mark
        await one.run_for(2 * MINUTE + 5 * MINUTE)
        assert one.works.clock_behind == ""
        assert len(one.post.handed) > sent
        await one.run_for(2 * HOUR)
        assert len(one.post.handed) == 100
        assert [event.kind for event in await happened(one, Kind.CLOCK_BEHIND)] == ["clock_behind"]
        assert [log["event"] for log in one.logs if "clock" in str(log["event"])] == [
            "clock_put", "clock_behind", "clock_right"]


@pytest.mark.asyncio
async def test_a_clock_that_is_a_minute_behind_is_left_alone_and_reopens_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        await watched(one)
        await one.send_to(100)
        await one.run_for(5 * MINUTE + LEAD)
        assert len(one.post.handed) == 11
        one.clock.jump(one.now - MINUTE)
        await one.run_for(MINUTE)
        assert len(one.post.handed) == 11
        assert await happened(one, Kind.CLOCK_BEHIND) == []
        await one.run_for(5 * MINUTE)
        assert len(one.post.handed) == 21


@pytest.mark.asyncio
async def test_at_boot_in_1970_nothing_is_sent_until_the_clock_is_set(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        await watched(one)
        await one.send_to(50)
        await one.run_for(MINUTE + LEAD)
        await one.drain()
        one.clock.jump(30_000)
        await one.restart()
        await one.send_to(50, first=50)          # accepted all the same, and not to expire in 1970
        why = WHY.format("1970-01-01 00:00 UTC", "2026-03-02 08:01 UTC")
        assert one.works.clock_behind == status_line(one.engine) == why
        await one.run_for(2 * HOUR)
        assert len(one.post.handed) == 3
        plan = await one.plan()
        assert (plan.batches, plan.left) == ([], 97)
        assert plan.unplaced[0].why.startswith("held: the clock says 1970-01-01 02")
        one.clock.jump(EIGHT + HOUR)
        await one.run_for(5 * MINUTE - 1)
        assert (one.works.clock_behind, len(one.post.handed)) == ("", 3 + 8)     # seen within a minute of the slot
        assert status_line(one.engine) == "1 lanes, 0 messages under way"
        assert {row.created_at for row in await one.rows()} == {EIGHT, EIGHT + MINUTE + LEAD}


@pytest.mark.asyncio
async def test_a_person_may_say_that_the_clock_is_right_and_no_slot_or_step_comes_twice(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        await watched(one)
        desk = Desk(one)
        await one.send_to(100)
        await one.run_for(MINUTE + LEAD)
        assert len(one.post.handed) == 3
        one.clock.jump(one.now + DAY)            # ahead by a day,
        await one.run_for(2 * MINUTE)
        ahead = len(one.post.handed)
        assert ahead <= 3 + 7 + 10               # the rest of one batch, and one of the other day
        one.clock.jump(one.now - DAY)            # and put right again
        await one.run_for(HOUR)
        assert len(one.post.handed) == ahead
        assert (await desk("resume", name="support", by="ines"))["resumed"] is False     # not by a name
        result = await desk("resume", by="ines")
        assert [hold["kind"] for hold in result["holds"]] == ["clock"]
        assert result["clock"] == {"now": format_instant(one.now), "seen_at": "2026-03-03T08:03:00Z"}
        assert (one.works.clock_behind, (await desk("status"))["holds"]) == ("", [])
        assert result["ahead"] == [{"lane": "support/other", "until": "2026-03-03T08:05:00Z"}]
        [lane] = (await desk("status"))["lanes"]
        why = "its last slot lies ahead, at 2026-03-03 08:05 UTC: the clock ran ahead then"
        assert (lane["state"], lane["why"], lane["next_slot_at"]) == ("waiting", why, "2026-03-03T08:05:00Z")
        assert (await desk("lanes.show", lane="support/other"))["why"] == why
        [resumed] = await happened(one, Kind.RESUMED)
        assert (resumed.by, resumed.data["kind"]) == ("ines", "clock")
        one.works.mark_every = HOUR
        await one.run_until(at("2026-03-03 08:05") - 1)
        assert len(one.post.handed) == ahead     # what was released lies ahead of the clock: the ledger waits for it
        await one.run_until(at("2026-03-03 08:10") - 1)
        assert len(one.post.handed) == ahead + 10
        assert (await desk("status"))["lanes"][0]["state"] == "healthy"
        assert (await desk("resume"))["ahead"] == []
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 100}


@pytest.mark.asyncio
async def test_without_a_daemon_a_person_may_say_so_as_well(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        one.clock.jump(EIGHT - DAY)
        desk = Desk(one, daemon=False)
        assert [hold["kind"] for hold in (await desk("status"))["holds"]] == ["clock"]
        assert (await desk("resume"))["clock"]["now"] == "2026-03-01T08:00:00Z"
        assert (await desk("status"))["holds"] == []
        assert await seen_at(one) == EIGHT - DAY


# Ahead

@pytest.mark.asyncio
async def test_a_clock_put_forward_opens_at_most_one_step_and_brings_no_burst(tmp_path: Path) -> None:
    async with world(tmp_path, changed(RAMP, ("start = 2880", "start = 288")), now=EIGHT, people=400) as one:
        await one.send_to(400)
        await one.run_for(2 * HOUR - 1)
        assert len(one.post.handed) == 24
        one.clock.jump(EIGHT + 3 * DAY)
        await one.run_for(5 * MINUTE - 1)
        assert len(one.post.handed) == 25
        async with one.database.transaction() as tx:
            assert list(await tx.exec_driver_sql("SELECT spent FROM steps ORDER BY step")) == [(24,), (1,)]


@pytest.mark.asyncio
async def test_forward_a_day_and_back_again_while_nobody_looked_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        await one.send_to(100)
        await one.run_for(MINUTE + LEAD)
        await one.drain()
        one.clock.jump(one.now + DAY)
        one.clock.jump(one.now - DAY)
        await one.restart()
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 100}


# Days of 23 and 25 hours

@pytest.mark.asyncio
@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
async def test_a_day_on_which_clocks_change_sends_its_allowance_and_no_more(
    tmp_path: Path, day: str, hours: int
) -> None:
    berlin = changed(RAMP, ('timezone = "UTC"', 'timezone = "Europe/Berlin"'), ("= 2880", "= 50\nceiling = 50"),
                     ('every = "5m"', 'every = "1h"'))
    midnight = round(datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
    start = midnight * 1000 - DAY
    async with world(tmp_path, berlin, now=start, people=200) as one:
        await one.send_to(200)
        await one.run_until(midnight * 1000 + hours * HOUR + DAY - 1)
        assert sorted(by_day(one, "Europe/Berlin").values()) == [50, 50, 50]
        gaps = [later.at - earlier.at for earlier, later in zip(one.post.handed, one.post.handed[1:], strict=False)]
        assert min(gaps) > 19 * MINUTE           # spread over the day, no burst where an hour is missing or comes twice


# The daemon's life

@pytest.mark.asyncio
async def test_starts_and_stops_are_noted_with_how_and_when_the_run_before_ended(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        one.mark_every = MINUTE
        await one.run_for(90_000)
        await one.drain()
        one.clock.set(EIGHT + HOUR)
        await one.restart()
        await one.run_for(10 * MINUTE)
        await one.crash()
        one.clock.set(EIGHT + 2 * HOUR)
        await one.restart()
        told = [(event.kind, event.cause, event.data.get("away_since"))
                for event in await happened(one, Kind.STARTED, Kind.STOPPED)]
        assert told == [
            ("started", "for the first time", EIGHT), ("stopped", "", None),
            ("started", "after a stop", EIGHT + 90_000),
            ("started", "after a crash", EIGHT + HOUR + 10 * MINUTE),
        ]


@pytest.mark.asyncio
async def test_a_running_daemon_marks_the_time_once_a_minute_even_with_nothing_to_do(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT) as one:
        await watched(one)
        for minute in range(1, 5):
            await one.run_until(EIGHT + minute * MINUTE)
            assert await seen_at(one) == EIGHT + minute * MINUTE


@pytest.mark.asyncio
async def test_an_engine_that_failed_says_so_when_it_stops(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT) as one:
        one.engine.failed.set_exception(RuntimeError("a fault"))
        await one.engine.drain(0)
        assert (await happened(one, Kind.STOPPED))[0].cause == "a part of it failed"
        one.engine.failed.exception()
        one.running = False
        await one.database.close()


@pytest.mark.asyncio
async def test_a_reload_is_noted_with_what_changed_and_one_that_changed_nothing_is_not(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT) as one:
        desk = Desk(one)
        await desk("reload")
        assert await happened(one, Kind.RELOADED) == []
        settings = changed(RAMP, ("start = 2880", "start = 1440"), ("Acme <support@", "Acme <help@"))
        (one.folder / "dispatcher.toml").write_text(settings)
        await desk("reload")
        await desk("reload")
        [event] = await happened(one, Kind.RELOADED)
        assert event.cause == "ramps.careful.start: 2880 -> 1440; senders.support.from"


def test_the_day_of_the_examples_is_a_monday() -> None:
    assert datetime.fromtimestamp(EIGHT / 1000, UTC).strftime("%A") == "Monday"


# Time that went by unused

@pytest.mark.asyncio
async def test_a_daemon_that_stood_still_writes_down_for_how_long(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        await watched(one)
        one.works.look_every = 1_000
        await one.run_for(2 * MINUTE)
        assert await happened(one, Kind.STOOD_STILL) == []
        one.clock.set(one.now + 4_500)          # nobody who was to wake in between did
        await one.settle()
        assert [(event.at, event.cause, event.data) for event in await happened(one, Kind.STOOD_STILL)] == [
            (one.now, "for 3 s", {"from": one.now - 3_500})]
        assert [log["why"] for log in one.logs if log["event"] == "stood_still"] == ["for 3 s"]
        await one.run_for(2 * MINUTE)
        assert len(await happened(one, Kind.STOOD_STILL, Kind.CLOCK_PUT)) == 1


@pytest.mark.asyncio
async def test_a_clock_that_is_put_is_an_event_and_no_sign_of_what_time_it_is(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        await watched(one)
        mark = await seen_at(one)
        await one.jump(3 * HOUR)
        await one.jump(-3 * HOUR)
        await one.jump(-1_999)
        assert [(event.cause, event.data) for event in await happened(one, Kind.CLOCK_PUT)] == [
            ("back by 3 h", {"by": -3 * HOUR, "from": EIGHT}),
            ("forward by 3 h", {"by": 3 * HOUR, "from": EIGHT})]
        assert await seen_at(one) == mark       # else nothing would be sent for three hours
        assert [log["why"] for log in one.logs if log["event"] == "clock_put"] == ["forward by 3 h", "back by 3 h"]


@pytest.mark.asyncio
async def test_what_could_not_be_written_down_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def full(*_: object) -> None:
        raise OperationalError("INSERT", {}, OSError("disk full"))

    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        await watched(one)
        one.clock.jump(EIGHT + HOUR)
        with monkeypatch.context() as patched:
            patched.setattr(events, "write", full)
            await one.run_for(MINUTE)
        assert {log["event"] for log in one.logs if "unwritten" in str(log["event"])} >= {"event_unwritten"}
        assert await happened(one, Kind.CLOCK_PUT) == []
        await one.run_for(MINUTE)
        assert [event.cause for event in await happened(one, Kind.CLOCK_PUT)] == ["forward by 1 h"]
