"""`[store] keep`: the details of what finished long ago go, and nothing that anything is decided by goes with them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.offices import Desk
from support.post import accepted, deferred, in_doubt, rejected
from support.store_queries import asked
from support.timetables import at
from support.world import DAY, HOUR, SETTINGS, World, changed, world

from dispatcher.engine import pruning
from dispatcher.engine.pruning import Pruner
from dispatcher.store import pruning as looks
from dispatcher.store.record_tables import canary_messages
from dispatcher.store.tables import attempts, batch_parts, batches, messages, steps, suppressions, tallies

EIGHT = at("2026-03-02 08:00")
FOREVER = changed(SETTINGS, (
    'offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'),
    ('from = "Acme', 'in_doubt = "hold"\nfrom = "Acme'))
KEEP = FOREVER + '[store]\nkeep = "40d"\n'
LEDGER = (batches, batch_parts, steps, tallies, suppressions)
FINISHED = {"c0", "c1", "c2", "c4", "c5", "c6", "c7", "c8", "c9"}      # c3 is in doubt
SLIM = {"data": "{}", "snapshot": None}


def outcome(recipient: str, attempt: int) -> Any:
    """c1 is rejected, c2 comes the second time, nobody knows of c3."""
    if recipient.startswith("c1@"):
        return rejected()
    if recipient.startswith("c2@") and attempt == 1:
        return deferred()
    return in_doubt() if recipient.startswith("c3@") and attempt == 1 else accepted()


def request(number: int, order: str = "A-17") -> Mapping[str, Any]:
    return {"customer": f"c{number}", "key": f"k{number}", "data": {"order": order}}


async def finished(one: World) -> None:
    """Ten messages, all of which have come to something within a day; c9's address is suppressed."""
    one.post.script = outcome
    await one.suppress("c9@mail.example")
    await one.send(*(request(number) for number in range(10)))
    await one.run_for(DAY)
    assert await one.states() == {"accepted": 7, "rejected": 1, "in_doubt": 1, "skipped": 1}


async def kept(one: World) -> dict[str, list[tuple[Any, ...]]]:
    """All that is decided and counted by."""
    async with one.database.transaction() as tx:
        return {table.name: sorted(map(tuple, await tx.execute(select(table)))) for table in LEDGER}


async def details(one: World) -> tuple[set[str], set[str]]:
    """Whose messages have data, and whose have attempts."""
    async with one.database.transaction() as tx:
        with_data = set((await tx.execute(select(messages.c.customer).where(messages.c.data != "{}"))).scalars())
        tried = select(messages.c.customer).join(attempts, attempts.c.message == messages.c.id)
        return with_data, set((await tx.execute(tried)).scalars())


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_after_keep_only_the_details_of_what_finished_are_gone(tmp_path: Path) -> None:
    async with world(tmp_path, KEEP, now=EIGHT, people=12) as one:
        await finished(one)
        before, rows = await kept(one), await one.rows()
        await one.run_until(EIGHT + 40 * DAY - HOUR)
        assert await details(one) == (FINISHED | {"c3"}, FINISHED - {"c9"} | {"c3"})
        await one.run_until(EIGHT + 43 * DAY)
        assert await details(one) == ({"c3"}, {"c3"})
        assert await kept(one) == before
        assert [dict(row._mapping) for row in await one.rows()] == [
            dict(row._mapping) | (SLIM if row.customer in FINISHED else {}) for row in rows]
        assert one.works.pruned == 9
        told = [line for line in one.logs if line["event"] == "pruned"]
        assert {line["log_level"] for line in told} == {"info"}
        assert [sum(line[what] for line in told) for what in ("messages", "attempts")] == [9, 9]
        await one.states()          # and all is true


@pytest.mark.usefixtures("both_stores")
@pytest.mark.timeout(400)       # 85 days, each with its slots
@pytest.mark.asyncio
async def test_the_once_rule_answers_as_before_and_what_was_in_doubt_is_sent_with_the_same_bytes(
    tmp_path: Path
) -> None:
    async with world(tmp_path, KEEP, now=EIGHT, people=12) as one:
        await finished(one)
        await one.run_until(EIGHT + 43 * DAY)
        receipts = await one.send(*(request(number) for number in range(10)), request(0, "another"), request(1, ""))
        assert [str(one.answer) for one in receipts] == ["duplicate"] * 10 + ["conflict"] * 2
        one.post.script = lambda _recipient, _attempt: accepted()
        await one.people(12)
        doubtful = (await one.rows(state="in_doubt"))[0].id
        desk = Desk(one)
        await desk("messages.settle", id=doubtful, **{"as": "queued"})
        await one.run_for(HOUR)
        handed = one.post.to("c3@mail.example")
        assert len(handed) == 2
        assert handed[0].body == handed[1].body
        assert await one.states() == {"accepted": 8, "rejected": 1, "skipped": 1}
        await one.run_for(42 * DAY)
        assert await details(one) == (set(), set())     # also what finished behind the last look


@pytest.mark.asyncio
async def test_without_keep_nothing_is_pruned_and_a_reload_may_bring_it(tmp_path: Path) -> None:
    async with world(tmp_path, FOREVER, now=EIGHT, people=12) as one:
        await finished(one)
        await one.run_for(60 * DAY)
        assert await details(one) == (FINISHED | {"c3"}, FINISHED - {"c9"} | {"c3"})
        await one.reload(KEEP)
        await one.run_for(HOUR)
        assert await details(one) == ({"c3"}, {"c3"})


@pytest.mark.asyncio
async def test_a_kill_between_two_chunks_loses_and_spares_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "CHUNK", 2)
    monkeypatch.setattr(looks, "LOOKED_AT", 3)
    async with world(tmp_path, KEEP, now=EIGHT, people=12) as one:
        await finished(one)
        before, left = await kept(one), []
        await one.run_until(EIGHT + 40 * DAY - HOUR)
        while not left or left[-1] > 1:
            await one.run_for(pruning.PAUSE + 1)
            left.append(len((await details(one))[0]))
            assert len(left) < 20_000
            if left[-1] not in left[:-1]:
                await one.crash()
                await one.restart()
                await one.states()
        assert len(set(left)) > 3       # killed in the middle, several times
        assert await kept(one) == before
        assert await details(one) == ({"c3"}, {"c3"})


@pytest.mark.asyncio
async def test_where_somebody_uses_the_store_it_stands_back(tmp_path: Path) -> None:
    async with world(tmp_path, KEEP, now=EIGHT, people=12) as one:
        await finished(one)
        one.clock.jump(EIGHT + 60 * DAY)
        async with one.database.transaction() as tx:
            pruner = asyncio.create_task(Pruner(one.works).go_on())
            for _ in range(5):
                await asyncio.sleep(0)
            assert (await tx.execute(select(messages.c.id).where(messages.c.data == "{}"))).first() is None
        pruner.cancel()
        await asyncio.gather(pruner, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_clock_that_is_wrong_when_the_machine_starts_costs_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, KEEP, now=EIGHT, people=12) as one:
        await finished(one)
        before = await details(one)
        await one.drain()
        one.clock.jump(EIGHT + 1_000 * DAY)
        await one.restart()
        await one.run_for(pruning.SETTLING // 2)
        one.clock.jump(EIGHT + 2 * DAY)
        await one.run_for(DAY)
        assert await details(one) == before


@pytest.mark.usefixtures("both_stores")
@pytest.mark.asyncio
async def test_a_stop_in_the_middle_of_a_chunk_undoes_it(tmp_path: Path) -> None:
    async with world(tmp_path, KEEP, now=EIGHT, people=12) as one:
        await finished(one)
        before = await details(one)
        one.clock.jump(EIGHT + 60 * DAY)
        for turns in range(1, 12):
            pruner = asyncio.create_task(Pruner(one.works).go_on())
            while not one.database.busy:  # noqa: ASYNC110 -- nobody says when a transaction begins
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            pruner.cancel()
            await asyncio.gather(pruner, return_exceptions=True)
            if await details(one) != before:
                assert await details(one) == ({"c3"}, {"c3"})       # it had ended before
            await one.states()


@pytest.mark.asyncio
async def test_a_canary_that_is_not_judged_keeps_its_attempts(tmp_path: Path) -> None:
    async with world(tmp_path, KEEP, now=EIGHT, people=12) as one:
        await finished(one)
        first = (await one.rows(customer="c0"))[0].id
        async with one.database.transaction() as tx:
            await tx.execute(canary_messages.insert().values(campaign="delay", message=first))
        await one.run_for(43 * DAY)
        assert await details(one) == ({"c0", "c3"}, {"c0", "c3"})


@pytest.mark.asyncio
async def test_a_look_goes_through_a_bounded_range_of_the_messages_own_order(tmp_path: Path) -> None:
    async with world(tmp_path, KEEP, now=EIGHT, people=12) as one:
        await finished(one)
        async with one.database.transaction() as tx:
            statements = await asked(one.database, tx, lambda tx: looks.prune(tx, one.now + DAY, 500))
            plans = [[row.detail for row in await tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", some)]
                     for statement, some in statements if "FROM messages" in statement and "LIMIT" in statement]
        assert len(plans) == 2
        for plan in plans:
            assert plan[0].startswith("SEARCH messages USING INTEGER PRIMARY KEY (rowid>"), plan
            assert not [line for line in plan if "SCAN messages" in line or "SCAN attempts" in line], plan


# What people are told

@pytest.mark.asyncio
async def test_a_report_says_what_was_pruned_and_shows_no_half_figures(tmp_path: Path) -> None:
    async with world(tmp_path, KEEP, now=EIGHT, people=12) as one:
        await finished(one)
        desk = Desk(one)
        before = await desk("report", campaign="delay")
        assert (before["pruned"], before["attempts"]["accepted"]) == (0, 7)
        await one.run_for(43 * DAY)
        after = await desk("report", campaign="delay")
        assert after["pruned"] == 9
        assert (after["attempts"], after["first_at"], after["last_at"]) == ({}, None, None)
        assert not [batch for batch in after["batches"] if "accepted" in batch]
        for name in ("messages", "total", "segments", "skipped", "sent", "left_out", "promise_kept", "slips"):
            assert after[name] == before[name], name
        assert after["promise"]["kept"] == before["promise"]["kept"]
        story = await desk("messages.show", id=(await one.rows(customer="c0"))[0].id)
        assert (story["pruned"], story["attempts"], story["data"], story["state"]) == (True, [], {}, "accepted")
        doubtful = await desk("messages.show", id=(await one.rows(customer="c3"))[0].id)
        assert ("pruned" in doubtful, len(doubtful["attempts"])) == (False, 1)
