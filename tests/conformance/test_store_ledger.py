"""What every store does with attempts and the ledger; and tallies and ledger are true after any moves at all."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import (
    DAY,
    HOUR,
    LANE,
    MINUTE,
    NOW,
    add,
    batch,
    campaign,
    new,
    slot,
    states,
)
from support.truth import assert_true

from dispatcher.core.model import Message
from dispatcher.core.retry import Next
from dispatcher.core.states import IllegalMoveError, State
from dispatcher.store import due, journal, ledger, queue, tallies
from dispatcher.store.database import Database
from dispatcher.store.journal import Finding
from dispatcher.store.tables import messages
from dispatcher.store.tallies import Deltas


def finding(message: Message, outcome: str, following: Next, *, reached: bool = True, bad: str = "") -> Finding:
    return Finding(message, NOW, NOW + 5, outcome, "250", "detail", reached, following, bad)


async def write(tx: AsyncConnection, *findings: Finding) -> None:
    deltas = Deltas()
    await journal.write(tx, findings, NOW + 10, deltas)
    await tallies.apply(tx, deltas)


# Journal

@pytest.mark.asyncio
async def test_outcomes_become_states_attempts_and_counts(tx: AsyncConnection) -> None:
    out = await batch(tx, await add(tx, *(new(f"c{number}") for number in range(7))))
    await write(
        tx,
        finding(out[0], "accepted", Next(State.ACCEPTED)),
        finding(out[1], "rejected", Next(State.REJECTED), bad="c1@mail.example"),
        finding(out[2], "deferred", Next(State.QUEUED, NOW + HOUR)),
        finding(out[3], "deferred", Next(State.QUEUED, NOW + DAY), reached=False),
        finding(out[4], "in_doubt", Next(State.IN_DOUBT)),
        finding(out[5], "in_doubt", Next(State.QUEUED, NOW + MINUTE)),
        finding(out[6], "deferred", Next(State.SKIPPED, reason="expired")),
    )
    rows = list(await tx.execute(select(messages).order_by(messages.c.id)))
    assert [(row.state, row.reason, row.waiting, row.attempts, row.doubts) for row in rows] == [
        ("accepted", "", 0, 1, 0), ("rejected", "", 0, 1, 0), ("queued", "deferred", 1, 1, 0),
        ("queued", "deferred", 1, 1, 0), ("in_doubt", "", 0, 1, 1), ("queued", "deferred", 1, 1, 1),
        ("skipped", "expired", 0, 1, 0)]
    assert [row.not_before - NOW for row in rows if row.waiting] == [HOUR, DAY, MINUTE]
    assert [row.finished_at for row in rows] == [NOW + 10, NOW + 10, None, None, NOW + 10, None, NOW + 10]
    [step] = list(await tx.exec_driver_sql(
        "SELECT spent, unsent, accepted, deferred, rejected, in_doubt FROM steps"))
    assert tuple(step) == (7, 1, 1, 2, 1, 2)    # what the provider did not see is not his word
    assert list(await tx.exec_driver_sql("SELECT address, category, reason FROM suppressions")) == [
        ("c1@mail.example", "*", "bounce")]


@pytest.mark.asyncio
async def test_attempts_are_numbered_through_all_batches(tx: AsyncConnection) -> None:
    [one] = await batch(tx, await add(tx, new("a")))
    await write(tx, finding(one, "deferred", Next(State.QUEUED, NOW + 1)))
    deltas = Deltas()
    await due.promote(tx, NOW + 1, 9, deltas)
    await tallies.apply(tx, deltas)
    [again] = [queue.claimed_of(row).message for row in await queue.head(tx, LANE, ("delay", 2, 0), 0, 9)]
    await batch(tx, [again], start=NOW + HOUR, now=NOW + HOUR)
    second = finding(again, "accepted", Next(State.ACCEPTED))
    second.slot = NOW + HOUR
    await write(tx, second)
    assert list(await tx.exec_driver_sql("SELECT number, outcome, slot FROM attempts ORDER BY number")) == [
        (1, "deferred", NOW), (2, "accepted", NOW + HOUR)]


@pytest.mark.asyncio
async def test_an_illegal_move_is_an_error_and_leaves_nothing(store: Database) -> None:
    async with store.transaction() as tx:
        await campaign(tx)
        [one] = await batch(tx, await add(tx, new("a")))
    with pytest.raises(IllegalMoveError):
        async with store.transaction() as tx:
            await write(tx, finding(one, "accepted", Next(State.SENDING)))
    async with store.transaction() as tx:
        assert await states(tx) == [("sending", "")]
        await assert_true(tx)


# Ledger

@pytest.mark.asyncio
async def test_a_slot_is_released_once(store: Database) -> None:
    async with store.transaction() as tx:
        await ledger.reserve(tx, LANE, slot(NOW), 5, 100, NOW)
    with pytest.raises(IntegrityError):
        async with store.transaction() as tx:
            await ledger.reserve(tx, LANE, slot(NOW), 1, 100, NOW)
    async with store.transaction() as tx:
        assert await ledger.slot_taken(tx, LANE, NOW)
        assert not await ledger.slot_taken(tx, "support/gmail", NOW)
        assert (await ledger.read(tx, LANE, NOW, NOW + DAY)).spent == 5


@pytest.mark.asyncio
async def test_a_step_is_the_sum_of_its_batches_and_the_steps_behind_come_oldest_first(tx: AsyncConnection) -> None:
    for day in range(3):
        step = (NOW + day * DAY, NOW + (day + 1) * DAY)
        for number in range(day + 1):
            await ledger.reserve(tx, LANE, slot(step[0] + number * HOUR, step=step), 10, 100 + day, step[0] + number)
    book = await ledger.read(tx, LANE, NOW + 2 * DAY, NOW + 3 * DAY)
    assert [(step.start - NOW, step.spent, step.allowance) for step in book.past] == [(0, 10, 100), (DAY, 20, 101)]
    assert (book.spent, book.last_slot_end) == (30, NOW + 2 * DAY + 2 * HOUR + 5 * MINUTE)
    assert await ledger.lanes(tx) == [LANE]
    fresh = await ledger.read(tx, "support/gmail", NOW, NOW + DAY)
    assert (fresh.past, fresh.spent, fresh.last_slot_end) == ((), 0, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize(("before", "after", "spent"), [
    (DAY, HOUR, 3),         # the day's batches of its 11th hour only
    (HOUR, DAY, 12 + 3),    # all hours of the day
    (HOUR, 6 * HOUR, 6 + 3),    # from the sixth hour on
])
async def test_a_changed_step_length_counts_what_the_new_step_has_spent_by_its_slots(
    tx: AsyncConnection, before: int, after: int, spent: int
) -> None:
    midnight = NOW - NOW % DAY
    for hour in range(12):
        start = midnight + hour * HOUR
        step_start = midnight + hour * HOUR // before * before
        await ledger.reserve(tx, LANE, slot(start, step=(step_start, step_start + before)), 1, 100, start)
    for extra in range(3):
        start = midnight + 11 * HOUR + (extra + 1) * 10 * MINUTE
        step_start = midnight + 11 * HOUR // before * before
        await ledger.reserve(tx, LANE, slot(start, step=(step_start, step_start + before)), 1, 100, start)
    now_in = midnight + 11 * HOUR // after * after
    book = await ledger.read(tx, LANE, now_in, now_in + after)
    assert book.spent == spent + (1 if after == HOUR else 0)


@pytest.mark.asyncio
async def test_a_changed_timezone_counts_what_the_new_day_has_spent_by_its_slots(tx: AsyncConnection) -> None:
    midnight = NOW - NOW % DAY
    for hour in range(20):
        await ledger.reserve(
            tx, LANE, slot(midnight + hour * HOUR, step=(midnight, midnight + DAY)), 1, 100, midnight + hour * HOUR)
    for shift in (-5, 9):    # the day of New York, and of Tokyo, that holds 20 o'clock UTC
        start = midnight - shift * HOUR
        start += DAY if start + DAY <= midnight + 20 * HOUR else 0
        book = await ledger.read(tx, LANE, start, start + DAY)
        assert book.spent == 20 - max((start - midnight) // HOUR, 0)
    assert (await ledger.read(tx, LANE, midnight + DAY, midnight + 2 * DAY)).spent == 0


@pytest.mark.asyncio
async def test_outcomes_count_for_the_step_of_their_batch_however_late_they_come(tx: AsyncConnection) -> None:
    await ledger.reserve(tx, LANE, slot(NOW), 5, 100, NOW)
    await ledger.reserve(tx, LANE, slot(NOW + DAY, step=(NOW + DAY, NOW + 2 * DAY)), 5, 100, NOW + DAY)
    await ledger.count(tx, Counter({(LANE, NOW, "unsent"): 2, (LANE, NOW, "accepted"): 3,
                                    (LANE, NOW + DAY, "accepted"): 1}))
    assert list(await tx.exec_driver_sql("SELECT unsent, accepted FROM steps ORDER BY step")) == [(2, 3), (0, 1)]


# Any order of moves

MOVES = st.lists(st.tuples(st.sampled_from(
    ["add", "late", "take", "back", "back later", "skip", "stop", "postpone", "promote", "reroute", "accept", "defer"]),
    st.integers(0, 7)), max_size=40)


@pytest.mark.asyncio
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
async def test_tallies_are_true_after_any_moves(store: Database, moves: list[tuple[str, int]]) -> None:
    class Undo(Exception):  # noqa: N818 -- the way out of the transaction
        pass

    with pytest.raises(Undo):  # noqa: PT012 -- as above
        async with store.transaction() as tx:
            await campaign(tx)
            for number, (move, which) in enumerate(moves):
                await make(tx, move, which, number)
                await assert_true(tx)
            raise Undo


async def make(tx: AsyncConnection, move: str, which: int, number: int) -> None:  # noqa: C901 -- a table
    """One move, of one of the messages that can make it, if there is one."""
    query = select(*queue.MESSAGE_COLUMNS).order_by(messages.c.id)
    queued = [queue.message_of(row) for row in await tx.execute(
        query.where(messages.c.state == "queued", messages.c.waiting == 0))]
    out = [queue.message_of(row) for row in await tx.execute(query.where(messages.c.state == "sending"))]
    some = queued if move in {"take", "skip", "postpone", "reroute"} else out
    one = some[which % len(some)] if some else None
    deltas = Deltas()
    match move:
        case "add" | "late":
            await add(tx, new(f"c{number}", rank=which, not_before=NOW + which if move == "late" else 0))
        case "promote":
            await due.promote(tx, NOW + which, 3, deltas)
        case _ if one is None:
            return
        case "take":
            await batch(tx, [one], start=NOW + number * HOUR)
        case "back" | "back later":
            await queue.give_back(tx, [one], NOW + which if move == "back later" else 0, deltas)
        case "skip":
            await queue.skip(tx, [one], "expired", NOW, deltas)
        case "stop":
            await queue.skip(tx, [one], "canceled", NOW, deltas, before=State.SENDING)
        case "postpone":
            await queue.postpone(tx, [one], NOW + which, "quiet_hours", deltas)
        case "reroute":
            await queue.reroute(tx, [(one, "queued", "DE", which, f"support/{which}")], deltas)
        case "accept" | "defer":
            following = Next(State.ACCEPTED) if move == "accept" else Next(State.QUEUED, NOW + which)
            found = finding(one, "accepted" if move == "accept" else "deferred", following)
            found.slot = (await tx.execute(select(messages.c.slot).where(messages.c.id == one.id))).scalar_one()
            await journal.write(tx, [found], NOW, deltas)
    await tallies.apply(tx, deltas)
