"""What follows from each outcome: for the message, its address, its lane; and for nobody else."""

from itertools import pairwise
from pathlib import Path

import pytest
from support.post import Act, accepted, busy, deferred, in_doubt, rejected, unreachable, wrong_setup
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, MINUTE, SETTINGS, changed, world

from channels.contract import Outcome, Result, Trouble

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
TEN_A_SLOT = RAMP      # 288 slots a day
OTHERS = """
[senders.news]
from = "Acme <news@acme.example>"
ramp = "careful"
"""
EIGHT = at("2026-03-02 08:00")


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_deferred_messages_come_back_through_the_ramp_on_schedule_until_they_are_given_up(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        one.post.script = lambda _recipient, _attempt: deferred()
        await one.send_to(1)
        await one.run_for(5 * DAY)
        gaps = [(later.at - earlier.at) / MINUTE
                for earlier, later in zip(one.post.handed, one.post.handed[1:], strict=False)]
        for gap, planned in zip(gaps, [30, 30, 60, 120, *[180] * 100], strict=False):
            assert planned * 0.9 <= gap <= planned * 1.1 + 5     # a tenth either way, and then the next slot
        assert len({handed.body for handed in one.post.handed}) == 1
        assert one.post.handed[-1].at - EIGHT <= 4 * DAY
        [row] = await one.rows()
        assert (row.state, row.reason, row.attempts) == ("rejected", "gave_up", len(one.post.handed))


@pytest.mark.asyncio
async def test_every_retry_counts_against_the_allowance(tmp_path: Path) -> None:
    settings = changed(RAMP, ("start = 2880", "start = 3"))
    async with world(tmp_path, settings, now=at("2026-03-02 00:00"), people=3) as one:
        one.post.script = lambda _recipient, _attempt: deferred()
        await one.send_to(3)
        await one.run_for(DAY)
        assert len(one.post.handed) == 3


@pytest.mark.asyncio
async def test_what_expires_before_its_next_attempt_is_skipped(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=2) as one:
        one.post.script = lambda _recipient, _attempt: deferred()
        await one.send({"customer": "c0", "expires_at": "2026-03-02T08:20:00Z"}, {"customer": "c1"})
        await one.run_for(MINUTE * 10)
        assert [(row.state, row.reason) for row in await one.rows()] == [("skipped", "expired"), ("queued", "deferred")]


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_message_in_doubt_is_sent_again_byte_for_byte(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        one.post.script = lambda _recipient, attempt: in_doubt() if attempt == 1 else accepted()
        await one.send_to(1)
        await one.run_for(MINUTE)
        await one.customers([{"id": "c0", "name": "Somebody Else"}])
        await one.apply(changed(CAMPAIGN, ("Late,", "Later,")))
        await one.run_for(HOUR)
        first, second = one.post.copies("c0@mail.example")
        assert first == second
        [row] = await one.rows()
        assert (row.state, row.attempts, row.doubts) == ("accepted", 2, 1)


@pytest.mark.asyncio
async def test_a_message_in_doubt_goes_to_a_new_address_in_new_words(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        one.post.script = lambda _recipient, _attempt: in_doubt()
        await one.send_to(1)
        await one.run_for(MINUTE)
        await one.customers([{"id": "c0", "name": "Ann", "email": "ann@new.example"}])
        await one.run_for(HOUR)
        assert [handed.recipient for handed in one.post.handed][:2] == ["c0@mail.example", "ann@new.example"]
        assert b"Dear Ann" in one.post.handed[1].body


@pytest.mark.asyncio
async def test_in_doubt_hold_waits_for_a_person(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP + 'in_doubt = "hold"\n', now=EIGHT, people=2) as one:
        one.post.script = lambda recipient, _attempt: in_doubt() if recipient.startswith("c0") else accepted(takes=HOUR)
        await one.send_to(2)
        await one.run_for(10 * MINUTE)
        await one.crash()      # the other one is under way
        await one.restart()
        await one.run_for(DAY)
        assert await one.states() == {"in_doubt": 2}
        assert len(one.post.handed) == 2


@pytest.mark.asyncio
async def test_an_unreachable_server_makes_its_lane_wait_and_no_other(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=20) as one:
        await one.customers([{"id": f"g{number}", "email": f"g{number}@gmail.com", "location": "DE/Berlin", "name": "G",
                              "last_active_at": "2026-03-01"} for number in range(20)])
        gone = True
        one.post.script = lambda recipient, _attempt: (
            unreachable() if gone and recipient.startswith("c") else accepted())
        await one.send_to(20)
        await one.send(*({"customer": f"g{number}"} for number in range(20)))
        await one.run_for(MINUTE)
        assert one.post.recipients.count("c0") == 1                         # one tried, and the rest went back
        assert [name for name in one.post.recipients if name.startswith("c")] == ["c0"]
        found = await one.states()
        assert (found["queued"], found["waiting"]) == (9 + 10 + 10, 1)
        await one.run_for(9 * MINUTE)
        assert sum(name.startswith("g") for name in one.post.recipients) == 20
        gone = False
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 40}


@pytest.mark.asyncio
async def test_an_unreachable_server_is_asked_ever_more_rarely(tmp_path: Path) -> None:
    settings = changed(RAMP, ('every = "5m"', 'every = "1s"'), ("start = 2880", "ceiling = 86400\nstart = 86400"))
    async with world(tmp_path, settings, now=EIGHT, people=400) as one:
        one.post.script = lambda _recipient, _attempt: unreachable()
        await one.send_to(400)
        await one.run_for(20 * MINUTE)
        gaps = [round((later.at - earlier.at) / 1000)
                for earlier, later in zip(one.post.handed, one.post.handed[1:], strict=False)]
        asked = [5, 10, 20, 40, 80, 160, 300, 300]      # each until the next slot of a second
        assert all(wait <= gap <= wait + 1 for gap, wait in zip(gaps, asked, strict=False)), gaps


@pytest.mark.asyncio
async def test_trouble_with_the_set_up_holds_the_lane_with_its_reason_until_a_person_resumes(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=20) as one:
        one.post.script = lambda _recipient, attempt: wrong_setup() if attempt == 1 else accepted()
        await one.send_to(20)
        await one.run_for(2 * HOUR)
        assert one.post.recipients == ["c0"]
        said = await one.plan()
        assert said.unplaced[0].why == "held: the sender's set-up must be looked at: TLS is required and not offered"
        one.post.script = lambda _recipient, _attempt: accepted()
        await one.resume("lane", "support/other")
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 20}


@pytest.mark.asyncio
async def test_a_421_halves_what_the_next_slots_release_and_it_climbs_back(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=600) as one:
        one.post.script = lambda recipient, attempt: (
            busy() if recipient.startswith("c3@") and attempt == 1 else accepted())
        await one.send_to(500)
        await one.send_to(100, first=500)
        await one.run_for(6 * HOUR)
        async with one.database.transaction() as tx:
            sizes = [row[0] for row in await tx.exec_driver_sql("SELECT size FROM batches ORDER BY slot")]
        assert sizes[:2] == [10, 5]
        # even shares of an allowance that grows again: neighbours may differ by one the other way
        assert all(later >= earlier - 1 for earlier, later in pairwise(sizes[1:-1]))
        assert sizes[-2] > sizes[1]
        assert 10 in sizes[1:]


@pytest.mark.asyncio
@pytest.mark.parametrize(("code", "detail", "reply", "shown"), [
    ("550", "550 Mail content denied", "550 Mail content denied", "550 Mail content denied"),
    ("421 4.7.0", "421 4.7.0 too many (at EHLO)", "421 4.7.0 too many", "421 4.7.0 too many"),
    ("421", "421 too many", "", "421 too many"),
    ("421", "too many", "", "421 too many"),
])
async def test_why_a_lane_is_slow_has_the_reply_once_with_its_own_code(
    tmp_path: Path, code: str, detail: str, reply: str, shown: str,
) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        one.post.script = lambda _recipient, _attempt: Act(
            Outcome(Result.DEFERRED, code, detail, Trouble.BUSY, reply=reply))
        await one.send_to(1)
        await one.run_for(MINUTE)
        assert one.works.reputation_of("support/other").cause == f"the server asks for less: {shown}"


@pytest.mark.asyncio
async def test_many_421s_in_one_slot_halve_it_once(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=100) as one:
        one.post.script = lambda _recipient, _attempt: busy() if one.now < EIGHT + 5 * MINUTE else accepted()
        await one.send_to(100)
        await one.run_for(10 * MINUTE - 1)
        assert len(one.post.handed) == 15


@pytest.mark.asyncio
async def test_a_bad_address_is_suppressed_for_every_campaign(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=2) as one:
        await one.apply(changed(CAMPAIGN, ('"delay"', '"other"')))
        one.post.script = lambda recipient, _attempt: rejected(bad_address=recipient.startswith("c0"))
        await one.send_to(2)
        await one.run_for(10 * MINUTE)
        await one.send_to(2, campaign="other")
        await one.run_for(10 * MINUTE)
        assert [(row.campaign, row.customer, row.state, row.reason) for row in await one.rows()] == [
            ("delay", "c0", "rejected", ""), ("delay", "c1", "rejected", ""),
            ("other", "c0", "skipped", "suppressed"), ("other", "c1", "rejected", ""),
        ]


@pytest.mark.asyncio
async def test_a_message_that_cannot_be_rendered_is_rejected_with_its_reason_and_the_rest_flow(tmp_path: Path) -> None:
    poison = changed(CAMPAIGN, ("{{ segment }}", "{{ 100 // data.parts }}"))
    async with world(tmp_path, RAMP, now=EIGHT, campaign=poison, people=10) as one:
        await one.send(*({"customer": f"c{number}", "data": {"parts": number % 5}} for number in range(10)))
        await one.run_for(10 * MINUTE)
        assert await one.states() == {"accepted": 8, "rejected": 2}
        rejects = await one.rows(state="rejected")
        assert [(row.customer, row.reason) for row in rejects] == [("c0", "unrenderable"), ("c5", "unrenderable")]
        async with one.database.transaction() as tx:
            details = [row[0] for row in await tx.exec_driver_sql(
                "SELECT detail FROM attempts WHERE outcome = 'rejected'")]
            assert list(await tx.exec_driver_sql("SELECT spent, unsent, rejected FROM steps")) == [(10, 2, 0)]
        assert all("ivision" in detail for detail in details), details


@pytest.mark.asyncio
async def test_a_channel_that_breaks_its_word_leaves_the_message_in_doubt(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=3) as one:
        def script(recipient: str, attempt: int):
            if recipient.startswith("c1") and attempt == 1:
                raise ZeroDivisionError
            return accepted()
        one.post.script = script
        await one.send_to(3)
        await one.run_for(HOUR)
        assert [(row.state, row.doubts) for row in await one.rows()] == [
            ("accepted", 0), ("accepted", 1), ("accepted", 0)]


@pytest.mark.asyncio
async def test_a_server_that_never_answers_stops_its_own_lane_only(tmp_path: Path) -> None:
    campaign = changed(CAMPAIGN, ('"delay"', '"news"'), ('"support"', '"news"'))
    async with world(tmp_path, RAMP + OTHERS, now=EIGHT, people=60) as one:
        await one.apply(campaign)
        hanging = {"support@acme.example"}
        act = one.post.act

        def hang(sender, envelope):
            one.post.script = lambda _r, _a: accepted(takes=None) if sender in hanging else accepted()
            return act(sender, envelope)
        one.post.act = hang
        await one.send_to(60)
        await one.send_to(60, campaign="news")
        await one.run_for(HOUR)
        by_sender = {name: sum(handed.sender == name for handed in one.post.handed)
                     for name in ("support@acme.example", "news@acme.example")}
        assert by_sender == {"support@acme.example": 10, "news@acme.example": 60}     # ten connections
        assert len(one.works.underway) == 10 + 10     # in flight, and the next slot's: no heap


@pytest.mark.asyncio
async def test_an_outcome_with_a_long_detail_is_kept(tmp_path: Path) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=1) as one:
        one.post.script = lambda _r, _a: Act(Outcome(Result.REJECTED, "550", "x" * 500))
        await one.send_to(1)
        await one.run_for(MINUTE)
        async with one.database.transaction() as tx:
            [[detail]] = list(await tx.exec_driver_sql("SELECT detail FROM attempts"))
        assert detail == "x" * 500


@pytest.mark.asyncio
async def test_what_was_perhaps_sent_and_is_not_tried_again_ends_in_doubt_and_is_never_called_skipped(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, RAMP, now=EIGHT, people=2) as one:
        one.post.script = lambda recipient, _attempt: in_doubt() if recipient.startswith("c0") else deferred()
        await one.send_to(2)
        await one.run_for(MINUTE * 10)
        await one.cancel()
        await one.run_for(HOUR)
        ended = [(row.state, row.reason) for row in await one.rows()]
        assert ended == [("in_doubt", "canceled"), ("skipped", "canceled")]
