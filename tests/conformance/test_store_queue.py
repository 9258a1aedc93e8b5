"""What every store does with the queue: in, out in order, all its moves; tallies always equal a real count."""

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import (
    DAY,
    HOUR,
    LANE,
    MINUTE,
    NOW,
    STORES,
    add,
    batch,
    campaign,
    new,
    people,
    slot,
    states,
)
from support.truth import assert_tallies_true

from dispatcher.core.states import State
from dispatcher.store import due, ledger, queue, tallies, waiting
from dispatcher.store.database import Database
from dispatcher.store.tables import messages
from dispatcher.store.tallies import Deltas

# Acceptance

@pytest.mark.asyncio
@pytest.mark.parametrize("kind", STORES)
async def test_what_was_committed_is_there_when_the_store_is_opened_again(kind: str, tmp_path: Path) -> None:
    async with STORES[kind](tmp_path) as store, store.transaction() as tx:
        await campaign(tx)
        await add(tx, new("a"), new("b"))
    async with STORES[kind](tmp_path) as store, store.transaction() as tx:
        assert await states(tx) == [("queued", ""), ("queued", "")]


@pytest.mark.asyncio
async def test_a_transaction_that_raises_leaves_nothing(store: Database) -> None:
    async with store.transaction() as tx:
        await campaign(tx)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 -- what raises is the end of the transaction
        async with store.transaction() as tx:
            await add(tx, new("a"))
            raise ZeroDivisionError
    async with store.transaction() as tx:
        assert await states(tx) == []
        await assert_tallies_true(tx)


@pytest.mark.asyncio
async def test_a_key_is_taken_once_for_each_campaign_for_ever(store: Database) -> None:
    async with store.transaction() as tx:
        await campaign(tx)
        await campaign(tx, "other")
        first, _ = await add(tx, new("a", key="k"), new("a", "other", key="k"))
        assert await queue.digests(tx, "delay", ["k", "unknown"], first.id) == {"k": ("d", "queued")}
        assert await queue.digests(tx, "delay", ["k"], first.id - 1) == {}
    async with store.transaction() as tx:
        await add(tx, new("b", key="k"), new("c", key="l"), new("d", key="l"))
    async with store.transaction() as tx:
        found = await queue.digests(tx, "delay", ["k", "l"], 1_000)
        assert found == {"k": ("d", "queued"), "l": ("d", "queued")}
        customers = (await tx.execute(select(messages.c.customer).order_by(messages.c.id))).scalars()
        assert list(customers) == ["a", "a", "c"]
        await assert_tallies_true(tx)


@pytest.mark.asyncio
async def test_a_message_is_skipped_waits_or_is_due_as_acceptance_says(tx: AsyncConnection) -> None:
    await add(tx, new("a", skipped="inactive", lane=""), new("b", not_before=NOW + 1), new("c", not_before=NOW))
    assert await states(tx) == [("skipped", "inactive"), ("queued", ""), ("queued", "")]
    totals = {state: count for _, state, _, count in await tallies.totals(tx)}
    assert totals == {"skipped": 1, "waiting": 1, "queued": 1}
    assert await due.next_due(tx) == NOW + 1


# Order

@pytest.mark.asyncio
async def test_the_head_of_a_run_comes_first_come_first_and_page_by_page(tx: AsyncConnection) -> None:
    await campaign(tx, "other")
    await people(tx, "a", "b")
    await add(tx, new("a"), new("x", "other"), new("b", lane="support/gmail", key="g"), new("b", priority=0, key="u"),
              new("b", rank=1, key="r"), new("b", key="n"), new("c", not_before=NOW + 1), new("d"))
    rows = await queue.head(tx, LANE, ("delay", 2, 0), 0, 2)
    claimed = [queue.claimed_of(row) for row in rows]
    assert [(one.message.customer, one.customer.id if one.customer else None) for one in claimed] == [
        ("a", "a"), ("b", "b")]
    rest = await queue.head(tx, LANE, ("delay", 2, 0), claimed[-1].message.id, 10)
    assert [queue.claimed_of(row).message.customer for row in rest] == ["d"]
    assert queue.claimed_of(rest[0]).customer is None


@pytest.mark.asyncio
async def test_runs_are_told_in_the_order_of_a_batch(tx: AsyncConnection) -> None:
    await campaign(tx, "another")
    await add(tx, new("a", rank=1), new("b", rank=0), new("c", priority=0, rank=5), new("d", "another", rank=0),
              new("e", not_before=NOW + 9), new("f", lane="support/gmail"))
    runs = await tallies.runs(tx, LANE, "queued")
    assert [(run.priority, run.rank, run.campaign, run.count) for run in runs] == [
        (0, 5, "delay", 1), (2, 0, "another", 1), (2, 0, "delay", 1), (2, 1, "delay", 1)]
    assert await tallies.queued_lanes(tx) == ["support/gmail", LANE]


# Moves

@pytest.mark.asyncio
async def test_a_message_goes_out_and_comes_back(tx: AsyncConnection) -> None:
    [one] = await batch(tx, await add(tx, new("a")))
    await queue.begin(tx, [one.id])
    assert [(message.id, at, begun) for message, at, begun in await queue.sending(tx, 9)] == [(one.id, NOW, 1)]
    deltas = Deltas()
    await queue.give_back(tx, [one], 0, deltas)
    await tallies.apply(tx, deltas)
    assert await states(tx) == [("queued", "")]
    [again] = [queue.claimed_of(row).message for row in await queue.head(tx, LANE, ("delay", 2, 0), 0, 9)]
    assert (again.version, again.released_at) == (1, NOW)       # kept, so that its bytes stay


@pytest.mark.asyncio
async def test_a_later_release_keeps_version_and_instant_of_the_first(tx: AsyncConnection) -> None:
    [one] = await batch(tx, await add(tx, new("a")))
    deltas = Deltas()
    await queue.give_back(tx, [one], 0, deltas)
    await tallies.apply(tx, deltas)
    await ledger.reserve(tx, LANE, slot(NOW + HOUR), 1, 100, NOW + HOUR)
    await queue.take(tx, [one], 7, NOW + HOUR, NOW + HOUR)
    [(message, at, _)] = await queue.sending(tx, 9)
    assert (message.version, message.released_at, at) == (1, NOW, NOW + HOUR)
    await tallies.apply(tx, Deltas({queue.place(one, "queued"): -1, queue.place(one, "sending"): 1}))


@pytest.mark.asyncio
async def test_a_mark_leaves_a_message_alone_that_was_stopped_meanwhile(tx: AsyncConnection) -> None:
    one, two = await batch(tx, await add(tx, new("a"), new("b")))
    deltas = Deltas()
    await queue.skip(tx, [one], "suppressed", NOW, deltas, before=State.SENDING)
    await tallies.apply(tx, deltas)
    await queue.begin(tx, [one.id, two.id])
    begun = await tx.execute(select(messages.c.begun).order_by(messages.c.id))
    assert [row.begun for row in begun] == [0, 1]


@pytest.mark.asyncio
async def test_what_waits_is_due_when_its_time_has_come_and_not_before(tx: AsyncConnection) -> None:
    one, _ = await add(tx, new("a"), new("b", not_before=NOW + HOUR))
    deltas = Deltas()
    await queue.postpone(tx, [one], NOW + MINUTE, "quiet_hours", deltas)
    await tallies.apply(tx, deltas)
    assert await states(tx) == [("queued", "quiet_hours"), ("queued", "")]
    for now, promoted, left in ((NOW + MINUTE - 1, 0, NOW + MINUTE), (NOW + MINUTE, 1, NOW + HOUR),
                                (NOW + HOUR, 1, None)):
        deltas = Deltas()
        assert await due.promote(tx, now, 9, deltas) == promoted
        await tallies.apply(tx, deltas)
        await assert_tallies_true(tx)
        assert await due.next_due(tx) == left
    assert await states(tx) == [("queued", ""), ("queued", "")]


@pytest.mark.asyncio
async def test_promotion_goes_in_chunks_the_earliest_first(tx: AsyncConnection) -> None:
    await add(tx, *(new(f"c{number}", not_before=NOW + 10 - number) for number in range(10)))
    deltas = Deltas()
    assert await due.promote(tx, NOW + DAY, 4, deltas) == 4
    await tallies.apply(tx, deltas)
    query = select(messages.c.not_before).where(messages.c.waiting == 1)
    left = await tx.execute(query.order_by(messages.c.not_before))
    assert [row.not_before - NOW for row in left] == [5, 6, 7, 8, 9, 10]


@pytest.mark.asyncio
async def test_what_is_past_its_time_is_found_whether_it_waits_or_is_due(tx: AsyncConnection) -> None:
    await add(tx, new("a", expires_at=NOW + 5), new("b", expires_at=NOW + 3, not_before=NOW + 2),
              new("c", expires_at=NOW + 9), new("d"))
    assert await due.next_expiry(tx) == NOW + 3
    found = await due.expired(tx, NOW + 5, 9)
    assert [(message.customer, state) for message, state in found] == [("b", "waiting"), ("a", "queued")]
    deltas = Deltas()
    for message, state in found:
        await queue.skip(tx, [message], "expired", NOW, deltas, before=state)
    await tallies.apply(tx, deltas)
    assert await states(tx) == [("skipped", "expired"), ("skipped", "expired"), ("queued", ""), ("queued", "")]


@pytest.mark.asyncio
async def test_a_message_moves_to_another_lane_due_or_waiting(tx: AsyncConnection) -> None:
    one, two = await add(tx, new("a"), new("b", not_before=NOW + 5))
    deltas = Deltas()
    await queue.reroute(tx, [(one, "queued", "DE", 1, "support/gmail"), (two, "waiting", "DE", 1, "support/gmail")],
                        deltas)
    await tallies.apply(tx, deltas)
    assert [(run.segment, run.state, run.count) for run in await tallies.runs(tx, "support/gmail", "queued", "waiting")
            ] == [("DE", "queued", 1), ("DE", "waiting", 1)]


@pytest.mark.asyncio
async def test_queued_messages_are_found_by_campaign_and_by_customer(tx: AsyncConnection) -> None:
    await campaign(tx, "other")
    made = await add(tx, new("a"), new("b", not_before=NOW + 5), new("a", "other"), new("c", skipped="inactive"))
    await batch(tx, await add(tx, new("a", key="out")))
    assert [(message.id, state) for message, state in await queue.of_campaign(tx, "delay", 0, 9)] == [
        (made[0].id, "queued"), (made[1].id, "waiting")]
    assert await queue.of_campaign(tx, "delay", made[1].id, 9) == []
    assert len(await queue.queued_of(tx, ["a", "b", "c"])) == 3
    assert [message.campaign for message, _ in await queue.queued_of(tx, ["a"], ["other"])] == ["other"]


@pytest.mark.asyncio
async def test_waiting_messages_are_counted_by_when_they_are_due_to_the_last_of_a_minute(tx: AsyncConnection) -> None:
    await add(tx, *(new(f"c{number}", not_before=NOW + offset)
                    for number, offset in enumerate((1, 59_999, 60_000, 61_000))))
    rows = await waiting.waiting_times(tx, MINUTE)
    assert sorted((row.due - NOW, row.count) for row in rows) == [(59_999, 2), (61_000, 2)]
    assert len(await waiting.waiting_times(tx, 1)) == 4
