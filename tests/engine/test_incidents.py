"""Updates of one incident: a later one overtakes what has not been sent; the last word goes to who heard an earlier."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.offices import Desk
from support.post import accepted, deferred, in_doubt
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, MINUTE, SETTINGS, World, changed, world

from dispatcher.engine import expand
from dispatcher.intake.campaign_file import read_campaign

BUSY = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "08:00-20:00"\nstart = 8640'))
EIGHT = at("2026-03-02 08:00")


def update(number: int, *, closes: bool = False, more: str = "", **audience: str) -> str:
    """The text of an update: u1, u2, ... of the flood."""
    thread = f'incident = "flood"\nsequence = {number}\n' + ("closes = true\n" if closes else "") + more
    where = "".join(f'[audience]\nwhere = {{ {name} = ["{value}"] }}\n' for name, value in audience.items())
    return changed(CAMPAIGN, ('"delay"', f'"u{number}"'), ("segment_by", f"{thread}segment_by"),
                   ("[email]", f"{where}[email]"), ("Late", f"Update {number}"))


LAST = update(9, closes=True)


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    """A batch of 60 of the first update is under way: 24 have left, one every five seconds."""
    async with world(tmp_path, BUSY, campaign=update(1), people=150) as it:
        await it.send_to(150, campaign="u1")
        await it.run_until(at("2026-03-02 08:01:58"))
        assert len(it.post.handed) == 24
        yield it


async def ends(one: World) -> dict[tuple[str, str, str], int]:
    """How many messages of each campaign ended how, and why."""
    found: dict[tuple[str, str, str], int] = {}
    for row in await one.rows():
        place = (row.campaign, row.state, row.reason)
        found[place] = found.get(place, 0) + 1
    return found


def heard(one: World, customer: str) -> list[str]:
    """The updates that a customer got, in order."""
    taken = (handed.body.decode() for handed in one.post.to(f"{customer}@mail.example") if handed.act.took)
    return [body.partition("Subject: Update ")[2][0] for body in taken]


# What a later update overtakes

@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_an_update_stops_what_is_released_and_queued_of_the_one_before_for_the_same_customers(one: World) -> None:
    await one.apply(update(2))
    desk = Desk(one)
    rows = [{"line": line, "values": {"customer": f"c{line}"}} for line in range(100)]
    await desk("send.requests", campaign="u2", rows=rows)
    assert await ends(one) == {("u1", "accepted", ""): 24, ("u1", "skipped", "superseded"): 76,
                               ("u1", "queued", ""): 50, ("u2", "queued", ""): 100}
    await one.run_for(HOUR)
    assert await ends(one) == {("u1", "accepted", ""): 74, ("u1", "skipped", "superseded"): 76,
                               ("u2", "accepted", ""): 100}
    assert [heard(one, name) for name in ("c0", "c23", "c24", "c99", "c100")] == [
        ["1", "2"], ["1", "2"], ["2"], ["2"], ["1"]]


@pytest.mark.asyncio
async def test_while_a_later_update_is_put_on_the_queue_earlier_ones_release_nothing(one: World) -> None:
    await one.apply(update(2))
    await expand.begin(one.works, "u2")
    assert await one.states() == {"accepted": 24, "queued": 126}     # given back: it may be theirs yet
    await one.run_for(HOUR)
    assert len(one.post.handed) == 24
    blocked = (await Desk(one)("status"))["blocked"]
    assert blocked == [{"campaign": "u1", "queued": 126, "why":
                        "the audience of a later update of its incident, u2, is still being put on the queue"}]
    await one.audience("u2")
    await one.run_for(2 * HOUR)
    assert await ends(one) == {("u1", "accepted", ""): 24, ("u1", "skipped", "superseded"): 126,
                               ("u2", "accepted", ""): 150}
    assert [heard(one, name) for name in ("c0", "c149")] == [["1", "2"], ["2"]]


@pytest.mark.asyncio
async def test_whom_a_later_update_is_not_for_still_gets_the_earlier_one(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, campaign=update(1), now=EIGHT, people=10) as one:
        await one.people(10, first=10, location="DE/Hamburg")
        await one.apply(update(2, location="DE/Berlin"))
        await one.apply(changed(update(3), ('"DE/Berlin", "*"', '"DE/Hamburg"')))
        await one.send_to(20, campaign="u1")
        await one.audience("u2")
        await one.send_to(5, campaign="u3")      # who are in none of its segments
        await one.run_for(HOUR)
        assert await ends(one) == {
            ("u1", "accepted", ""): 10, ("u1", "skipped", "superseded"): 10, ("u2", "accepted", ""): 10,
            ("u3", "skipped", "no_segment"): 5}


@pytest.mark.asyncio
async def test_an_update_that_comes_after_a_later_one_is_closed_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, campaign=update(1), people=2) as one:
        await one.apply(update(2))
        await one.send_to(1, campaign="u2")
        receipts = await one.send({"campaign": "u1", "customer": "c0"}, {"campaign": "u1", "customer": "c1"})
        assert [(receipt.answer, receipt.reason) for receipt in receipts] == [("skipped", "superseded"), ("queued", "")]


@pytest.mark.asyncio
@pytest.mark.parametrize(("act", "end"), [
    (deferred(), ("skipped", "superseded")), (in_doubt(), ("in_doubt", "superseded")),
])
async def test_a_retry_of_an_overtaken_update_is_not_made(tmp_path: Path, act: Any, end: tuple[str, str]) -> None:
    async with world(tmp_path, BUSY, campaign=update(1), now=EIGHT, people=2) as one:
        one.post.script = lambda _recipient, attempt: act if attempt == 1 else accepted()
        await one.send_to(2, campaign="u1")
        await one.run_for(10 * MINUTE)
        await one.apply(update(2))
        one.post.script = lambda _recipient, _attempt: accepted()
        await one.send_to(1, campaign="u2")
        await one.run_for(DAY)
        rows = {(row.campaign, row.customer): (row.state, row.reason) for row in await one.rows()}
        assert rows == {("u1", "c0"): end, ("u1", "c1"): ("accepted", ""), ("u2", "c0"): ("accepted", "")}


@pytest.mark.asyncio
async def test_what_was_in_flight_when_it_was_overtaken_and_comes_back_is_not_sent_again(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, campaign=update(1), now=EIGHT, people=1) as one:
        one.post.script = lambda _recipient, attempt: deferred(takes=MINUTE) if attempt == 1 else accepted()
        await one.send_to(1, campaign="u1")
        await one.run_for(10_000)
        await one.apply(update(2))
        await one.send_to(1, campaign="u2")
        assert await one.states() == {"sending": 1, "queued": 1}
        await one.run_for(DAY)
        assert await ends(one) == {("u1", "skipped", "superseded"): 1, ("u2", "accepted", ""): 1}


@pytest.mark.asyncio
async def test_a_canceled_update_overtakes_nothing_any_more(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, campaign=update(1), people=2) as one:
        await one.apply(update(2))
        await one.send_to(2, campaign="u2")
        await one.cancel("u2")
        await one.send_to(2, campaign="u1")
        await one.run_until(at("2026-03-02 09:00"))
        assert [heard(one, name) for name in ("c0", "c1")] == [["1"], ["1"]]


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_crash_in_the_middle_of_an_expansion_lets_nobody_get_the_earlier_update_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expand, "PAGE", 10)
    async with world(tmp_path, BUSY, campaign=update(1), people=60) as one:
        await one.send_to(60, campaign="u1")
        await one.run_until(at("2026-03-02 08:00:58"))
        assert len(one.post.handed) == 12
        await one.apply(update(2))
        begun = await expand.begin(one.works, "u2")
        await expand.step(one.works, begun)
        await one.crash()
        await one.open()
        assert await one.states() == {"accepted": 12, "queued": 42 + 10, "skipped": 6}
        await one.start()            # it recovers, and finishes what the command had begun
        await one.run_for(HOUR)
        assert [state for (campaign, state, _) in await ends(one) if campaign == "u2"] == ["accepted"]
        for number in range(60):
            assert heard(one, f"c{number}")[-1] == "2"
        assert sum("1" in heard(one, f"c{number}") for number in range(60)) == 12


@pytest.mark.asyncio
async def test_the_daemon_itself_goes_on_with_an_expansion_and_stops_what_that_overtakes(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, campaign=update(1), people=60) as one:
        await one.send_to(60, campaign="u1")
        await one.run_until(at("2026-03-02 08:00:58"))
        await one.apply(update(2))
        desk = Desk(one)
        await desk("send.audience", campaign="u2")
        await one.run_for(HOUR)
        assert await ends(one) == {("u1", "accepted", ""): 12, ("u1", "skipped", "superseded"): 48,
                                   ("u2", "accepted", ""): 60}


# The last word

@pytest.mark.asyncio
async def test_whoever_heard_of_it_hears_that_it_is_over_before_new_people(tmp_path: Path) -> None:
    slow = changed(BUSY, ("start = 8640", "start = 1440"))      # ten in a slot
    async with world(tmp_path, slow, campaign=update(1), now=EIGHT, people=40) as one:
        await one.send_to(10, first=30, campaign="u1")
        await one.run_for(5 * MINUTE)
        await one.apply(LAST)
        await one.audience("u9")
        priorities = {row.priority for row in await one.rows(campaign="u9") if int(row.customer[1:]) >= 30}
        assert priorities == {1}
        before = len(one.post.handed)
        await one.run_for(10 * MINUTE)
        assert {int(name[1:]) for name in one.post.recipients[before:before + 10]} == set(range(30, 40))
        await one.run_for(HOUR)
        assert [heard(one, name) for name in ("c30", "c0")] == [["1", "9"], ["9"]]


@pytest.mark.asyncio
async def test_the_last_word_reaches_them_wherever_and_however_idle_they_are_by_now(tmp_path: Path) -> None:
    capped = BUSY + '[frequency]\nservice = { most = 1, within = "40d" }\n'
    async with world(tmp_path, capped, campaign=update(1), now=EIGHT, people=6) as one:
        await one.send_to(3, campaign="u1")
        await one.run_for(HOUR)
        await one.apply(update(9, closes=True, location="DE/Berlin"))
        one.clock.jump(one.now + 35 * DAY)      # all are inactive by now
        await one.people(2, first=2, location="FR")
        await one.customers([{"id": "new", "email": "new@mail.example", "last_active_at": "2026-04-05"}])
        await one.audience("u9")
        await one.run_for(HOUR)
        rows = {row.customer: (row.state, row.reason) for row in await one.rows(campaign="u9")}
        assert rows == {"c0": ("accepted", ""), "c1": ("accepted", ""), "c2": ("accepted", ""),
                        "c4": ("skipped", "inactive"), "c5": ("skipped", "inactive")}


@pytest.mark.asyncio
async def test_what_people_have_stopped_keeps_the_last_word_back_too(tmp_path: Path) -> None:
    quiet = BUSY + '[quiet]\nhours = "09:30-10:00"\n'
    async with world(tmp_path, quiet, campaign=update(1), now=EIGHT, people=4) as one:
        await one.send_to(4, campaign="u1")
        await one.run_until(at("2026-03-02 09:31"))
        await one.apply(update(9, closes=True))
        await one.suppress("c0@mail.example")
        await one.suppress("c1@mail.example", reason="unsubscribe")
        await one.send({"campaign": "u9", "customer": "c2", "expires_at": "2026-03-02T09:45:00Z"})
        await one.audience("u9")
        await one.run_until(at("2026-03-02 09:59"))
        assert await one.states() == {"accepted": 4, "skipped": 3, "waiting": 1}
        await one.run_for(HOUR)
        rows = {row.customer: (row.state, row.reason) for row in await one.rows(campaign="u9")}
        assert rows == {"c0": ("skipped", "suppressed"), "c1": ("skipped", "unsubscribed"),
                        "c2": ("skipped", "expired"), "c3": ("accepted", "")}


@pytest.mark.asyncio
async def test_once_it_is_over_nobody_is_told_that_it_has_begun(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, campaign=update(1), people=3) as one:
        await one.apply(LAST)
        await one.send_to(2, campaign="u1")
        await one.send_to(1, campaign="u9")      # c0 alone
        receipts = await one.send({"campaign": "u1", "customer": "c2"})
        assert [(receipt.answer, receipt.reason) for receipt in receipts] == [("skipped", "superseded")]
        await one.run_until(at("2026-03-02 09:00"))
        assert [heard(one, name) for name in ("c0", "c1", "c2")] == [["9"], [], []]
        assert {row.reason for row in await one.rows(campaign="u1")} == {"superseded"}


@pytest.mark.asyncio
async def test_the_last_word_to_anybody_stops_what_is_on_its_way_to_all(one: World) -> None:
    await one.apply(LAST)
    await one.send_to(1, first=149, campaign="u9")
    await one.run_for(HOUR)
    assert await ends(one) == {("u1", "accepted", ""): 24, ("u1", "skipped", "superseded"): 126,
                               ("u9", "accepted", ""): 1}


@pytest.mark.asyncio
async def test_the_same_in_a_preview(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, campaign=update(1), now=EIGHT, people=2) as one:
        desk = Desk(one)
        await one.send_to(1, campaign="u1")
        await one.run_for(HOUR)
        await one.apply(update(9, closes=True, location="FR"))
        told = [(await desk("campaign.preview", id="u9", customer=name))["verdict"] for name in ("c0", "c1")]
        assert told == ["send", "skip"]


# Their order

def candidate(text: str, folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    (folder / "campaign.toml").write_text(text)
    loaded = read_campaign(folder)
    return {"campaign": loaded.content, "digest": loaded.digest}


@pytest.mark.asyncio
@pytest.mark.parametrize(("text", "told"), [
    (changed(update(1), ('"u1"', '"other"')), "sequence: 1 is that of u1 in the incident flood already"),
    (changed(update(5), ("sequence = 5", "sequence = 9")), "sequence: 9 is that of u9 in the incident flood already"),
    (changed(update(5), ("sequence = 5", "sequence = 10")), "the incident flood is closed by u9 (sequence 9)"),
    (update(0, closes=True), "closes: u1 (sequence 1) comes after it in the incident flood"),
])
async def test_two_updates_of_one_number_and_any_after_the_last_are_refused(
    tmp_path: Path, text: str, told: str
) -> None:
    async with world(tmp_path, BUSY, campaign=update(1)) as one:
        desk = Desk(one)
        await desk("campaign.apply", **candidate(LAST, tmp_path / "last"))
        refusal = await desk.refused("campaign.apply", **candidate(text, tmp_path / "elsewhere"))
        assert refusal.kind == "usage"
        assert told in refusal.details[0]
        await desk("campaign.apply", **candidate(update(5), tmp_path / "five"))     # between them there is room
        await desk("campaign.cancel", id="u9", reason="not yet")
        ten = changed(update(5), ('"u5"', '"u10"'), ("sequence = 5", "sequence = 10"))
        await desk("campaign.apply", **candidate(ten, tmp_path / "ten"))


@pytest.mark.asyncio
async def test_a_last_word_that_some_might_not_hear_is_warned_of(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, campaign=update(1)) as one:
        text = changed(LAST, ('"DE/Berlin", "*"', '"DE/Berlin"'))
        [warning] = (await Desk(one)("campaign.apply", **candidate(text, tmp_path / "last")))["warnings"]
        assert 'has no segment "*"' in warning


@pytest.mark.asyncio
async def test_a_new_version_of_an_update_keeps_its_place(tmp_path: Path) -> None:
    async with world(tmp_path, BUSY, campaign=update(1), people=3) as one:
        desk = Desk(one)
        await one.send_to(3, campaign="u1")
        again = changed(update(1), ("Dear", "Hello"))
        assert (await desk("campaign.apply", **candidate(again, tmp_path / "again")))["version"] == 2
        await one.run_until(at("2026-03-02 09:00"))
        assert await ends(one) == {("u1", "accepted", ""): 3}
