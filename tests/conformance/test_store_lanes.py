"""What every store does with lanes' reputation and with the history that is imported."""

from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import DAY, HOUR, LANE, NOW
from support.timetables import ramp

from dispatcher.core.calendar import Slot
from dispatcher.core.reputation import UNBLEMISHED, LaneState, Reputation
from dispatcher.store import history, lanes, ledger
from dispatcher.store.controls import Hold
from dispatcher.store.history import Day
from dispatcher.store.tables import steps

UTC = ramp(timezone="UTC", hours="00:00-24:00")
MIDNIGHT = NOW - 8 * HOUR
SLOW = Reputation(LaneState.SLOW, 0.30000000000000004, 10, NOW + HOUR, None, "reply rule x: 421 é", NOW, NOW - 1,
                  NOW - 2, NOW - 3)
HELD = Reputation(LaneState.HELD, 0.5, held_until=NOW + HOUR, cause="reply rule y: no", since=NOW)


async def reserve(tx: AsyncConnection, day: int, size: int = 10) -> None:
    start = MIDNIGHT + day * DAY
    slot = Slot(start, start + DAY, 0, 288, start, start + 300_000)
    await ledger.reserve(tx, LANE, slot, size, 100, start)


@pytest.mark.asyncio
async def test_a_lane_without_a_row_is_healthy_and_a_written_one_comes_back_as_it_was(tx: AsyncConnection) -> None:
    assert await lanes.read(tx, LANE) == UNBLEMISHED
    await lanes.write(tx, LANE, SLOW)
    assert await lanes.read(tx, LANE) == SLOW
    await lanes.write(tx, LANE, HELD)
    await lanes.write(tx, "support/gmail", SLOW)
    assert await lanes.read_all(tx) == {"support/gmail": SLOW, LANE: HELD}


@pytest.mark.asyncio
async def test_the_holds_of_the_dispatcher_itself_are_shown_as_others_are_while_they_last(tx: AsyncConnection) -> None:
    await lanes.write(tx, "a/gmail", SLOW)
    await lanes.write(tx, "b/gmail", HELD)
    await lanes.write(tx, "c/gmail", replace(HELD, held_until=None, cause="set-up: no TLS"))
    b = Hold("lane", "b/gmail", "reply rule y: no", "dispatcher", NOW, NOW + HOUR)
    c = Hold("lane", "c/gmail", "set-up: no TLS", "dispatcher", NOW, None)
    assert await lanes.held(tx, NOW + HOUR - 1) == [b, c]
    assert await lanes.held(tx, NOW + HOUR) == [c]


@pytest.mark.asyncio
async def test_a_day_that_is_imported_again_is_replaced(tx: AsyncConnection) -> None:
    await history.put(tx, [], NOW)
    await history.put(tx, [Day(LANE, "2026-02-27", 5), Day(LANE, "2026-02-28", 1), Day(LANE, "2026-02-28", 7)], NOW)
    await history.put(tx, [Day(LANE, "2026-02-27", 6), Day("new/gmail", "2026-02-27", 9), Day(LANE, "2026-03-01", 0)],
                      NOW + 1)
    assert await history.before(tx, LANE, "2026-03-02", 9) == [Day(LANE, "2026-02-28", 7), Day(LANE, "2026-02-27", 6)]
    assert await history.before(tx, LANE, "2026-03-02", 1) == [Day(LANE, "2026-02-28", 7)]
    assert await history.before(tx, LANE, "2026-02-28", 9) == [Day(LANE, "2026-02-27", 6)]
    assert await history.lanes(tx) == ["new/gmail", LANE]


@pytest.mark.asyncio
async def test_the_ledger_s_past_has_the_imported_days_and_not_the_one_at_hand(tx: AsyncConnection) -> None:
    await reserve(tx, -1, 40)
    await reserve(tx, 0)
    await history.put(tx, [Day(LANE, day, 300) for day in ("2026-02-28", "2026-03-01", "2026-03-02")], NOW)
    book = await ledger.read(tx, LANE, MIDNIGHT, MIDNIGHT + DAY, UTC)
    assert [((step.start - MIDNIGHT) // DAY, step.allowance, step.sent) for step in book.past] == [
        (-2, 300, 300), (-1, 300, 340)]
    assert book.spent == 10
    assert len((await ledger.read(tx, LANE, MIDNIGHT, MIDNIGHT + DAY)).past) == 1
    await history.put(tx, [Day(LANE, f"2026-01-{day:02}", day) for day in range(1, 32)], NOW)
    long = await ledger.read(tx, LANE, MIDNIGHT, MIDNIGHT + DAY, UTC)
    assert [step.sent for step in long.past] == [*range(4, 32), 300, 340]     # 30 of them


@pytest.mark.asyncio
async def test_a_step_keeps_its_worst_state_and_whether_the_ramp_is_to_rest(tx: AsyncConnection) -> None:
    await reserve(tx, -1)
    await reserve(tx, 0)
    found = []
    for state, blamed in ((LaneState.HEALTHY, True), (LaneState.SLOW, False), (LaneState.SLOW, True),
                          (LaneState.HELD, False), (LaneState.SLOW, False)):
        await ledger.remember_state(tx, LANE, MIDNIGHT, state, blamed=blamed)
        found.append(tuple((await tx.execute(
            select(steps.c.state, steps.c.unhealthy).where(steps.c.step == MIDNIGHT))).one()))
    assert found == [("healthy", 0), ("slow", 0), ("slow", 1), ("held", 1), ("held", 1)]
    book = await ledger.read(tx, LANE, MIDNIGHT, MIDNIGHT + DAY)
    assert (book.healthy, [step.healthy for step in book.past]) == (False, [True])
    after = await ledger.read(tx, LANE, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY)
    assert (after.healthy, [step.healthy for step in after.past]) == (True, [True, False])


@pytest.mark.asyncio
async def test_a_complaint_counts_in_the_step_that_it_came_in_or_the_one_before(tx: AsyncConnection) -> None:
    await reserve(tx, -3)
    await reserve(tx, -1)
    assert await ledger.complained(tx, LANE, MIDNIGHT - 3 * DAY, 1)
    assert await ledger.complained(tx, LANE, MIDNIGHT - 1 * DAY - 1, 2)     # of a day on which nothing was sent
    assert await ledger.complained(tx, LANE, NOW, 4)
    assert not await ledger.complained(tx, LANE, MIDNIGHT - 3 * DAY - 1, 8)
    assert not await ledger.complained(tx, "support/gmail", NOW, 8)
    rows = await tx.execute(select(steps.c.complaints).order_by(steps.c.step))
    assert [row.complaints for row in rows] == [3, 4]
