"""Who is released is decided at release: quiet hours, caps, activity, expiry, segments as they are then."""

from pathlib import Path

import pytest
from support.post import accepted, deferred, in_doubt
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, MINUTE, SETTINGS, World, changed, world

from dispatcher.engine import expand

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
EIGHT = at("2026-03-02 08:00")
QUIET = '[quiet]\nhours = "21:00-09:30"\n'
CAP = '[frequency]\nservice = {{ most = {}, within = "1d" }}\n'
ORDER = ('segments = ["DE/Berlin", "*"]', 'segments = ["FR", "*", "DE/Berlin"]')


def when(one: World) -> dict[str, str]:
    return {handed.recipient.partition("@")[0]: f"{(handed.at % DAY) // HOUR:02}:{handed.at % HOUR // MINUTE:02}"
            for handed in one.post.handed}


@pytest.mark.asyncio
async def test_quiet_hours_are_waited_for_in_the_customers_own_timezone(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP + QUIET, now=EIGHT) as one:
        await one.people(1)
        await one.people(1, first=1, timezone="America/New_York")     # 03:00 there; quiet until 14:30 UTC
        await one.people(1, first=2, timezone="Asia/Tokyo")           # 17:00 there
        await one.send_to(3)
        await one.run_for(MINUTE)
        assert await one.states() == {"accepted": 1, "waiting": 2}
        assert {row.reason for row in await one.rows(waiting=1)} == {"quiet_hours"}
        await one.run_for(DAY)
        assert when(one) == {"c2": "08:00", "c0": "09:30", "c1": "14:30"}


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_customer_is_not_reached_more_often_than_the_caps_allow_in_one_batch_and_over_days(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, RAMP + CAP.format(2), now=EIGHT, people=1) as one:
        await one.send(*({"customer": "c0", "key": f"k{number}"} for number in range(4)))
        await one.run_for(HOUR)
        assert [(row.state, row.reason) for row in await one.rows()] == [
            ("accepted", ""), ("accepted", ""), ("skipped", "capped"), ("skipped", "capped")]
        await one.run_for(22 * HOUR)
        await one.send({"customer": "c0", "key": "k4"})
        await one.run_for(2 * HOUR)
        await one.send({"customer": "c0", "key": "k5"})
        await one.run_for(HOUR)
        assert [row.state for row in await one.rows()][4:] == ["skipped", "accepted"]


@pytest.mark.asyncio
async def test_what_is_under_way_counts_for_the_caps(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP + CAP.format(1), now=EIGHT, people=1) as one:
        one.post.script = lambda _r, _a: accepted(takes=HOUR)
        await one.send({"customer": "c0", "key": "k0"})
        await one.run_for(10 * MINUTE)
        await one.send({"customer": "c0", "key": "k1"})
        await one.run_for(10 * MINUTE)
        assert [row.state for row in await one.rows()] == ["sending", "skipped"]


@pytest.mark.asyncio
async def test_a_message_expires_at_its_time_whether_its_lane_is_held_or_not(tmp_path: Path) -> None:
    brief = changed(CAMPAIGN, ("segment_by", 'useful_for = "2h"\nsegment_by'))
    async with world(tmp_path, RAMP, now=EIGHT, campaign=brief, people=3) as one:
        await one.hold("everything")
        await one.send_to(2)
        await one.send({"customer": "c2", "not_before": "2026-03-02T09:00:00Z", "expires_at": "2026-03-02T09:30:00Z"})
        await one.run_until(at("2026-03-02 09:30:02"))
        assert await one.states() == {"queued": 2, "skipped": 1}
        await one.run_until(at("2026-03-02 10:00:02"))
        assert {row.reason for row in await one.rows(state="skipped")} == {"expired"}
        assert await one.states() == {"skipped": 3}


@pytest.mark.asyncio
async def test_who_became_inactive_on_the_queue_is_skipped_at_release(tmp_path: Path) -> None:
    brief = RAMP + '[audience]\nactive_within = "2d"\nstale_after = "30d"\n'
    async with world(tmp_path, brief, now=EIGHT, people=2) as one:
        await one.hold("everything")
        await one.send_to(2)
        await one.run_for(3 * DAY)
        await one.customers([{"id": "c1", "last_order_at": "2026-03-05"}])
        await one.resume("everything")
        await one.run_for(HOUR)
        assert [(row.state, row.reason) for row in await one.rows()] == [("skipped", "inactive"), ("accepted", "")]


@pytest.mark.asyncio
async def test_from_stale_facts_nobody_is_called_inactive_and_an_import_lets_it_go_on(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=3) as one:
        await one.run_for(40 * DAY)
        await one.send_to(3)
        await one.run_for(DAY)
        assert await one.states() == {"queued": 3}
        assert any(line["event"] == "facts_stale" for line in one.logs)
        await one.people(2)
        await one.run_for(HOUR)
        assert [(row.state, row.reason) for row in await one.rows()] == [
            ("accepted", ""), ("accepted", ""), ("skipped", "inactive")]


@pytest.mark.asyncio
async def test_a_campaign_applied_again_in_another_order_is_released_in_that_order(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT - HOUR, people=3) as one:
        await one.people(3, first=3, location="FR/Paris")
        await one.people(3, first=6, location="IT/Rome")
        await one.hold("everything")
        await one.send_to(9)
        await one.apply(changed(CAMPAIGN, ORDER))
        await one.resume("everything")
        await one.run_for(2 * HOUR)
        assert sorted(one.post.recipients) == [f"c{number}" for number in range(9)]
        assert await one.states() == {"accepted": 9}
        assert {(row.segment, row.rank) for row in await one.rows()} == {("FR", 0), ("*", 1), ("DE/Berlin", 2)}


@pytest.mark.asyncio
async def test_whoever_moves_while_queued_goes_with_the_new_segment(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT - HOUR, people=4) as one:
        await one.hold("everything")
        await one.send_to(4)
        await one.customers([{"id": "c0", "location": "FR/Paris"}, {"id": "c1", "email": "c1@gmail.com"}])
        async with one.database.transaction() as tx:
            rows = list(await tx.exec_driver_sql("SELECT segment, rank, lane FROM messages ORDER BY id LIMIT 2"))
        assert rows == [("*", 1, "support/other"), ("DE/Berlin", 0, "support/gmail")]
        await one.resume("everything")
        await one.run_for(HOUR)
        assert one.post.recipients.index("c0") > one.post.recipients.index("c3")
        assert b"FR" not in one.post.to("c0@mail.example")[0].body
        assert b", *." in one.post.to("c0@mail.example")[0].body


@pytest.mark.asyncio
async def test_whoever_leaves_the_campaigns_segments_is_skipped_at_release(tmp_path: Path) -> None:
    only = changed(CAMPAIGN, ('"DE/Berlin", "*"', '"DE/Berlin"'))
    async with world(tmp_path, RAMP, now=EIGHT - HOUR, campaign=only, people=2) as one:
        await one.hold("everything")
        await one.send_to(2)
        await one.customers([{"id": "c0", "location": "FR/Paris"}])
        await one.resume("everything")
        await one.run_for(HOUR)
        assert [(row.state, row.reason) for row in await one.rows()] == [("skipped", "no_segment"), ("accepted", "")]


@pytest.mark.asyncio
async def test_a_deferred_message_goes_on_as_it_was_released_though_the_customer_moved(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        one.post.script = lambda _recipient, attempt: deferred() if attempt == 1 else accepted()
        await one.send_to(1)
        await one.run_for(MINUTE)
        await one.customers([{"id": "c0", "location": "FR/Paris", "name": "Ann"}])
        await one.run_for(HOUR)
        first, second = one.post.handed
        assert first.body == second.body


@pytest.mark.asyncio
async def test_a_queue_that_begins_with_thousands_who_will_be_skipped_loses_no_slot(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT - 4 * MINUTE) as one:
        for first in range(0, 3000, 500):
            await one.people(500, first=first)
            await one.send_to(500, first=first)
        await one.people(20, first=5000)
        await one.send_to(20, first=5000)
        for first in range(0, 3000, 500):
            await one.suppress(*(f"c{number}@mail.example" for number in range(first, first + 500)))
        await one.run_until(EIGHT + 5 * MINUTE - 1)
        assert one.post.recipients[-10:] == [f"c{number}" for number in range(5000, 5010)]
        assert (await one.states())["skipped"] >= 2999


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_nothing_of_an_expansion_is_released_before_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expand, "PAGE", 500)
    async with world(tmp_path, RAMP, now=EIGHT) as one:
        for first in range(0, 1200, 400):
            await one.people(400, first=first)
        begun = await expand.begin(one.works, "delay")
        progress = await expand.step(one.works, begun)
        assert not progress.finished
        one.works.changed()
        await one.run_for(HOUR)
        assert one.post.handed == []
        await one.crash()
        await one.restart()               # takes it up by itself, where it was
        assert sum((await one.states()).values()) == 1200
        await one.run_for(HOUR)
        assert len(one.post.handed) > 100
        await one.audience()
        rows = await one.rows()
        assert len(rows) == len({row.customer for row in rows}) == 1200


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_others_are_sent_while_an_audience_is_being_queued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expand, "PAGE", 100)
    async with world(tmp_path, RAMP, now=EIGHT) as one:
        await one.people(300)
        await one.send_to(300)
        await one.apply(changed(CAMPAIGN, ('"delay"', '"news"')))
        progress = expand.Progress(await expand.begin(one.works, "news"), finished=False)
        while not progress.finished:
            before = len(one.post.handed)
            progress = await expand.step(one.works, progress.expansion)
            await one.run_for(10 * MINUTE)
            assert len(one.post.handed) > before
        assert progress.expansion.accepted == 300


@pytest.mark.asyncio
async def test_a_canceled_expansion_ends_and_its_messages_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expand, "PAGE", 500)
    async with world(tmp_path, RAMP, now=EIGHT) as one:
        for first in range(0, 1200, 400):
            await one.people(400, first=first)
        progress = await expand.step(one.works, await expand.begin(one.works, "delay"))
        await one.cancel()
        progress = await expand.step(one.works, progress.expansion)
        await one.run_for(HOUR)
        assert progress.finished
        assert set(await one.states()) == {"skipped"}


@pytest.mark.asyncio
async def test_segments_that_share_a_rank_after_a_new_order_send_nothing_twice(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT - HOUR, people=3) as one:
        await one.people(3, first=3, location="FR/Paris")
        await one.hold("everything")
        await one.send_to(3)                                  # Berlin, of rank 0 then
        await one.apply(changed(CAMPAIGN, ORDER))
        await one.send_to(3, first=3)                         # France, of rank 0 now
        await one.resume("everything")
        await one.run_for(2 * HOUR)
        assert sorted(one.post.recipients) == [f"c{number}" for number in range(6)]
        assert one.post.recipients[:3] == ["c3", "c4", "c5"]


@pytest.mark.asyncio
async def test_segments_that_share_a_rank_for_good_send_nothing_twice(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=3) as one:
        await one.people(3, first=3, location="FR/Paris")
        one.post.script = lambda _r, attempt: deferred() if attempt == 1 else accepted()
        await one.send_to(3)                                  # Berlin, of rank 0 then: they keep that version
        await one.run_for(MINUTE)
        await one.apply(changed(CAMPAIGN, ORDER))
        await one.hold("everything")
        await one.send_to(3, first=3)
        await one.run_for(HOUR)
        await one.resume("everything")
        await one.run_for(2 * HOUR)
        assert await one.states() == {"accepted": 6}
        assert [len(one.post.copies(f"c{number}@mail.example")) for number in range(6)] == [1] * 6


@pytest.mark.asyncio
async def test_a_copy_of_what_was_perhaps_sent_counts_for_the_caps_of_others_not_its_own(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP + CAP.format(1), now=EIGHT, people=1) as one:
        one.post.script = lambda _recipient, attempt: in_doubt() if attempt == 1 else accepted()
        await one.send({"customer": "c0", "key": "k0"})
        await one.run_for(10 * MINUTE)
        await one.send({"customer": "c0", "key": "k1"})
        await one.run_for(HOUR)
        assert [(row.state, row.doubts) for row in await one.rows()] == [("accepted", 1), ("skipped", 0)]
