"""Sending through the operations: requests row by row, and a campaign's whole audience in durable chunks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.exc import OperationalError
from support.offices import Desk, faulty, rows
from support.world import DAY, World, world

from dispatcher.engine import expand
from dispatcher.engine.works import Works
from dispatcher.store.campaigns import Expansion


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, people=10) as it:
        yield it


@pytest.mark.asyncio
async def test_refused_requests_are_faults_of_their_rows_and_the_good_ones_stand(one: World) -> None:
    desk = Desk(one)
    result = await desk("send.requests", campaign="delay", rows=rows(
        {"customer": "c0"}, {"customer": "c0"}, {"customer": "c0", "data": {"other": 1}},
        {"customer": "c1", "campaign": "nothing"}, {"customer": "nobody"}, {"customer": "c2", "priority": "soon"},
        {"customer": {"id": "new", "email": "new@mail.example", "name": "New", "last_active_at": "2026-03-01"}},
    ))
    assert (result["queued"], result["duplicate"], result["skipped"]) == (2, 1, {"unknown_customer": 1})
    assert faulty(result) == [4, 5, 7]
    await one.run_for(DAY)
    assert sorted(one.post.recipients) == ["c0", "new"]


@pytest.mark.asyncio
async def test_the_same_file_again_is_all_duplicates(one: World) -> None:
    desk = Desk(one)
    many = rows(*({"customer": f"c{number % 10}", "key": f"k{number}"} for number in range(1_000)))
    assert (await desk("send.requests", campaign="delay", rows=many))["queued"] == 1_000
    again = await desk("send.requests", campaign="delay", rows=many)
    assert (again["queued"], again["duplicate"], again["faults"]) == (0, 1_000, [])


@pytest.mark.asyncio
async def test_a_canceled_campaign_takes_nothing_more(one: World) -> None:
    desk = Desk(one)
    await desk("campaign.cancel", id="delay", reason="solved")
    result = await desk("send.requests", campaign="delay", rows=rows({"customer": "c0"}))
    assert faulty(result) == [2]
    assert "canceled" in result["faults"][0]["reason"]


@pytest.mark.asyncio
@pytest.mark.parametrize("daemon", [True, False])
async def test_an_audience_is_put_on_the_queue_chunk_by_chunk(one: World, *, daemon: bool) -> None:
    desk = Desk(one, daemon=daemon)
    await one.people(1_200)
    number = (await desk("send.audience", campaign="delay"))["expansion"]
    steps = [await desk("send.step", expansion=number)]
    while not steps[-1]["finished"]:
        steps.append(await desk("send.step", expansion=number))
    assert (steps[-1]["accepted"], steps[-1]["duplicate"], steps[-1]["queued"]) == (1_200, 0, 1_200)
    assert await desk("send.step", expansion=number) == steps[-1]     # asked once more: the same answer
    again = (await desk("send.audience", campaign="delay"))["expansion"]
    last = await desk("send.step", expansion=again)
    while not last["finished"]:
        last = await desk("send.step", expansion=again)
    assert (last["accepted"], last["duplicate"]) == (0, 1_200)
    assert (last["skipped_now"], last["before"]) == ({}, {"queued": 1_200})
    one.works.came.clear()      # as after a restart in the middle of it: nobody knows, and nothing is made up
    last = await desk("send.step", expansion=again)
    assert (last["duplicate"], last["skipped_now"], last["before"]) == (1_200, None, None)


@pytest.mark.asyncio
async def test_what_audiences_came_to_is_kept_of_the_last_ones_alone(
    one: World, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expand, "_REMEMBERED", 2)
    desk = Desk(one, daemon=False)
    for _ in range(4):
        await desk("send.step", expansion=(await desk("send.audience", campaign="delay"))["expansion"])
    assert list(one.works.came) == [3, 4]


@pytest.mark.asyncio
async def test_a_daemon_finishes_an_audience_whose_command_went_away(one: World) -> None:
    desk = Desk(one)
    await one.people(1_200)
    await desk("send.audience", campaign="delay")
    await one.run_for(0)
    assert (await desk("status"))["messages"]["queued"] == 1_200
    assert (await desk("status"))["blocked"] == []


@pytest.mark.asyncio
async def test_a_daemon_goes_on_with_an_audience_when_the_store_takes_it_again(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, whole, fails = Desk(one), expand.step, iter([False, True])

    async def step(works: Works, which: Expansion) -> expand.Progress:
        if next(fails, False):
            raise OperationalError("COMMIT", {}, Exception("no room"))
        return await whole(works, which)

    monkeypatch.setattr(expand, "step", step)
    monkeypatch.setattr(expand, "PAGE", 500)
    await one.people(1_200)
    await desk("send.audience", campaign="delay")
    await one.run_for(0)
    assert (await desk("status"))["messages"]["queued"] == 500
    await one.run_for(2_000)
    assert (await desk("status"))["messages"]["queued"] == 1_200


@pytest.mark.asyncio
async def test_an_audience_of_nobody_knows_what_is_refused(one: World) -> None:
    desk = Desk(one)
    assert (await desk.refused("send.audience", campaign="nothing")).kind == "unknown"
    assert (await desk.refused("send.step", expansion=77)).kind == "unknown"


@pytest.mark.asyncio
async def test_nothing_is_changed_while_the_daemon_stops_and_questions_are_answered(one: World) -> None:
    desk = Desk(one)
    one.works.closing = True
    refusal = await desk.refused("send.requests", campaign="delay", rows=rows({"customer": "c0"}))
    assert (refusal.kind, "stopping" in refusal.message) == ("failed", True)
    assert (await desk("status"))["daemon"]["draining"] is True
    one.works.closing = False
