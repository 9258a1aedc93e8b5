"""Campaigns through the operations: checked when applied, versioned, approved, canceled, previewed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.offices import Desk, rows
from support.timetables import at
from support.world import CAMPAIGN, DAY, SETTINGS, World, changed, person, world

from dispatcher.intake.campaign_file import read_campaign

APPROVAL = SETTINGS + "[campaigns]\napproval = true\n"


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, people=20) as it:
        yield it


def folder_of(one: World, text: str) -> dict[str, Any]:
    """The arguments of `campaign apply` for a campaign of this text."""
    folder = one.folder / "elsewhere"
    folder.mkdir(exist_ok=True)
    (folder / "campaign.toml").write_text(text)
    loaded = read_campaign(folder)
    return {"campaign": loaded.content, "digest": loaded.digest, "place": str(folder)}


@pytest.mark.asyncio
async def test_applying_the_same_again_changes_nothing_and_other_words_make_a_version(one: World) -> None:
    desk = Desk(one)
    same = await desk("campaign.apply", **folder_of(one, CAMPAIGN))
    assert (same["version"], same["unchanged"], same["new"]) == (1, True, False)
    other = await desk("campaign.apply", **folder_of(one, changed(CAMPAIGN, ("Late", "Very late"))))
    assert (other["version"], other["unchanged"], other["new"]) == (2, False, False)
    new = await desk("campaign.apply", **folder_of(one, changed(CAMPAIGN, ('id = "delay"', 'id = "flood"'))))
    assert (new["version"], new["new"]) == (1, True)
    assert [found["id"] for found in (await desk("campaign.list"))["campaigns"]] == ["delay", "flood"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("old", "new", "told"), [
    ('senders = ["support"]', 'senders = ["suport"]', 'did you mean "support"?'),
    ("{{ customer.name }}", "{{ customer.nome }}", "nome"),
    ("{{ segment }}", "{{ missing }}", "missing"),
    ("{{ segment }}", "{{ 'a' * 90000000 }}", "characters"),
    ("{{ segment }}", "{{ ''.__class__ }}", "__class__"),
])
async def test_a_campaign_with_a_fault_is_refused_and_the_old_version_stands(
    one: World, old: str, new: str, told: str
) -> None:
    desk = Desk(one)
    refusal = await desk.refused("campaign.apply", **folder_of(one, changed(CAMPAIGN, (old, new))))
    assert refusal.kind == "usage"
    assert told in "\n".join(refusal.details)
    assert (await desk("campaign.show", id="delay"))["version"] == 1


@pytest.mark.asyncio
async def test_what_is_no_campaign_is_refused(one: World) -> None:
    desk = Desk(one)
    good = folder_of(one, CAMPAIGN)
    for campaign, digest in (("{}", ""), ("nonsense", ""), ({"id": "x"}, ""), (good["campaign"], "0" * 64)):
        assert (await desk.refused("campaign.apply", campaign=campaign, digest=digest)).kind == "usage"


@pytest.mark.asyncio
async def test_the_queue_follows_a_new_order_of_segments(one: World) -> None:
    desk = Desk(one)
    await desk("customers.import", rows=rows(person(0, one.now) | {"id": "h", "email": "h@mail.example",
                                                                   "location": "DE/Hamburg"}))
    await one.send_to(20)
    await desk("send.requests", campaign="delay", rows=rows({"customer": "h"}))
    first = changed(CAMPAIGN, ('segments = ["DE/Berlin", "*"]', 'segments = ["DE/Hamburg", "DE/Berlin"]'))
    result = await desk("campaign.apply", **folder_of(one, first))
    assert result["queued_moved"] == 21
    assert [(row["segment"], row["queued"]) for row in (await desk("campaign.show", id="delay"))["segments"]] == \
        [("DE/Hamburg", 1), ("DE/Berlin", 20)]
    await one.run_for(DAY)
    assert one.post.recipients[0] == "h"


@pytest.mark.asyncio
async def test_nothing_leaves_before_somebody_approved_exactly_this_version(tmp_path: Path) -> None:
    async with world(tmp_path, APPROVAL, people=5) as one:
        desk = Desk(one)
        await one.send_to(5)
        await one.run_until(at("2026-03-02 20:00:00"))
        assert one.post.handed == []
        assert [(found["state"], found["queued"]) for found in (await desk("campaign.list"))["campaigns"]] == \
            [("unapproved", 5)]
        assert (await desk.refused("campaign.approve", id="delay", by="Ines", digest="0" * 64)).kind == "conflict"
        approved = await desk("campaign.approve", id="delay", by="Ines")
        assert (approved["version"], approved["by"]) == (1, "Ines")
        warned = await desk("campaign.apply", **folder_of(one, changed(CAMPAIGN, ("Late", "Very late"))))
        assert "approval" in warned["warnings"][0]
        await one.run_for(DAY // 2)
        assert one.post.handed == []       # another version needs its own approval
        await desk("campaign.approve", id="delay", by="Ines")
        await one.run_for(DAY)
        assert len(one.post.handed) == 5


@pytest.mark.asyncio
async def test_canceling_closes_what_is_queued_stops_what_is_released_and_is_for_good(tmp_path: Path) -> None:
    busy = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "08:00-20:00"\nstart = 8640'))
    async with world(tmp_path, busy, people=700) as one:
        desk = Desk(one)
        await desk("campaign.apply", **folder_of(one, CAMPAIGN))
        await one.audience()
        await one.run_until(at("2026-03-02 08:01:58"))
        result = await desk("campaign.cancel", id="delay", reason="solved")
        assert (result["stopped"], result["closed"]) == (36, 640)
        await one.run_for(DAY)
        assert len(one.post.handed) == 24
        again = await desk("campaign.cancel", id="delay", reason="once more")
        assert (again["stopped"], again["closed"]) == (0, 0)
        shown = await desk("campaign.show", id="delay")
        assert (shown["state"], shown["canceled_reason"], shown["skipped"]) == ("canceled", "solved",
                                                                                {"canceled": 676})
        other = folder_of(one, changed(CAMPAIGN, ("Late", "Very late")))
        assert (await desk.refused("campaign.apply", **other)).kind == "conflict"
        assert (await desk.refused("send.audience", campaign="delay")).kind == "conflict"
        assert (await desk.refused("campaign.approve", id="delay", by="Ines")).kind == "conflict"


@pytest.mark.asyncio
async def test_a_preview_shows_the_words_and_the_verdict(one: World) -> None:
    desk = Desk(one)
    shown = await desk("campaign.preview", id="delay", customer="c0")
    assert (shown["to"], shown["subject"]) == ("c0@mail.example", "Late, N0")
    assert shown["text"].startswith("Dear N0, DE/Berlin.")
    assert (shown["verdict"], shown["segment"], shown["lane"]) == ("send", "DE/Berlin", "support/other")
    await desk("suppress.add", addresses=["c0@mail.example"], reason="unsubscribe")
    shown = await desk("campaign.preview", id="delay", customer="c0")
    assert (shown["verdict"], shown["reason"]) == ("skip", "unsubscribed")
    await desk("customers.import", rows=rows({"id": "mute", "name": "Mute", "location": "DE/Berlin"},
                                             person(1, one.now) | {"last_active_at": "2026-03-01"}))
    shown = await desk("campaign.preview", id="delay", customer="mute")
    assert (shown["to"], shown["reason"], shown["subject"]) == ("", "no_address", "Late, Mute")


@pytest.mark.asyncio
async def test_a_preview_without_the_data_that_it_needs_shows_where_it_goes(one: World) -> None:
    desk = Desk(one)
    await desk("campaign.apply", **folder_of(one, changed(CAMPAIGN, ("{{ segment }}", "{{ data.order }}"))))
    assert "\u2039data.order\u203a" in (await desk("campaign.preview", id="delay", customer="c0"))["text"]
    assert "A-17" in (await desk("campaign.preview", id="delay", customer="c0", data={"order": "A-17"}))["text"]
    refusal = await desk.refused("campaign.preview", id="delay", customer="c0", data={})
    assert refusal.kind == "usage"
    assert "order" in refusal.message


@pytest.mark.asyncio
async def test_what_does_not_exist_is_told_as_unknown(one: World) -> None:
    desk = Desk(one)
    for name, args in (("campaign.show", {}), ("campaign.cancel", {"reason": "x"}), ("campaign.approve", {"by": "x"}),
                       ("campaign.preview", {"customer": "c0"})):
        assert (await desk.refused(name, id="nothing", **args)).kind == "unknown"
    assert (await desk.refused("campaign.preview", id="delay", customer="nobody")).kind == "unknown"
