"""A store that an engine has filled, copied to the other kind and back: whole, resumed, never of two states."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text
from support import world as worlds
from support.commands import CHECKOUT
from support.copies import at, content, copied, cut_short, refusal
from support.fresh import new_store
from support.post import accepted, deferred, rejected
from support.postgresql import emptied, new_database, ours, tell
from support.world import DAY, HOUR, MINUTE, SETTINGS, changed, world

from config.model import Store
from dispatcher.operations.database import copy
from dispatcher.store import checksums, instances
from dispatcher.store.database import StoreError
from dispatcher.store.opening import open_database

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
PAGE = 25       # rows of a chunk
KILLED = """\
import os, signal, sys
from dispatcher.cli.main import main
from dispatcher.store import checksums, copying
checksums.PAGE, put, left = int(sys.argv[1]), copying._put, [int(sys.argv[2])]
async def killed(tx, table, rows):
    await put(tx, table, rows)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
copying._put = killed
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "PAGE", PAGE)


@pytest_asyncio.fixture
async def source(tmp_path: Path) -> Store:
    """A store in a file that an engine has worked on: something in nearly every table, and killed in a batch."""
    async with world(tmp_path, RAMP, now=worlds.at("2026-03-02 08:00"), people=120) as one:
        one.post.script = lambda recipient, _attempt: (
            rejected() if recipient.startswith("c3") else deferred() if recipient.startswith("c4") else
            accepted(takes=45_000))
        await one.hold("category", "promotional", until=one.now + DAY)
        await one.suppress("c5@mail.example")
        await one.send_to(100)
        await one.run_for(35 * MINUTE + 20_000)
        await one.customers([{"id": "c119", "name": 'Zoë "O\'Neil" \\ \U0001f4e8', "size": "µ"}])
        await one.crash()
    found = await content(at(one.path))
    assert {row[6] for row in found["messages"]} >= {"queued", "sending", "accepted", "rejected", "skipped"}
    assert all(len(found[name]) > 0 for name in ("attempts", "batches", "steps", "tallies", "events", "suppressions"))
    return at(one.path)


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def target(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A place where nothing is yet, of each kind."""
    yield at(tmp_path / "copy.db" if request.param == "sqlite" else await emptied())


async def change(store: Store, *statements: str) -> None:
    """What somebody does to a store, whoever may open it."""
    opened = await open_database(store, "test", admit=lambda _connection: None)
    async with opened.transaction() as tx:
        for statement in statements:
            await tx.execute(text(statement))
    await opened.close()


@pytest.mark.asyncio
async def test_everything_arrives_equal_and_the_source_is_as_it_was(source: Store, target: Store) -> None:
    before = await content(source)
    result = await copied(source, target)
    assert (result["start"], result["finished"]) == ("begun", True)
    assert await content(target) == before
    assert await content(source) == before
    assert {one["table"]: one["rows"] for one in result["tables"]} == {name: len(rows) for name, rows in before.items()}
    assert all(one["same"] and one["checksum"] == one["copy_checksum"] for one in result["tables"])


@pytest.mark.asyncio
async def test_a_store_goes_to_postgresql_and_back_and_is_the_same(source: Store, tmp_path: Path) -> None:
    there, back = at(await emptied()), at(tmp_path / "back.db")
    sums = [[(one["table"], one["checksum"]) for one in (await copied(*way))["tables"]]
            for way in ((source, there), (there, back))]
    assert sums[0] == sums[1]
    assert await content(back) == await content(source)


@pytest.mark.asyncio
async def test_a_new_database_is_made_ready(source: Store) -> None:
    async with new_database() as address:
        assert (await copied(source, at(address)))["finished"]
        assert await content(at(address)) == await content(source)


@pytest.mark.parametrize("part", [0.25, 0.5, 0.8])
@pytest.mark.asyncio
async def test_one_that_was_cut_short_goes_on_and_nobody_opens_it_before(
    source: Store, target: Store, part: float
) -> None:
    await cut_short(source, target, part)
    assert await refusal(target) == (
        f"the store {target.path or target.postgresql} cannot be used: it is an unfinished copy of {source.url}; let "
        "[store] url name that one again, and finish the copy by the `dispatcher db copy` that began it")
    seen = []
    result = await copy(source, target, "db copy", lambda done, total: seen.append((done, total)))
    assert (result["start"], result["finished"]) == ("resumed", True)
    assert seen[-1][0] == seen[-1][1]
    assert await content(target) == await content(source)


@pytest.mark.parametrize("statement", [
    "UPDATE customers SET name = 'another' WHERE id = 'c7'",
    "DELETE FROM customers WHERE id = 'c118'",
    "UPDATE meta SET value = value || '0' WHERE name = 'seen_at'",
])
@pytest.mark.asyncio
async def test_a_source_that_was_used_in_between_is_copied_anew(source: Store, target: Store, statement: str) -> None:
    await cut_short(source, target, 0.45)
    await change(source, statement)
    result = await copied(source, target)
    assert (result["start"], result["finished"]) == ("begun anew", True)
    assert await content(target) == await content(source)


@pytest.mark.asyncio
async def test_what_only_comes_after_all_that_was_copied_is_no_other_state(source: Store, target: Store) -> None:
    await cut_short(source, target, 0.5)
    await change(source, "INSERT INTO suppressions VALUES ('zz@mail.example', '*', 'manual', '', 1)",
                 "INSERT INTO meta VALUES ('seen_last', '1')")
    result = await copied(source, target)
    assert (result["start"], result["finished"]) == ("resumed", True)
    assert await content(target) == await content(source)


@pytest.mark.parametrize("statement", [
    "UPDATE messages SET digest = 'x' WHERE id = 7",
    "DELETE FROM attempts WHERE message = 9 AND number = 1",
    "INSERT INTO suppressions VALUES ('stranger@mail.example', '*', 'manual', '', 1)",
])
@pytest.mark.asyncio
async def test_a_row_that_is_not_the_same_is_found_and_the_copy_begins_anew(
    source: Store, target: Store, statement: str
) -> None:
    await cut_short(source, target, 0.5)        # all is copied, nothing is read back
    await change(target, statement)
    result = await copied(source, target)
    assert (result["start"], result["finished"]) == ("resumed", False)
    assert [one["table"] for one in result["tables"] if not one["same"]] == [
        name for name in ("suppressions", "messages", "attempts") if f" {name} " in statement]
    assert "it is an unfinished copy" in await refusal(target)
    assert (await copied(source, target))["finished"]
    assert await content(target) == await content(source)


# What is refused, and left alone

async def refused(source: Store, target: Store) -> str:
    with pytest.raises(StoreError) as error:
        await copied(source, target)
    return str(error.value)


@pytest.mark.asyncio
async def test_a_store_with_something_in_it_is_refused_and_left_alone(source: Store, target: Store) -> None:
    await change(target, "INSERT INTO suppressions VALUES ('a@mail.example', '*', 'manual', '', 1)")
    before = await content(target)
    assert "it is a store already, with suppressions in it; name an empty place" in await refused(source, target)
    assert await content(target) == before


@pytest.mark.asyncio
async def test_a_finished_copy_is_not_copied_over(source: Store, target: Store) -> None:
    await copied(source, target)
    assert f"it is a finished copy of {source.url} already" in await refused(source, target)


@pytest.mark.asyncio
async def test_an_unfinished_copy_of_another_store_is_refused(source: Store, target: Store, tmp_path: Path) -> None:
    other = at(new_store(tmp_path / "other.db"))
    await change(other, "INSERT INTO suppressions VALUES ('a@mail.example', '*', 'manual', '', 1)")
    await cut_short(other, target, 0.1)
    assert f"it is an unfinished copy of {other.url}, and not of {source.url}" in await refused(source, target)
    assert "it is an unfinished copy" in await refused(target, at(tmp_path / "third.db"))


@pytest.mark.asyncio
async def test_a_database_of_another_program_is_refused_and_left_alone(source: Store) -> None:
    async with new_database() as address:
        await tell("CREATE TABLE meta (word text)", address=address)
        assert "another program" in await refused(source, at(address))
        await tell("INSERT INTO meta VALUES ('still theirs')", address=address)


@pytest.mark.asyncio
async def test_what_the_target_does_not_take_is_said_with_its_table_and_nobodys_data(source: Store) -> None:
    await change(source, "UPDATE customers SET name = 'Ann' || char(0) WHERE id = 'c50'")
    target = at(await emptied())
    said = await refused(source, target)
    assert said.startswith("the copy was cut short in the table customers: ")
    assert "the same command goes on there once that is put right" in said
    assert "Ann" not in said
    await change(source, "UPDATE customers SET name = 'Ann' WHERE id = 'c50'")
    result = await copied(source, target)
    assert (result["start"], result["finished"]) == ("resumed", True)
    assert await content(target) == await content(source)


# Killed, and gone on with by a daemon

@pytest.mark.asyncio
async def test_killed_at_a_chunk_again_and_again_it_ends_whole(source: Store, target: Store, tmp_path: Path) -> None:
    (tmp_path / "dispatcher.toml").write_text(changed(RAMP) + f'[store]\nurl = "{source.url}"\n')
    ways = []
    for _ in range(20):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, str(PAGE), "9", "db", "copy", "--to", target.url, "--json", cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        ways.append(process.returncode)
        if process.returncode != -signal.SIGKILL:
            break
        assert "it is an unfinished copy" in await refusal(target)
    assert set(ways[:-1]) == {-signal.SIGKILL}
    assert (ways[-1], len(ways) > 2) == (0, True)
    assert b'"start": "resumed"' in out
    assert await content(target) == await content(source)


@pytest.mark.asyncio
async def test_the_daemon_goes_on_in_postgresql_as_it_would_have_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, RAMP, now=worlds.at("2026-03-02 08:00"), people=12) as one:
        one.post.script = lambda _recipient, _attempt: accepted(takes=45_000)
        await one.send_to(10)
        await one.run_for(100_000)        # at 0, 30, 60, 90 s: two answered, two on their way
        assert len(one.post.handed) == 4
        await one.crash()
        one.address = await emptied()
        assert (await copied(at(one.path), at(ours())))["finished"]
        monkeypatch.setattr(worlds, "KEPT_IN", "postgresql")
        await one.restart()
        assert await one.states() == {"accepted": 2, "queued": 8}
        assert [(row.doubts, row.attempts) for row in await one.rows(state="queued")] == [(1, 1)] * 2 + [(0, 0)] * 6
        receipts = await one.send({"customer": "c0"}, {"customer": "c10"}, {"customer": "c11"})
        assert [receipt.answer for receipt in receipts] == ["duplicate", "queued", "queued"]
        await one.run_for(HOUR)
        assert await one.states() == {"accepted": 12}
        for number in range(12):
            copies = one.post.copies(f"c{number}@mail.example")
            assert len(copies) == (2 if number in (2, 3) else 1)
            assert len(set(copies)) == 1


@pytest.mark.asyncio
async def test_a_store_in_which_a_daemon_is_at_work_is_not_copied(tmp_path: Path) -> None:
    shared, here = at(await emptied()), at(tmp_path / "copy.db")
    opened = await open_database(shared, "run")
    async with opened.transaction() as tx:
        number = await instances.join(tx, instances.Who("mill", "mill", 4711), lease=60_000)
    with pytest.raises(StoreError, match=r"is used by a daemon \(process 4711 on mill\)"):
        await copy(shared, here, "db copy", lambda *_: None)
    async with opened.transaction() as tx:
        await instances.leave(tx, number)
    await opened.close()
    assert (await copy(shared, here, "db copy", lambda *_: None))["finished"]
