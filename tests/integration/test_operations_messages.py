"""Messages: listed in pages, shown with their story, settled by a person."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.offices import Desk
from support.post import Act, accepted, deferred, in_doubt
from support.world import DAY, HOUR, SETTINGS, World, changed, world

from dispatcher.operations import messages

HOLDING = changed(SETTINGS, ('ramp = "careful"\n', 'ramp = "careful"\nin_doubt = "hold"\n'))


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, HOLDING, people=30) as it:
        yield it


@pytest.mark.asyncio
async def test_the_list_pages_through_every_message_once(one: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "STRIDE", 4)
    desk = Desk(one)
    await one.send_to(30)
    await one.send({"customer": "nobody"})
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = await desk("messages.list", after=after, limit=7)
        seen += [row["id"] for row in page["messages"]]
        after = page["next"]
    assert seen == sorted(set(seen))
    assert len(seen) == 31
    skipped = await desk("messages.list", state="skipped", reason="unknown_customer")
    assert [row["customer"] for row in skipped["messages"]] == ["nobody"]
    assert skipped["next"] is None


@pytest.mark.asyncio
async def test_the_list_is_cut_by_every_filter(one: World) -> None:
    desk = Desk(one)
    await one.send_to(30)
    for wanted, count in (({"campaign": "delay"}, 30), ({"campaign": "other"}, 0), ({"lane": "support/other"}, 30),
                          ({"customer": "c7"}, 1), ({"state": "queued"}, 30), ({"state": "accepted"}, 0)):
        assert len((await desk("messages.list", **wanted))["messages"]) == count
    assert (await desk.refused("messages.list", state="lost")).kind == "usage"
    assert (await desk.refused("messages.list", limit=100_000)).kind == "usage"


@pytest.mark.asyncio
async def test_a_message_is_shown_with_its_batch_and_every_attempt(one: World) -> None:
    desk = Desk(one)
    one.post.script = lambda _, attempt: deferred() if attempt == 1 else accepted()
    await one.send({"customer": "c0", "data": {"order": "A-17"}, "key": "A-17"})
    first = await desk("messages.show", id=1)
    assert (first["state"], first["batch"], first["attempts"]) == ("queued", None, [])
    await one.run_for(2 * HOUR)
    shown = await desk("messages.show", id=1)
    assert (shown["campaign"], shown["customer"], shown["key"], shown["data"]) == \
        ("delay", "c0", "A-17", {"order": "A-17"})
    assert (shown["segment"], shown["lane"], shown["state"]) == ("DE/Berlin", "support/other", "accepted")
    assert [(attempt["outcome"], attempt["code"], attempt["detail"]) for attempt in shown["attempts"]] == \
        [("deferred", "450 4.2.1", "later"), ("accepted", "250", "taken")]
    assert (shown["batch"]["size"], shown["batch"]["allowance"]) == (1, 100)
    assert (await desk.refused("messages.show", id=2)).kind == "unknown"
    assert (await desk.refused("messages.show", id=2**63)).kind == "usage"


@pytest.mark.asyncio
@pytest.mark.parametrize("word", ["accepted", "rejected", "queued"])
async def test_a_person_settles_what_is_in_doubt(one: World, word: str) -> None:
    desk = Desk(one)

    def script(_: str, attempt: int) -> Act:
        return in_doubt() if attempt == 1 else accepted()

    one.post.script = script
    await one.send_to(1)
    await one.run_for(2 * HOUR)
    assert (await desk("messages.show", id=1))["state"] == "in_doubt"
    assert await desk("messages.settle", id=1, **{"as": word}) == {"id": 1, "state": word}
    await one.run_for(DAY)
    assert await one.states() == {"accepted" if word == "queued" else word: 1}
    assert len(one.post.handed) == (2 if word == "queued" else 1)
    assert len({handed.body for handed in one.post.handed}) == 1      # the very same bytes
    assert (await desk.refused("messages.settle", id=1, **{"as": "accepted"})).kind == "conflict"


@pytest.mark.asyncio
async def test_what_cannot_be_settled_is_refused(one: World) -> None:
    desk = Desk(one)
    await one.send_to(1)
    assert (await desk.refused("messages.settle", id=1, **{"as": "accepted"})).kind == "conflict"
    assert (await desk.refused("messages.settle", id=9, **{"as": "accepted"})).kind == "unknown"
    assert (await desk.refused("messages.settle", id=1, **{"as": "skipped"})).kind == "usage"
