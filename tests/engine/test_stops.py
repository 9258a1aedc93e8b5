"""With slots of five minutes and a batch of 60 under way: every stop stops what it covers, at once (promise P6)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from support.post import accepted
from support.timetables import at
from support.world import CAMPAIGN, MINUTE, SETTINGS, World, changed, world

from dispatcher.store import campaigns

BUSY = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "08:00-20:00"\nstart = 8640'))
SECOND = """
[senders.news]
from = "Acme <news@acme.example>"
ramp = "careful"
"""
Stop = Callable[[World], Awaitable[object]]


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    """A world in the middle of its first batch: 24 of 60 have left, one every five seconds."""
    async with world(tmp_path, BUSY + SECOND, people=150) as it:
        await it.send_to(150)
        await it.run_until(at("2026-03-02 08:01:58"))
        assert len(it.post.handed) == 24
        yield it


async def go_on(one: World, stop: Stop) -> int:
    """Stop, let 20 minutes pass; how many left in them."""
    before = len(one.post.handed)
    await stop(one)
    await one.settle()
    await one.run_for(20 * MINUTE)
    return len(one.post.handed) - before


HOLDS = {"everything": "", "sender": "support", "lane": "support/other", "campaign": "delay", "category": "service"}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", HOLDS)
async def test_a_hold_stops_the_batch_and_what_was_not_handed_over_goes_back(one: World, kind: str) -> None:
    assert await go_on(one, lambda one: one.hold(kind, HOLDS[kind])) == 0
    assert await one.states() == {"accepted": 24, "queued": 126}
    async with one.database.transaction() as tx:
        assert list(await tx.exec_driver_sql("SELECT spent, unsent, accepted FROM steps")) == [(60, 36, 24)]


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", HOLDS)
async def test_resume_goes_on_with_the_rest_of_a_slot_without_a_burst(one: World, kind: str) -> None:
    await go_on(one, lambda one: one.hold(kind, HOLDS[kind]))
    before = len(one.post.handed)
    await one.resume(kind, HOLDS[kind])
    await one.run_until(at("2026-03-02 08:24:59"))     # resumed at 08:21:58, in the slot of 08:20
    assert len(one.post.handed) - before == 36          # the same pace as ever: one every five seconds
    gaps = {after.at - earlier.at for earlier, after in zip(one.post.handed[24:], one.post.handed[25:], strict=False)}
    assert min(gaps) >= 4_900


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", HOLDS)
async def test_a_hold_that_runs_out_lets_its_messages_go_by_itself(one: World, kind: str) -> None:
    await one.hold(kind, HOLDS[kind], until=one.now + 10 * MINUTE)
    await one.run_for(10 * MINUTE - 1)
    assert len(one.post.handed) == 24
    await one.run_for(10 * MINUTE)
    assert len(one.post.handed) > 24 + 60


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "name"), [
    ("sender", "news"), ("lane", "support/gmail"), ("campaign", "other"), ("category", "promotional")])
async def test_a_hold_of_something_else_stops_nothing(one: World, kind: str, name: str) -> None:
    assert await go_on(one, lambda one: one.hold(kind, name)) == 126


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_suppressed_address_gets_nothing_and_all_others_do(one: World) -> None:
    assert await go_on(one, lambda one: one.suppress("c30@mail.example", "c100@mail.example")) == 124
    skipped = await one.rows(state="skipped")
    assert [(row.customer, row.reason) for row in skipped] == [("c30", "suppressed"), ("c100", "suppressed")]
    assert "c30" not in one.post.recipients
    assert "c100" not in one.post.recipients


@pytest.mark.asyncio
async def test_an_unsubscribe_of_another_category_stops_nothing(one: World) -> None:
    await one.suppress("c30@mail.example", category="promotional", reason="unsubscribe")
    await one.run_for(20 * MINUTE)
    assert "c30" in one.post.recipients


@pytest.mark.asyncio
async def test_a_canceled_campaign_ends_at_once_and_for_good(one: World) -> None:
    assert await go_on(one, lambda one: one.cancel()) == 0
    assert await one.states() == {"accepted": 24, "skipped": 126}
    assert {row.reason for row in await one.rows(state="skipped")} == {"canceled"}
    assert [receipt.answer for receipt in await one.send({"customer": "c1", "key": "again"})] == ["canceled_campaign"]


@pytest.mark.asyncio
async def test_a_stop_beats_a_message_that_waits_for_a_free_connection(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, people=60) as one:
        one.post.width = 1
        await one.reload(changed(BUSY, ("support@", "help@")))
        one.post.script = lambda _recipient, _attempt: accepted(takes=2 * MINUTE)
        await one.send_to(60)
        await one.run_until(at("2026-03-02 08:01:00"))
        assert len(one.post.handed) == 1
        await one.hold("everything")
        await one.run_for(20 * MINUTE)
        assert len(one.post.handed) == 1
        assert await one.states() == {"accepted": 1, "queued": 59}


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_what_is_in_flight_when_a_stop_comes_keeps_its_outcome(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, people=60) as one:
        one.post.script = lambda _recipient, _attempt: accepted(takes=30_000)
        await one.send_to(60)
        await one.run_until(at("2026-03-02 08:01:02"))
        await one.cancel()
        await one.run_for(MINUTE)
        assert await one.states() == {"accepted": 13, "skipped": 47}
        assert len(one.post.handed) == 13


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_canceled_campaign_is_closed_after_a_crash_in_the_middle_of_it(one: World) -> None:
    async with one.database.transaction() as tx:
        await campaigns.cancel(tx, "delay", "over", one.now)
    await one.crash()
    await one.restart()
    await one.run_for(20 * MINUTE)
    assert await one.states() == {"accepted": 24, "skipped": 126}


@pytest.mark.asyncio
async def test_a_campaign_that_waits_for_approval_goes_on_once_it_has_it(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY + "[campaigns]\napproval = true\n", people=3) as one:
        await one.send_to(3)
        await one.run_until(at("2026-03-02 09:00"))
        assert one.post.handed == []
        async with one.database.transaction() as tx:
            await campaigns.approve(tx, "delay", 1, "Ann", one.now)
        one.works.changed()
        await one.run_until(at("2026-03-02 10:00"))
        assert len(one.post.handed) == 3


@pytest.mark.asyncio
async def test_an_update_of_an_incident_closes_what_was_not_sent_of_the_one_before(tmp_path: Path) -> None:
    first = changed(CAMPAIGN, ("segment_by", 'incident = "flood"\nsequence = 1\nsegment_by'))
    second = changed(CAMPAIGN, ('"delay"', '"later"'), ("segment_by", 'incident = "flood"\nsequence = 2\nsegment_by'))
    async with world(tmp_path, BUSY, campaign=first, people=60) as one:
        await one.apply(second)
        await one.send_to(60)
        await one.run_until(at("2026-03-02 07:59:00"))
        await one.send_to(10, campaign="later")
        await one.run_until(at("2026-03-02 10:00"))
        assert len(one.post.handed) == 60
        skipped = await one.rows(state="skipped")
        assert {(row.campaign, row.reason) for row in skipped} == {("delay", "superseded")}
        assert len(skipped) == 10
