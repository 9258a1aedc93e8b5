"""The one door of the queue: once for each campaign and key, whatever comes twice, and what can never go is closed."""

from pathlib import Path

import pytest
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, changed, world

NINE = at("2026-03-02 09:00")


def answers(receipts: list) -> list[tuple[str, str]]:  # type: ignore[type-arg] # of Receipt
    return [(str(receipt.answer), receipt.reason) for receipt in receipts]


@pytest.mark.asyncio
async def test_the_same_request_is_taken_once_within_a_chunk_and_ever_after(tmp_path: Path) -> None:
    async with world(tmp_path, now=NINE, people=2) as one:
        await one.apply(changed(CAMPAIGN, ('"delay"', '"other"')))
        await one.hold("everything")
        same, changed_data = {"customer": "c0", "key": "k"}, {"customer": "c0", "key": "k", "data": {"a": 1}}
        assert answers(await one.send(same, same, changed_data, {"customer": "c1", "key": "k"})) == [
            ("queued", ""), ("duplicate", ""), ("conflict", ""), ("conflict", "")]
        await one.crash()
        await one.restart()
        assert answers(await one.send(same, changed_data, {**same, "campaign": "other"})) == [
            ("duplicate", ""), ("conflict", ""), ("queued", "")]
        assert [(row.campaign, row.data) for row in await one.rows()] == [("delay", "{}"), ("other", "{}")]


@pytest.mark.asyncio
async def test_what_nobody_could_ever_get_is_closed_at_once_with_its_reason(tmp_path: Path) -> None:
    promotional = changed(CAMPAIGN, ('"delay"', '"offer"'), ('"service"', '"promotional"'))
    berlin = changed(CAMPAIGN, ('"delay"', '"berlin"'), ('"DE/Berlin", "*"', '"DE/Berlin"'))
    async with world(tmp_path, now=NINE, people=3) as one:
        await one.apply(promotional)
        await one.apply(berlin)
        await one.customers([{"id": "idle", "email": "idle@mail.example", "name": "I"},
                             {"id": "far", "email": "f@mail.example", "location": "FR", "last_active_at": "2026-03-01"},
                             {"id": "mute", "last_active_at": "2026-03-01"}])
        await one.suppress("c1@mail.example")
        await one.suppress("c2@mail.example", reason="unsubscribe")
        await one.hold("everything")
        receipts = await one.send(
            {"customer": "idle"}, {"customer": "nobody"}, {"customer": "mute"}, {"customer": "c1"}, {"customer": "c2"},
            {"customer": "c0", "campaign": "offer"}, {"customer": "far", "campaign": "berlin"},
            {"customer": "c0", "expires_at": "2026-03-02T08:59:00Z"},
            {"customer": "c0", "campaign": "none"},
        )
        assert answers(receipts) == [
            ("skipped", "inactive"), ("skipped", "unknown_customer"), ("skipped", "no_address"),
            ("skipped", "suppressed"), ("skipped", "unsubscribed"), ("skipped", "no_consent"),
            ("skipped", "no_segment"), ("skipped", "expired"), ("unknown_campaign", "")]
        assert await one.states() == {"skipped": 8}


@pytest.mark.asyncio
async def test_a_request_brings_its_customer_along(tmp_path: Path) -> None:
    async with world(tmp_path, now=NINE) as one:
        row = {"id": "new", "email": "new@mail.example", "name": "New", "last_active_at": "2026-03-02"}
        assert answers(await one.send({"customer": row}, {"customer": "new", "key": "2"})) == [("queued", "")] * 2
        await one.run_for(HOUR)
        assert len(one.post.to("new@mail.example")) == 2


@pytest.mark.asyncio
async def test_from_stale_facts_nobody_is_called_inactive_at_the_door(tmp_path: Path) -> None:
    async with world(tmp_path, now=NINE, people=1) as one:
        await one.run_for(40 * DAY)
        assert answers(await one.send({"customer": "c0"}, {"customer": "nobody"})) == [
            ("queued", ""), ("skipped", "unknown_customer")]


@pytest.mark.asyncio
async def test_two_updates_of_one_incident_in_one_chunk_leave_the_later(tmp_path: Path) -> None:
    first = changed(CAMPAIGN, ("segment_by", 'incident = "flood"\nsequence = 1\nsegment_by'))
    second = changed(CAMPAIGN, ('"delay"', '"later"'), ("segment_by", 'incident = "flood"\nsequence = 2\nsegment_by'))
    async with world(tmp_path, now=NINE, campaign=first, people=2) as one:
        await one.apply(second)
        await one.hold("everything")
        assert answers(await one.send(
            {"customer": "c0"}, {"customer": "c0", "campaign": "later"},
            {"customer": "c1", "campaign": "later"})) == [("queued", "")] * 3
        assert answers(await one.send({"customer": "c1"})) == [("skipped", "superseded")]
        rows = [(row.campaign, row.customer, row.state, row.reason) for row in await one.rows()]
        assert rows == [("delay", "c0", "skipped", "superseded"), ("later", "c0", "queued", ""),
                        ("later", "c1", "queued", ""), ("delay", "c1", "skipped", "superseded")]
