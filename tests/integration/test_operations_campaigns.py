"""Campaigns through the operations: checked when applied, versioned, approved, canceled, previewed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.offices import Desk, rows
from support.post import accepted, deferred
from support.timetables import at
from support.world import CAMPAIGN, DAY, SETTINGS, World, changed, person, world

from dispatcher.intake.campaign_file import read_campaign
from dispatcher.store import events

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
async def test_an_approval_is_of_exactly_the_content_that_was_looked_at(tmp_path: Path) -> None:
    async with world(tmp_path, APPROVAL, people=5) as one:
        desk = Desk(one)
        seen = (await desk("campaign.show", id="delay"))["digest"]
        assert (await desk("campaign.list"))["campaigns"][0]["digest"] == seen
        for digest in ("0" * 15, "nonsense", seen + "0"):
            assert (await desk.refused("campaign.approve", id="delay", by="Ines", digest=digest)).kind == "usage"
        [warning] = (await desk("campaign.apply", **folder_of(one, changed(CAMPAIGN, ("Late", "Free")))))["warnings"]
        refusal = await desk.refused("campaign.approve", id="delay", by="Ines", digest=seen)    # changed in between
        now = (await desk("campaign.show", id="delay"))["digest"]
        assert refusal.kind == "conflict"
        assert now in refusal.message
        assert warning.endswith(f"dispatcher campaign approve delay --by NAME --digest {now}")
        assert (await desk("campaign.approve", id="delay", by="Ines", digest=now[:16]))["digest"] == now
        again = await desk("campaign.approve", id="delay", by="Otto", digest=now)
        assert again["by"] == "Ines"       # the first approval stands


@pytest.mark.asyncio
async def test_applying_the_same_content_again_keeps_the_approval(tmp_path: Path) -> None:
    async with world(tmp_path, APPROVAL, people=5) as one:
        desk = Desk(one)
        await one.send_to(5)
        await desk("campaign.approve", id="delay", by="Ines")
        same = await desk("campaign.apply", **folder_of(one, CAMPAIGN))
        assert (same["unchanged"], same["warnings"]) == (True, [])
        await one.run_for(DAY)
        assert len(one.post.handed) == 5


@pytest.mark.asyncio
async def test_another_version_lets_retries_of_the_one_before_wait_for_approval_too(tmp_path: Path) -> None:
    async with world(tmp_path, APPROVAL, people=3, now=at("2026-03-02 09:00")) as one:
        desk = Desk(one)
        one.post.script = lambda _recipient, attempt: deferred() if attempt == 1 else accepted()
        await one.send_to(3)
        await desk("campaign.approve", id="delay", by="Ines")
        await one.run_for(DAY // 8)
        tried = len(one.post.handed)
        assert tried > 0
        await desk("campaign.apply", **folder_of(one, changed(CAMPAIGN, ("Late", "Very late"))))
        await one.run_for(2 * DAY)
        assert len(one.post.handed) == tried
        await desk("campaign.approve", id="delay", by="Ines")
        await one.run_for(DAY)
        assert await one.states() == {"accepted": 3}


@pytest.mark.asyncio
async def test_approval_that_is_turned_on_bites_at_the_next_slot(tmp_path: Path) -> None:
    busy = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "08:00-20:00"\nstart = 8640'))
    async with world(tmp_path, busy, people=150) as one:
        await one.send_to(150)
        await one.run_until(at("2026-03-02 08:01:58"))
        await one.reload(busy + "[campaigns]\napproval = true\n")
        await one.run_until(at("2026-03-02 09:00:00"))
        assert len(one.post.handed) == 60
        assert (await Desk(one)("campaign.list"))["campaigns"][0]["state"] == "unapproved"
        await one.reload(busy)
        await one.run_until(at("2026-03-02 09:30:00"))
        assert len(one.post.handed) == 150


@pytest.mark.asyncio
async def test_what_became_of_a_campaign_and_by_whom_stays_on_record(tmp_path: Path) -> None:
    async with world(tmp_path, APPROVAL, people=5) as one:
        desk = Desk(one)
        await desk("campaign.apply", **folder_of(one, changed(CAMPAIGN, ("Late", "Very late"))), by="ann")
        await desk("campaign.apply", **folder_of(one, changed(CAMPAIGN, ("Late", "Very late"))), by="ann")
        for name in ("Ines", "Otto"):
            await desk("campaign.approve", id="delay", by=name)
        for name in ("otto", "ines"):
            await desk("campaign.cancel", id="delay", reason="solved", by=name)
        async with one.database.transaction() as tx:
            told = [(event.kind, event.cause, event.by) for event in reversed(await events.latest(tx, "delay", 9))]
        assert told == [("campaign_applied", "version 2", "ann"), ("approved", "version 2", "Ines"),
                        ("canceled", "solved", "otto")]


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
