"""Reload: whole or not at all, told in the terms of the plan, and coalesced."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.offices import Desk
from support.timetables import at
from support.world import CAMPAIGN, DAY, SETTINGS, World, changed, world

from dispatcher.operations import reload
from dispatcher.operations.reload import apply_folder

FASTER = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nstart = 400'))


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, people=250) as it:
        await it.send_to(250)
        yield it


def write(one: World, text: str) -> None:
    (one.folder / "dispatcher.toml").write_text(text)


def write_campaign(one: World, text: str, name: str = "delay") -> None:
    folder = one.folder / "campaigns" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "campaign.toml").write_text(text)


@pytest.mark.asyncio
async def test_a_raised_start_is_told_in_plan_terms_and_bites_at_the_next_slot(one: World) -> None:
    desk = Desk(one)
    write(one, FASTER)
    result = await desk("reload")
    assert result["changes"] == ["ramps.careful.start: 100 -> 400"]
    assert result["lanes"] == [{"lane": "support/other", "allowance": [100, 400], "next_batch": [1, 2],
                                "done_at": ["2026-03-04T10:25:00.060Z", "2026-03-02T15:28:20.020Z"]}]
    assert (result["changed"], result["campaigns"]) == (True, [])
    await one.run_until(at("2026-03-02 20:00:00"))
    assert len(one.post.handed) == 250


@pytest.mark.asyncio
async def test_the_same_file_again_changes_nothing(one: World) -> None:
    desk = Desk(one)
    write_campaign(one, CAMPAIGN)
    assert await desk("reload") == {"changed": False, "changes": [], "lanes": [], "campaigns": [], "warnings": []}


@pytest.mark.asyncio
@pytest.mark.parametrize("text", [
    changed(FASTER, ('offset = "0s"', 'offset = "soon"')), "[ramps", "", FASTER[:-20], FASTER + 'channel = "pigeon"\n',
])
async def test_a_bad_file_changes_nothing_and_every_fault_has_its_place(one: World, text: str) -> None:
    desk = Desk(one)
    before = one.works.policy
    write(one, text)
    refusal = await desk.refused("reload")
    assert refusal.kind == "usage"
    assert refusal.details
    assert all("dispatcher.toml:" in line for line in refusal.details)
    assert one.works.policy is before
    assert desk.reloader.counted.refused == 1


@pytest.mark.asyncio
async def test_a_bad_campaign_keeps_the_whole_reload_from_happening(one: World) -> None:
    desk = Desk(one)
    before = one.works.policy
    write(one, FASTER)
    write_campaign(one, changed(CAMPAIGN, ("Late", "Very late")))
    for bad in (changed(CAMPAIGN, ('id = "delay"', 'id = "news"'), ("{{ segment }}", "{{ nothing }}")),
                changed(CAMPAIGN, ('id = "delay"', 'id = "news"'), ('["support"]', '["nobody"]')), "nonsense"):
        write_campaign(one, bad, "news")
        refusal = await desk.refused("reload")
        assert "news" in "\n".join(refusal.details)
        assert one.works.policy is before
        assert (await desk("campaign.show", id="delay"))["version"] == 1
    write_campaign(one, changed(CAMPAIGN, ('id = "delay"', 'id = "news"')), "news")
    assert (await desk("reload"))["campaigns"] == ["delay (version 2)", "news (version 1)"]


@pytest.mark.asyncio
async def test_a_sender_that_cannot_be_changes_nothing_neither_campaigns(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(one)
    before = one.works.policy
    write(one, FASTER)
    write_campaign(one, changed(CAMPAIGN, ("Late", "Very late")))

    def refuse(_: object) -> None:
        raise ValueError("ca_file cannot be used")

    monkeypatch.setattr(one.works.ways, "use", refuse)
    assert "ca_file" in (await desk.refused("reload")).message
    assert one.works.policy is before
    assert (await desk("campaign.show", id="delay"))["version"] == 1


@pytest.mark.asyncio
async def test_what_needs_a_restart_is_said_every_time_and_not_taken(one: World) -> None:
    desk = Desk(one)
    write(one, FASTER + '[store]\nurl = "sqlite:///other.db"\nkeep = "90d"\n[http]\nadmin = "unix:other.sock"\n')
    for _ in range(2):
        warnings = (await desk("reload"))["warnings"]
        assert [line.partition(" ")[0] for line in warnings] == ["store.url", "http.admin"]
    assert one.works.policy.settings.store.keep == 90 * DAY
    assert one.works.policy.settings.store.path.name == "dispatcher.db"


@pytest.mark.asyncio
async def test_a_jump_is_warned_of_by_reload_and_by_check(one: World) -> None:
    desk = Desk(one)
    await one.run_for(DAY)     # sends its 100
    other = one.folder / "new.toml"
    other.write_text(FASTER)
    checked = await desk("check.rates", config=str(other))
    assert "support/other" in checked["warnings"][0]
    assert checked["lanes"][0]["allowance"] == [120, 400]
    assert one.works.policy.settings.ramps["careful"].start != 400
    write(one, FASTER)
    assert (await desk("reload"))["warnings"] == checked["warnings"]
    other.write_text("[ramps")
    assert (await desk.refused("check.rates", config=str(other))).kind == "usage"


@pytest.mark.asyncio
async def test_what_a_step_has_spent_stays_spent(one: World) -> None:
    desk = Desk(one)
    await one.run_until(at("2026-03-02 19:59:59"))
    assert len(one.post.handed) == 100
    write(one, changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nstart = 110')))
    assert (await desk("status"))["lanes"][0]["spent"] == 100
    await desk("reload")
    await one.run_until(at("2026-03-03 07:00:00"))
    assert len(one.post.handed) == 100      # no burst for what the raise allows after the window
    assert (await desk("status"))["lanes"][0]["allowance"] >= 110


@pytest.mark.asyncio
async def test_a_queue_goes_to_the_sender_that_is_left(one: World) -> None:
    desk = Desk(one)
    both = changed(CAMPAIGN, ('["support"]', '["support", "news"]'))
    news = '[senders.news]\nfrom = "Acme <news@acme.example>"\nramp = "careful"\n'
    write(one, SETTINGS + news)
    write_campaign(one, both)
    await desk("reload")
    write(one, SETTINGS.replace("[senders.support]", "[senders.news]"))
    refusal = await desk.refused("reload")
    assert '"support" is not configured' in refusal.details[0]
    write_campaign(one, changed(CAMPAIGN, ('["support"]', '["news"]')))
    result = await desk("reload")
    assert result["changed"]
    assert [(lane["lane"], lane["queued"]) for lane in (await desk("status"))["lanes"]] == [("news/other", 250)]


@pytest.mark.asyncio
async def test_a_thousand_requests_at_once_are_two_reloads_at_most(one: World) -> None:
    desk = Desk(one)
    write(one, FASTER)
    first = asyncio.create_task(desk("reload"))
    await asyncio.sleep(0)
    results = await asyncio.gather(first, *(desk("reload") for _ in range(1_000)))
    assert desk.reloader.counted.done <= 2
    assert results[0]["changed"] is True
    assert {result["changed"] for result in results[1:]} <= {True, False}


@pytest.mark.asyncio
async def test_without_a_daemon_there_is_nothing_to_reload(one: World) -> None:
    assert (await Desk(one, daemon=False).refused("reload")).kind == "failed"


@pytest.mark.asyncio
async def test_nothing_is_reloaded_once_the_daemon_stops(one: World) -> None:
    desk = Desk(one)
    write(one, FASTER)
    before = one.works.policy
    one.works.closing = True
    with pytest.raises(reload.OperationError, match="stopping"):
        await desk.reloader.reload()
    assert one.works.policy is before
    one.works.closing = False


@pytest.mark.asyncio
async def test_at_start_good_campaigns_are_applied_and_bad_ones_named(one: World) -> None:
    write_campaign(one, changed(CAMPAIGN, ("Late", "Very late")))
    write_campaign(one, "nonsense", "bad")
    write_campaign(one, changed(CAMPAIGN, ('id = "delay"', 'id = "worse"'), ('["support"]', '["nobody"]')), "worse")
    applied, faults = await apply_folder(one.works)
    assert applied == ["delay (version 2)"]
    assert len(faults) == 2
    assert await apply_folder(one.works) == ([], faults)


@pytest.mark.asyncio
async def test_a_canceled_campaign_that_was_edited_does_not_stop_a_reload(one: World) -> None:
    desk = Desk(one)
    write_campaign(one, changed(CAMPAIGN, ("Late", "Very late")))
    await desk("campaign.cancel", id="delay", reason="solved")
    result = await desk("reload")
    assert "canceled" in result["warnings"][0]
    assert result["campaigns"] == []
