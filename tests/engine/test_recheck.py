"""What another daemon has stopped, found in the store alone: as one's own stops, for what is released already (P6)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncConnection
from support.timetables import at
from support.world import CAMPAIGN, MINUTE, SETTINGS, World, changed, world

from dispatcher.core.reputation import UNBLEMISHED, LaneState
from dispatcher.engine import portions, recheck
from dispatcher.store import campaigns, canaries, controls, customers, lanes, owners
from dispatcher.store.canaries import CanaryRow, CanaryState
from dispatcher.store.controls import Hold, Suppression

BUSY = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "08:00-20:00"\nstart = 8640'))
BEGINNING = changed(CAMPAIGN, ('category = "service"', 'category = "service"\nincident = "strike"\nsequence = 1'))
LATER = changed(BEGINNING, ('id = "delay"', 'id = "later"'), ("sequence = 1", "sequence = 2"))
"""A later update of the same incident."""


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    """A world in the middle of its first batch: 24 of 60 have left, one every five seconds."""
    async with world(tmp_path, BUSY, people=60, campaign=BEGINNING) as it:
        await it.send_to(60)
        await it.run_until(at("2026-03-02 08:01:58"))
        assert len(it.post.handed) == 24
        yield it


def held(kind: str, name: str = "") -> Hold:
    return Hold(kind, name, "a person says so", "ops", at("2026-03-02 08:01:58"), None)


def suppressed(category: str = "*", reason: str = "manual") -> Suppression:
    return Suppression("c30@mail.example", category, reason, "", 0)


async def superseded(tx: AsyncConnection, one: World) -> None:
    """A later update is being put on the queue."""
    await campaigns.start_expansion(tx, "later", one.now)


Stop = Callable[[AsyncConnection, World], Awaitable[object]]
BACK: dict[str, Stop] = {
    **{kind: lambda tx, _, kind=kind, name=name: controls.hold(tx, held(kind, name)) for kind, name in {
        "everything": "", "sender": "support", "lane": "support/other", "campaign": "delay",
        "category": "service"}.items()},
    "lane by its evidence": lambda tx, one: lanes.write(
        tx, "support/other", replace(UNBLEMISHED, state=LaneState.HELD, cause="bounces", since=one.now)),
    "canary": lambda tx, one: canaries.put(tx, CanaryRow("delay", CanaryState.FAILED, 24, 0, one.now, "bad words")),
    "later update on its way": superseded,
}


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
@pytest.mark.parametrize("what", BACK)
async def test_what_is_held_elsewhere_goes_back_and_nothing_more_leaves(one: World, what: str) -> None:
    await one.apply(LATER)
    async with one.database.transaction() as tx:
        await BACK[what](tx, one)
    await recheck.stop_covered(one.works)
    await one.run_for(20 * MINUTE)
    assert len(one.post.handed) == 24
    assert await one.states() == {"accepted": 24, "queued": 36}


CLOSED: dict[str, tuple[Stop, str]] = {
    "a suppression": (lambda tx, _: controls.suppress(tx, [suppressed()]), "suppressed"),
    "an unsubscribe": (lambda tx, _: controls.suppress(tx, [suppressed("service", "unsubscribe")]), "unsubscribed"),
    "a person who is forgotten": (lambda tx, _: customers.erase(tx, "c30"), "unknown_customer"),
}


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
@pytest.mark.parametrize("what", CLOSED)
async def test_a_person_who_was_stopped_elsewhere_gets_nothing_and_all_others_do(one: World, what: str) -> None:
    stop, reason = CLOSED[what]
    async with one.database.transaction() as tx:
        await stop(tx, one)
    await recheck.stop_covered(one.works)
    await one.run_for(20 * MINUTE)
    assert await one.states() == {"accepted": 59, "skipped": 1}
    assert [row.reason for row in await one.rows(state="skipped")] == [reason]
    assert "c30@mail.example" not in one.post.recipients


@pytest.mark.asyncio
async def test_a_campaign_that_was_canceled_elsewhere_ends_at_once(one: World) -> None:
    async with one.database.transaction() as tx:
        await campaigns.cancel(tx, "delay", "over", one.now)
    await recheck.stop_covered(one.works)
    await one.run_for(20 * MINUTE)
    assert await one.states() == {"accepted": 24, "skipped": 36}
    assert {row.reason for row in await one.rows(state="skipped")} == {"canceled"}


@pytest.mark.asyncio
async def test_who_has_a_later_update_through_another_daemon_gets_the_earlier_one_no_more(one: World) -> None:
    await one.apply(LATER)
    stop, one.works.underway.stop = one.works.underway.stop, lambda _covers: []    # as it is another daemon's work
    await one.send({"campaign": "later", "customer": "c30"})
    one.works.underway.stop = stop
    await recheck.stop_covered(one.works)
    assert [(row.customer, row.reason) for row in await one.rows(state="skipped")] == [("c30", "superseded")]


@pytest.mark.asyncio
async def test_where_nothing_was_stopped_nothing_is_and_what_is_stopped_elsewhere_is_no_business_of_ours(
        one: World) -> None:
    async with one.database.transaction() as tx:
        await controls.hold(tx, held("lane", "support/gmail"))
        await controls.suppress(tx, [suppressed("promotional")])
    await recheck.stop_covered(one.works)
    await one.run_for(20 * MINUTE)
    assert await one.states() == {"accepted": 60}
    await recheck.stop_covered(one.works)


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_what_is_nobodys_yet_is_written_back_as_soon_as_it_is_stopped(one: World) -> None:
    one.works.underway.forget(one.works.underway.to_begin())       # as if none of the rest were ours
    async with one.database.transaction() as tx:
        offer = await owners.offer(tx, "support/other")
        await controls.suppress(tx, [suppressed()])
    assert offer is not None
    assert (offer.size, offer.left) == (60, 36)
    await portions.stop_free(one.works)
    assert await one.states() == {"accepted": 24, "sending": 35, "skipped": 1}
    async with one.database.transaction() as tx:
        await controls.hold(tx, held("everything"))
    await portions.stop_free(one.works)
    assert await one.states() == {"accepted": 24, "queued": 35, "skipped": 1}
    await portions.stop_free(one.works)
