"""`report`: what was promised against what was given, and the cause of every slip. Twelve slots a day, ten in each."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.offices import Desk
from support.post import Act, accepted, deferred
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, MINUTE, SETTINGS, World, changed, world

from dispatcher.operations import report_reading

LANE = "support/other"
HOURLY = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "1h"\nhours = "08:00-20:00"\nstart = 120'))
NEWS = changed(CAMPAIGN, ('id = "delay"', 'id = "news"'))


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, HOURLY, people=150) as it:
        await it.send_to(150)
        await it.run_for(1_000)
        yield it


async def report(one: World) -> dict[str, Any]:
    return await Desk(one)("report", campaign="delay")


def slips(told: Mapping[str, Any]) -> list[tuple[str, str, int, int, str]]:
    """(lane, from hour, promised, in time, cause) of each episode; a cause that only follows has "then" before it."""
    return [(one["lane"], one["from"][8:13], one["promised"], one["in_time"],
             f"then {one['cause']}" if one["follows"] else one["cause"]) for one in told["slips"]]


def why(told: Mapping[str, Any], cause: str) -> str:
    found: str = next(one["why"] for one in told["slips"] if one["cause"] == cause)
    return found


@pytest.mark.asyncio
async def test_a_promise_that_is_kept(one: World) -> None:
    await one.run_for(2 * DAY)
    told = await report(one)
    assert (told["promise_kept"], told["summary"], told["slips"]) == (
        True, "The promise was kept: it ended when it was promised to.", [])
    promise = told["promise"]
    assert (promise["queued"], promise["late"], promise["cut"], told["added_later"]) == (150, 0, False, 0)
    assert promise["kept"] == {"on_time": 15, "smaller": 0, "later": 0, "missing": 0, "coming": 0}
    assert promise["batches"][0] == {
        "at": "2026-03-02T08:00:00Z", "until": "2026-03-02T09:00:00Z", "lane": LANE, "size": 10,
        "segments": {"DE/Berlin": 10}, "limit": "allowance", "kept": "on_time", "in_time": 10, "missing": 0,
        "rest_at": None}
    assert told["batches"][0] == {
        "at": "2026-03-02T08:00:00Z", "released_at": "2026-03-02T08:00:00Z", "lane": LANE, "size": 10, "first": 10,
        "segments": {"DE/Berlin": 10}, "accepted": 10}
    assert [told["first_at"], told["last_at"]] == ["2026-03-02T08:00:00.060Z", promise["done_at"]]
    assert (told["attempts"], told["total"], told["messages"]["accepted"], told["expected_end"]) == (
        {"accepted": 150}, 150, 150, None)


@pytest.mark.asyncio
async def test_on_its_way_it_says_what_is_left_and_when_it_will_end(one: World) -> None:
    await one.run_until(at("2026-03-02 10:30:00"))
    told = await report(one)
    assert (told["promise_kept"], told["summary"]) == (
        None, "It keeps its promise so far, with 125 messages left.")
    assert told["promise"]["kept"] == {"on_time": 2, "smaller": 0, "later": 0, "missing": 0, "coming": 13}
    assert told["expected_end"] == told["promise"]["done_at"]


@pytest.mark.asyncio
async def test_a_deferral_storm_slows_the_lane_and_its_retries_take_places(one: World) -> None:
    one.post.script = during(one, at("2026-03-02 09:00"), at("2026-03-02 11:00"), deferred)
    await one.run_for(3 * DAY)
    told = await report(one)
    assert {cause.removeprefix("then ") for *_, cause in slips(told)} <= {"deferral", "lane_slowed"}
    assert slips(told)[0][:2] == (LANE, "02T10")
    assert told["promise_kept"] is False
    assert told["attempts"]["deferred"] >= 20
    assert told["messages"]["accepted"] == 150
    assert "unknown" not in json.dumps(told["slips"])
    if any(cause == "lane_slowed" for *_, cause in slips(told)):
        (lane,) = told["lanes"]
        assert [state["state"] for state in lane["states"]][:1] == ["slow"]
        assert "deferrals" in why(told, "lane_slowed")


def during(one: World, start: int, end: int, act: Callable[[], Act]) -> Callable[[str, int], Act]:
    """A provider that does something else for a time."""
    return lambda _recipient, _attempt: act() if start <= one.now < end else accepted()


@pytest.mark.asyncio
async def test_a_hold_is_named_with_its_reason_and_author_and_without_addresses(one: World) -> None:
    desk = Desk(one)
    await one.run_until(at("2026-03-02 09:59:00"))
    await desk("hold", name=LANE, reason="ask eve@acme.example", by="Eve", for_ms=2 * HOUR)
    await one.run_for(2 * DAY)
    told = await report(one)
    assert slips(told)[0] == (LANE, "02T10", 20, 0, "hold")
    assert {cause for *_, cause in slips(told)} <= {"hold", "then hold"}
    assert why(told, "hold") == "it was held: ask [address] (Eve)"
    assert told["summary"].endswith("later than promised, as it was held: ask [address] (Eve).")
    assert told["lanes"][0]["states"] == [
        {"state": "held", "cause": "hold", "from": "2026-03-02T09:59:00Z", "until": "2026-03-02T11:59:00Z",
         "why": "ask [address] (Eve)"}]
    assert "@" not in json.dumps(told)


@pytest.mark.asyncio
async def test_holds_of_others_are_no_cause(one: World) -> None:
    desk = Desk(one)
    await one.apply(NEWS)
    await desk("hold", kind="campaign", name="news", reason="not mine")
    await desk("hold", kind="category", name="promotional", reason="not mine")
    await desk("hold", kind="lane", name="support/gmail", reason="not mine")
    await one.run_for(2 * DAY)
    told = await report(one)
    assert (told["slips"], told["lanes"][0]["states"]) == ([], [])


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "name"), [
    ("everything", ""), ("sender", "support"), ("campaign", "delay"), ("category", "service"),
])
async def test_whatever_covers_the_campaign_is_its_cause(one: World, kind: str, name: str) -> None:
    desk = Desk(one)
    await one.run_until(at("2026-03-02 09:59:00"))
    await desk("hold", kind=kind, name=name, reason="a look")
    await one.run_until(at("2026-03-02 10:59:00"))
    await desk("resume", kind=kind, name=name)
    await one.run_until(at("2026-03-02 12:30:00"))
    assert slips(await report(one)) == [(LANE, "02T10", 10, 0, "hold")]


@pytest.mark.asyncio
async def test_a_lane_held_by_the_dispatcher_is_told_from_one_held_by_a_person(one: World) -> None:
    await one.run_until(at("2026-03-02 09:30:00"))
    async with one.database.transaction() as tx:
        await report_reading.events.note(tx, report_reading.events.Event(
            at("2026-03-02 09:30:00"), report_reading.events.Kind.LANE_HELD, LANE, "bounces: 6 of 100 for a@b.example",
            data={"until": at("2026-03-02 11:30:00")}))
    await one.hold("lane", LANE, until=at("2026-03-02 11:30:00"))      # what it comes to, whoever does it
    await one.run_until(at("2026-03-02 13:30:00"))
    told = await report(one)
    assert slips(told)[0] == (LANE, "02T09", 30, 10, "lane_held")     # half of what was released at nine came back
    assert why(told, "lane_held") == "the lane was held: bounces: 6 of 100 for [address]"


@pytest.mark.asyncio
async def test_a_daemon_that_did_not_run_is_named_from_when_to_when(one: World) -> None:
    await one.run_until(at("2026-03-02 09:30:00"))
    await one.drain()
    one.clock.set(at("2026-03-02 12:30:00"))
    await one.restart()
    await one.run_for(2 * DAY)
    told = await report(one)
    first = told["slips"][0]
    assert (slips(told)[0][2:], first["since"], first["ended"]) == (
        (40, 10, "stopped"), "2026-03-02T09:30:00Z", "2026-03-02T12:30:00Z")
    assert {cause for *_, cause in slips(told)} <= {"stopped", "then stopped"}


@pytest.mark.asyncio
async def test_a_daemon_that_does_not_run_is_named_since_its_own_last_sign_of_life(one: World) -> None:
    await one.run_until(at("2026-03-02 09:30:00"))
    await one.crash()
    await one.open()
    one.clock.set(at("2026-03-02 11:30:00"))
    desk = Desk(one, daemon=False)
    await desk("hold", kind="lane", name="support/gmail", reason="stored while none runs, and no sign of life")
    one.clock.set(at("2026-03-02 13:30:00"))
    told = await desk("report", campaign="delay")
    assert slips(told) == [(LANE, "02T10", 30, 0, "stopped")]
    (first,) = told["slips"]
    assert (first["since"][:15], first["ended"]) == ("2026-03-02T09:2", None)     # its last attempt, or its mark
    assert told["summary"].startswith("It stands still, with ")
    assert told["summary"].endswith(" messages left, as the daemon has not run since 2026-03-02 09:24:00 UTC.")
    await one.start()


@pytest.mark.asyncio
async def test_a_daemon_that_stood_still_over_slots_is_named(one: World) -> None:
    await one.drain()
    one.mark_every = MINUTE
    await one.restart()
    await one.run_until(at("2026-03-02 09:59:00"))
    one.clock.set(at("2026-03-02 11:59:30"))        # and nobody woke in between
    await one.run_for(2 * DAY)
    told = await report(one)
    assert slips(told)[0][1:] == ("02T10", 20, 0, "stood_still")
    assert why(told, "stood_still") == "the daemon stood still for 2 h"
    assert {cause for *_, cause in slips(told)} <= {"stood_still", "then stood_still"}


@pytest.mark.asyncio
@pytest.mark.usefixtures("both_stores")
async def test_a_batch_that_a_crash_cut_short_is_told_as_such(tmp_path: Path) -> None:
    async with world(tmp_path, HOURLY, people=150) as one:
        await one.send_to(150)
        await one.run_until(at("2026-03-02 09:31:00"))
        await one.crash()
        await one.restart()
        await one.run_for(3 * DAY)
        told = await report(one)
        (cut,) = [batch for batch in told["batches"] if batch["at"] == "2026-03-02T09:00:00Z"]
        assert 0 < cut["first"] < cut["size"]
        assert {cause for *_, cause in slips(told)} == {"stopped"}
        assert why(told, "stopped") == "the daemon did not run: it had crashed"


@pytest.mark.asyncio
async def test_a_reload_that_lowers_the_rate_is_named_with_what_it_changed(one: World) -> None:
    desk = Desk(one)
    await one.run_until(at("2026-03-02 09:30:00"))
    file = one.folder / "dispatcher.toml"
    file.write_text(changed(file.read_text(), ("start = 120", "start = 60")))
    await desk("reload")
    await one.run_for(3 * DAY)
    told = await report(one)
    assert {cause for *_, cause in slips(told)} == {"reload"}
    assert "ramps.careful.start: 120 -> 60" in why(told, "reload").replace("\u2192", "->")
    assert told["promise_kept"] is False


@pytest.mark.asyncio
async def test_a_campaign_that_started_later_is_named(one: World) -> None:
    await one.run_until(at("2026-03-02 09:30:00"))
    await one.apply(NEWS)
    await one.send(*({"customer": f"c{number}", "campaign": "news", "priority": "urgent"} for number in range(20)))
    await one.run_for(2 * DAY)
    told = await report(one)
    assert slips(told)[0] == (LANE, "02T10", 20, 0, "new_campaign")
    assert why(told, "new_campaign") == "news, started later, took 20 places"
    assert {cause for *_, cause in slips(told)} <= {"new_campaign", "then new_campaign"}


@pytest.mark.asyncio
async def test_who_unsubscribed_meanwhile_makes_it_fewer(one: World) -> None:
    await one.run_until(at("2026-03-02 09:30:00"))
    await one.suppress(*(f"c{number}@mail.example" for number in range(100, 112)), reason="unsubscribe")
    await one.run_for(2 * DAY)
    told = await report(one)
    assert slips(told) == [(LANE, "03T09", 18, 6, "fewer")]
    assert why(told, "fewer").startswith("there were fewer to send to (12: ")
    assert (sum(told["skipped"].values()), told["left_out"], told["promise_kept"]) == (12, 12, True)
    (segment,) = told["segments"]
    assert (segment["segment"], segment["messages"], segment["released"], segment["accepted"], segment["skipped"],
            sum(segment["reasons"].values())) == ("DE/Berlin", 150, 138, 138, 12, 12)


@pytest.mark.asyncio
async def test_a_canceled_campaign_says_so(one: World) -> None:
    desk = Desk(one)
    await one.run_until(at("2026-03-02 09:30:00"))
    await desk("campaign.cancel", id="delay", reason="solved")
    await one.run_until(at("2026-03-02 12:30:00"))
    told = await report(one)
    assert (told["summary"], told["promise_kept"], told["canceled_reason"]) == (
        f"It was canceled; {told['messages']['accepted']} messages had been sent.", None, "solved")
    assert {cause for *_, cause in slips(told)} == {"canceled"}


@pytest.mark.asyncio
async def test_what_was_added_later_is_counted_and_no_slip(one: World) -> None:
    await one.people(30, first=200)
    await one.run_until(at("2026-03-02 09:30:00"))
    await one.send_to(30, first=200)
    await one.run_for(3 * DAY)
    told = await report(one)
    assert (told["added_later"], told["total"], told["slips"], told["promise"]["queued"]) == (30, 180, [], 150)


@pytest.mark.asyncio
async def test_nothing_is_promised_before_the_start_and_an_unknown_campaign_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path, HOURLY) as one:
        told = await report(one)
        assert (told["promise"], told["promise_kept"], told["batches"], told["summary"]) == (
            None, None, [], "It has not started: a plan is promised when the first of it may be released.")
        assert (await Desk(one).refused("report", campaign="other")).kind == "unknown"


@pytest.mark.asyncio
async def test_long_reports_are_read_in_chunks_and_come_to_the_same(
    one: World, monkeypatch: pytest.MonkeyPatch,
) -> None:
    await one.apply(NEWS)
    await one.send_to(40, campaign="news")
    one.post.script = lambda _, attempt: deferred() if attempt == 1 else accepted()
    await one.run_for(DAY + 30 * MINUTE)
    whole = await report(one)
    monkeypatch.setattr(report_reading, "PAGE", 7)
    monkeypatch.setattr(report_reading, "CHUNK", 2)
    assert await report(one) == whole
    assert whole["complete"]
    monkeypatch.setattr(report_reading, "MOST", 4)
    assert not (await report(one))["complete"]


@pytest.mark.asyncio
async def test_a_report_can_be_asked_for_while_the_daemon_is_stopping(one: World) -> None:
    one.works.closing = True
    try:
        assert (await report(one))["campaign"] == "delay"
    finally:
        one.works.closing = False
