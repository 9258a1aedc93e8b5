"""What is read of a lane's answers, for every store: the week, what is new since a mark, and what is recent."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import DAY, HOUR, LANE, MINUTE, NOW

from dispatcher.core.calendar import Slot
from dispatcher.core.evidence import Counts
from dispatcher.core.reputation import UNBLEMISHED
from dispatcher.engine import evidence
from dispatcher.store import ledger
from dispatcher.store.database import Database
from dispatcher.store.tables import batches, steps

FIVE = 5 * MINUTE
MIDNIGHT = NOW - 8 * HOUR


@pytest_asyncio.fixture
async def tx(store: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction; answers are written here without the attempts that they are counted of."""
    async with store.transaction() as transaction:
        yield transaction


async def released(tx: AsyncConnection, at: int, accepted: int = 0, deferred: int = 0, rejected: int = 0) -> None:
    """A batch with its answers, in its step of a day."""
    day = MIDNIGHT + (at - MIDNIGHT) // DAY * DAY
    await ledger.reserve(tx, LANE, Slot(day, day + DAY, 0, 288, at, at + FIVE), accepted + deferred + rejected, 100, at)
    answers = {"accepted": accepted, "deferred": deferred, "rejected": rejected}
    await tx.execute(update(batches).where(batches.c.slot == at).values(answers))
    await tx.execute(update(steps).where(steps.c.step == day).values(
        {name: steps.c[name] + count for name, count in answers.items()}))


@pytest.mark.asyncio
async def test_nothing_is_known_of_a_new_lane(tx: AsyncConnection) -> None:
    found = await evidence.read(tx, LANE, replace(UNBLEMISHED, judged_from=NOW), FIVE, NOW)
    assert (found.week, found.since_resumed, found.since_judged, found.recent) == (Counts(),) * 4


@pytest.mark.asyncio
async def test_the_week_is_whole_steps_that_began_in_it(tx: AsyncConnection) -> None:
    for days in (8, 7, 6, 1, 0):
        await released(tx, MIDNIGHT - days * DAY + HOUR, accepted=10 ** (4 - days) if days < 5 else days)
    await ledger.complained(tx, LANE, NOW - 2 * DAY, 3)
    found = await evidence.read(tx, LANE, UNBLEMISHED, FIVE, NOW)
    assert found.week == Counts(accepted=6 + 1_000 + 10_000, complaints=3)
    assert found.since_judged == found.since_resumed == found.week


@pytest.mark.asyncio
async def test_since_a_mark_counts_what_was_released_since(tx: AsyncConnection) -> None:
    await released(tx, MIDNIGHT - DAY + 2 * HOUR, accepted=1)
    await released(tx, MIDNIGHT - DAY + 3 * HOUR, rejected=10)
    await released(tx, MIDNIGHT - DAY + 4 * HOUR, deferred=100)
    await released(tx, MIDNIGHT + HOUR, accepted=1_000)
    await ledger.complained(tx, LANE, MIDNIGHT - DAY + 5 * HOUR, 7)
    await ledger.complained(tx, LANE, MIDNIGHT + 5 * HOUR, 8)
    marks = replace(UNBLEMISHED, judged_from=MIDNIGHT - DAY + 3 * HOUR, resumed_at=MIDNIGHT - DAY + 3 * HOUR + 1)
    found = await evidence.read(tx, LANE, marks, FIVE, NOW)
    # complaints are counted by steps: those of the mark's own step may be older than it
    assert found.since_judged == Counts(accepted=1_000, deferred=100, rejected=10, complaints=8)
    assert found.since_resumed == Counts(accepted=1_000, deferred=100, complaints=8)
    assert found.week == Counts(accepted=1_001, deferred=100, rejected=10, complaints=15)
    between = replace(UNBLEMISHED, judged_from=MIDNIGHT)
    assert (await evidence.read(tx, LANE, between, FIVE, NOW)).since_judged == Counts(accepted=1_000, complaints=8)
    late = replace(UNBLEMISHED, judged_from=NOW)
    assert (await evidence.read(tx, LANE, late, FIVE, NOW)).since_judged == Counts()
    ahead = replace(UNBLEMISHED, judged_from=MIDNIGHT + 2 * DAY)
    assert (await evidence.read(tx, LANE, ahead, FIVE, NOW)).since_judged == Counts()


@pytest.mark.asyncio
@pytest.mark.parametrize(("judged_from", "expected", "oldest"), [
    (0, Counts(accepted=5, deferred=17), NOW - 3 * FIVE),               # whole batches until there are twenty
    (NOW - 2 * FIVE, Counts(deferred=9), NOW - FIVE),                   # but only what is new
    (NOW, Counts(), 0),
])
async def test_recent_is_the_newest_twenty_answers_by_whole_batches(
    judged_from: int, expected: Counts, oldest: int, tx: AsyncConnection
) -> None:
    await released(tx, NOW - 5 * FIVE, accepted=50)
    await released(tx, NOW - 3 * FIVE, accepted=5, deferred=8)
    await released(tx, NOW - 2 * FIVE - 1, accepted=0)
    await released(tx, NOW - FIVE, deferred=9)
    found = await evidence.read(tx, LANE, replace(UNBLEMISHED, judged_from=judged_from), FIVE, NOW)
    assert (found.recent, found.recent_from) == (expected, oldest)


@pytest.mark.asyncio
async def test_what_is_older_than_an_hour_is_not_recent(tx: AsyncConnection) -> None:
    await released(tx, NOW - HOUR - 1, deferred=30)
    await released(tx, NOW - HOUR, deferred=3)
    found = await evidence.read(tx, LANE, UNBLEMISHED, FIVE, NOW)
    assert (found.recent, found.recent_from) == (Counts(deferred=3), NOW - HOUR)


@pytest.mark.asyncio
async def test_a_look_is_bounded(tx: AsyncConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_STEPS", 2)
    monkeypatch.setattr(evidence, "MOST_BATCHES", 3)
    for hours in range(1, 7):
        await released(tx, MIDNIGHT - DAY + hours * HOUR, accepted=10)
    for days in (3, 2):
        await released(tx, MIDNIGHT - days * DAY, accepted=500)
    marks = replace(UNBLEMISHED, judged_from=MIDNIGHT - DAY + HOUR)
    found = await evidence.read(tx, LANE, marks, FIVE, NOW)
    assert (found.week, found.since_judged) == (Counts(accepted=560), Counts(accepted=30))
