"""Hold, resume and suppress: what a bare name means, what is stopped, what is listed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.offices import Desk, faulty, rows
from support.timetables import at
from support.world import CAMPAIGN, DAY, SETTINGS, World, changed, world

from dispatcher.core.reputation import LaneState, Reputation
from dispatcher.store import events, lanes
from dispatcher.store.events import Kind

BUSY = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "08:00-20:00"\nstart = 8640'))


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    """In the middle of a batch: 24 of 60 have left, one every five seconds."""
    async with world(tmp_path, BUSY, people=150) as it:
        await it.send_to(150)
        await it.run_until(at("2026-03-02 08:01:58"))
        assert len(it.post.handed) == 24
        yield it


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "kind"), [
    ("", "everything"), ("support/other", "lane"), ("delay", "campaign"), ("support", "sender"),
    ("service", "category"),
])
async def test_a_bare_name_is_found_out_and_held_within_the_batch(one: World, name: str, kind: str) -> None:
    desk = Desk(one)
    result = await desk("hold", name=name, reason="a look", by="ines")
    assert result == {"held": {"kind": kind, "name": name, "until": None}, "stopped": 36, "elsewhere": False}
    assert [(hold["kind"], hold["by"]) for hold in (await desk("status"))["holds"]] == [(kind, "ines")]
    await one.run_for(DAY)
    assert len(one.post.handed) == 24
    assert (await desk("resume", name=name))["resumed"] is True
    await one.run_for(DAY)
    assert len(one.post.handed) == 150


@pytest.mark.asyncio
async def test_who_held_and_who_resumed_and_why_stays_on_record(one: World) -> None:
    desk = Desk(one)
    await desk("hold", name="delay", reason="words", by="ines")
    await desk("hold", name="service", reason="crisis", by="ines", for_ms=3_600_000)
    await desk("resume", name="delay", by="otto")
    await one.run_for(2 * 3_600_000)
    async with one.database.transaction() as tx:
        told = [(event.kind, event.subject, event.cause, event.by, event.data) for event in
                await events.between(tx, 0, 2**60, 9, [Kind.HELD, Kind.RESUMED])]
    until = at("2026-03-02 09:01:58")
    assert told == [
        ("held", "delay", "words", "ines", {"kind": "campaign", "until": None}),
        ("held", "service", "crisis", "ines", {"kind": "category", "until": until}),
        ("resumed", "delay", "words", "otto", {"kind": "campaign"}),
        ("resumed", "service", "its time was over", "", {"kind": "category"}),
    ]


@pytest.mark.asyncio
async def test_a_category_is_what_its_campaigns_are_now(one: World) -> None:
    desk = Desk(one)
    await one.apply(changed(CAMPAIGN, ('"service"', '"critical"')))    # what is on its way was released as service
    assert (await desk("hold", name="service", reason="x"))["stopped"] == 0
    assert (await desk("hold", name="critical", reason="x"))["stopped"] == 36
    await one.run_for(DAY)
    assert len(one.post.handed) == 24


@pytest.mark.asyncio
async def test_the_longest_of_several_holds_is_the_one_that_is_told(one: World) -> None:
    desk = Desk(one)
    await desk("hold", name="support/other", reason="short", for_ms=600_000)
    await desk("hold", name="support", reason="long", for_ms=7_200_000)
    [lane] = (await desk("status"))["lanes"]
    assert (lane["state"], lane["why"], lane["next_slot_at"]) == ("held", "long", "2026-03-02T10:01:58Z")
    await desk("resume", name="support")
    [lane] = (await desk("status"))["lanes"]
    assert (lane["why"], lane["next_slot_at"]) == ("short", "2026-03-02T08:11:58Z")


@pytest.mark.asyncio
async def test_the_end_of_a_hold_is_not_promised_where_something_else_keeps_the_campaign_back(one: World) -> None:
    await one.reload(BUSY + "[campaigns]\napproval = true\n")
    await one.hold("campaign", "delay", until=one.now + 600_000)
    assert (await one.plan()).batches == []


@pytest.mark.asyncio
async def test_a_restart_keeps_a_hold_and_ends_it_in_time(one: World) -> None:
    desk = Desk(one)
    await desk("hold", reason="a look", for_ms=3_600_000)
    await one.crash()
    one.clock.set(one.now + 1_800_000)
    await one.restart()
    await one.run_until(at("2026-03-02 09:01:57"))
    assert len(one.post.handed) == 24
    await one.drain()
    one.clock.set(at("2026-03-02 10:02:00"))      # it runs out while nobody runs
    await one.restart()
    await one.run_until(at("2026-03-02 10:04:59"))
    assert 0 < len(one.post.handed) - 24 <= 60
    assert (await Desk(one)("status"))["holds"] == []


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["support/other", ""])
async def test_a_hold_that_the_evidence_brought_is_listed_and_ended_like_any_other(one: World, name: str) -> None:
    desk = Desk(one)
    async with one.database.transaction() as tx:
        await lanes.write(tx, "support/other", Reputation(LaneState.HELD, 0.5, cause="bounces", since=one.now))
    await desk("hold", name="support/other", reason="and I say so too", by="ines")
    assert [(hold["name"], hold["by"]) for hold in (await desk("status"))["holds"]] == [
        ("support/other", "ines"), ("support/other", "dispatcher")]
    assert len((await desk("resume", name=name, by="otto"))["holds"]) == 2
    assert (await desk("status"))["holds"] == []
    before = len(one.post.handed)
    await one.run_for(20 * 60_000)
    assert len(one.post.handed) > before
    async with one.database.transaction() as tx:
        assert [event.by for event in await events.between(tx, 0, 2**60, 9, [Kind.LANE_RECOVERING])] == ["otto"]


@pytest.mark.asyncio
async def test_a_hold_for_a_time_ends_by_itself(one: World) -> None:
    desk = Desk(one)
    result = await desk("hold", reason="a look", for_ms=3_600_000)
    assert result["held"]["until"] == "2026-03-02T09:01:58Z"
    await one.run_until(at("2026-03-02 09:01:00"))
    assert len(one.post.handed) == 24
    await one.run_until(at("2026-03-02 12:00:00"))
    assert len(one.post.handed) == 150


@pytest.mark.asyncio
async def test_names_that_mean_nothing_or_two_things_are_refused(one: World) -> None:
    desk = Desk(one)
    for name in ("dellay", "suport/gmail", "support/"):
        assert (await desk.refused("hold", name=name, reason="x")).kind == "unknown"
    assert "support" in (await desk.refused("hold", name="dellay", reason="x")).message
    await one.apply(changed(CAMPAIGN, ('id = "delay"', 'id = "support"')))
    assert (await desk.refused("hold", name="support", reason="x")).kind == "usage"
    assert (await desk("hold", kind="sender", name="support", reason="x"))["held"]["kind"] == "sender"
    await desk("hold", kind="campaign", name="support", reason="x")
    assert (await desk.refused("resume", name="support")).kind == "usage"
    assert (await desk.refused("hold", kind="campaign", name="nothing", reason="x")).kind == "unknown"
    assert (await desk.refused("hold", kind="everything", name="delay", reason="x")).kind == "usage"
    for reason in ("", "two\nlines"):
        assert (await desk.refused("hold", reason=reason)).kind == "usage"


@pytest.mark.asyncio
async def test_resume_without_a_name_ends_every_hold_and_lists_them(one: World) -> None:
    desk = Desk(one)
    for name in ("", "delay", "support/gmail"):
        await desk("hold", name=name, reason="x")
    ended = await desk("resume", name="delay")
    assert [hold["kind"] for hold in ended["holds"]] == ["campaign"]
    assert [hold["kind"] for hold in ended["still_held"]] == ["everything", "lane"]
    assert [hold["kind"] for hold in (await desk("resume"))["holds"]] == ["everything", "lane"]
    assert await desk("resume") == {"resumed": False, "holds": [], "still_held": [], "ahead": [], "clock": None}


@pytest.mark.asyncio
@pytest.mark.parametrize(("reason", "told"), [("manual", "suppressed"), ("unsubscribe", "unsubscribed")])
async def test_a_suppression_stops_what_is_released_whatever_the_case_it_is_written_in(
    one: World, reason: str, told: str
) -> None:
    desk = Desk(one)
    result = await desk("suppress.add", addresses=["C30@MAIL.example", "c99@mail.example"], reason=reason)
    assert (result["added"], result["stopped"]) == (2, 1)
    await one.run_for(DAY)
    assert {"c30", "c99"}.isdisjoint(one.post.recipients)
    assert [row.reason for row in await one.rows(state="skipped")] == [told, told]


@pytest.mark.asyncio
async def test_a_suppression_of_another_category_stops_nothing(one: World) -> None:
    desk = Desk(one)
    assert (await desk("suppress.add", addresses=["c30@mail.example"], category="promotional"))["stopped"] == 0
    assert (await desk("suppress.add", addresses=["c30@mail.example"], category="service"))["stopped"] == 1
    await one.run_for(DAY)
    assert await one.states() == {"accepted": 149, "skipped": 1}


@pytest.mark.asyncio
async def test_addresses_that_cannot_be_are_faults_of_their_place(one: World) -> None:
    desk = Desk(one)
    result = await desk("suppress.add", addresses=["a@mail.example", "nonsense", "a@mail.example, b@mail.example"])
    assert (result["added"], faulty(result)) == (1, [2, 3])
    assert "nonsense" not in str(result["faults"])
    result = await desk("suppress.import", rows=rows(
        {"address": "x@mail.example", "category": "service", "reason": "complaint"}, {"address": "y@mail.example"},
        {"category": "service"}, {"address": "z@mail.example", "reason": "because"},
        {"address": "z@mail.example", "category": "all"}, {"adress": "z@mail.example"},
        {"email": "w@mail.example"},
    ))
    assert (result["added"], faulty(result)) == (3, [4, 5, 6, 7])
    assert (await desk.refused("suppress.remove", address="nonsense")).kind == "usage"


@pytest.mark.asyncio
async def test_the_list_pages_through_every_address_once(one: World) -> None:
    desk = Desk(one)
    for category in ("*", "service", "promotional", "critical"):
        await desk("suppress.add", addresses=[f"a{number}@mail.example" for number in range(7)], category=category)
    seen: list[tuple[str, str]] = []
    after: str | None = ""
    while after is not None:
        page = await desk("suppress.list", after=after, limit=5)
        seen += [(row["address"], row["category"]) for row in page["suppressions"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == 28
    assert (await desk("suppress.remove", address="A3@mail.example"))["removed"] == 4
    assert (await desk("suppress.remove", address="a3@mail.example"))["removed"] == 0
