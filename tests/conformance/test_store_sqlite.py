"""What SQLite alone has: one process and its lock file, the file itself, its schema, and which index a query uses."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection
from support.commands import CHECKOUT
from support.needs import need_root
from support.store_queries import LIVE_ONLY, USED, Ask, asked
from support.stores import campaign, sqlite

from dispatcher.store import migrate
from dispatcher.store.database import Database, StoreError
from dispatcher.store.driver import connect
from dispatcher.store.lock import StoreLockedError
from dispatcher.store.sqlite import SqliteStore
from dispatcher.store.tables import metadata

HOLDER = """\
import asyncio, sys
from pathlib import Path
from dispatcher.store.sqlite import SqliteStore
async def main():
    store = await SqliteStore.open(Path(sys.argv[1]), "run")
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await store.close()
asyncio.run(main())
"""


async def opened(path: Path, role: str = "send") -> None:
    await (await SqliteStore.open(path, role)).close()


async def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as refused:
        await opened(path)
    return str(refused.value)


# The lock

@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the store open."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "store.db")], stdin=subprocess.PIPE,  # noqa: S603 -- our own program
                          stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


@pytest.mark.asyncio
async def test_a_second_process_is_refused_at_once_and_told_who_has_the_store(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(StoreLockedError, match=rf"in use by process {holder.pid} \(dispatcher run\)") as refused:
        async with asyncio.timeout(2):
            await opened(tmp_path / "store.db")
    assert (refused.value.role, refused.value.process) == ("run", holder.pid)


@pytest.mark.asyncio
@pytest.mark.parametrize("end", [signal.SIGKILL, None])
async def test_the_lock_ends_with_its_holder_however_that_ends(
    tmp_path: Path, holder: "subprocess.Popen[str]", end: signal.Signals | None
) -> None:
    if end is None:
        assert holder.stdin is not None
        holder.stdin.close()
    else:
        holder.send_signal(end)
    holder.wait()
    await opened(tmp_path / "store.db")


@pytest.mark.asyncio
async def test_a_lock_file_without_a_readable_holder_still_locks(tmp_path: Path, holder: object) -> None:
    (tmp_path / "store.db.lock").write_text("{")
    with pytest.raises(StoreLockedError, match="in use by another process"):
        await opened(tmp_path / "store.db")


@pytest.mark.asyncio
async def test_a_store_that_could_not_be_opened_is_not_left_locked(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("this is not a database, however long one looks at it" * 50)
    for _ in range(2):
        assert "not a database" in await refusal(path)
    path.unlink()
    await opened(path)


# The file

@pytest.mark.asyncio
async def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    async with sqlite(tmp_path) as store, store.transaction() as tx:
        await campaign(tx)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}  # noqa: ASYNC240 -- a look
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm", "store.db.lock"), 0o600)


@pytest.mark.asyncio
async def test_a_commit_is_synchronous_and_in_the_log(tmp_path: Path) -> None:
    async with sqlite(tmp_path) as store, store.transaction() as tx:
        found = [(await tx.exec_driver_sql(f"PRAGMA {name}")).scalar()
                 for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert found == ["wal", 2, 1]


@pytest.mark.asyncio
async def test_a_database_of_another_program_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE bookmarks (url TEXT)")
    theirs.close()
    before = path.read_bytes()
    assert "another program" in await refusal(path)
    assert path.read_bytes() == before
    assert not path.with_name("theirs.db-wal").exists()


@pytest.mark.asyncio
async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    assert "cannot be used" in await refusal(tmp_path / "store.db")


@pytest.mark.asyncio
async def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    assert f"{tmp_path}/none does not exist" in await refusal(tmp_path / "none" / "store.db")


@pytest.mark.asyncio
@pytest.mark.parametrize("closed", ["file", "folder"])
async def test_a_store_that_may_not_be_written_is_refused(closed: str) -> None:
    need_root()    # who can become somebody else
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await opened(folder / "store.db")
        os.chown(folder, 65534, 65534)
        if closed == "file":
            (folder / "store.db.lock").unlink()
        else:
            os.chmod(folder, 0o500)  # noqa: PTH101 -- as chown above
        os.seteuid(65534)
        try:
            said = await refusal(folder / "store.db")
        finally:
            os.seteuid(0)
    assert "Permission denied" in said


# The schema

@pytest.mark.asyncio
async def test_a_fresh_store_has_the_newest_schema_and_it_is_the_one_of_the_tables(tmp_path: Path) -> None:
    def look(connection: Connection) -> tuple[str | None, list[Any]]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return migrate.current(connection), compare_metadata(context, metadata)

    async with sqlite(tmp_path) as store, store.transaction() as tx:
        version, differences = await tx.run_sync(look)
    assert version == migrate.NEWEST
    assert differences == []


@pytest.mark.asyncio
async def test_partial_indexes_have_the_tables_own_conditions(tmp_path: Path) -> None:
    async with sqlite(tmp_path) as store, store.transaction() as tx:
        rows = await tx.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%WHERE%'")
        migrated = {name: sql.partition("WHERE")[2].strip() for name, sql in rows}
    meant = {str(index.name): str(index.dialect_options["sqlite"]["where"])
             for table in metadata.sorted_tables for index in table.indexes
             if index.dialect_options["sqlite"]["where"] is not None}
    assert migrated == meant
    assert len(meant) == 7


@pytest.mark.asyncio
async def test_a_schema_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await opened(path)
    with sqlite3.connect(path) as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    assert "9999, newer than this program's" in await refusal(path)


@pytest.mark.asyncio
async def test_a_migration_that_is_cut_short_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    upgrade = command.upgrade

    def cut_short(*arguments: Any) -> None:
        upgrade(*arguments)
        raise OSError("the disk is full")

    monkeypatch.setattr(command, "upgrade", cut_short)
    assert "the disk is full" in await refusal(path)
    monkeypatch.undo()
    with sqlite3.connect(path) as store:
        assert store.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    store.close()
    await opened(path)


# Errors

@pytest.mark.asyncio
async def test_an_error_of_the_store_quotes_nobody(tmp_path: Path) -> None:
    async with sqlite(tmp_path) as store:
        with pytest.raises(Exception, match="suppressions") as failed:
            async with store.transaction() as tx:
                await tx.exec_driver_sql("INSERT INTO suppressions (address) VALUES (?)", ("ann@mail.example",))
        assert "ann@" not in str(failed.value)


# Indexes

@pytest.mark.asyncio
@pytest.mark.parametrize("name", LIVE_ONLY)
async def test_what_every_release_asks_looks_only_at_what_is_queued(tmp_path: Path, name: str) -> None:
    ask, index = LIVE_ONLY[name]
    async with sqlite(tmp_path) as store, store.transaction() as tx:
        plan = await _plan_of(store, tx, ask)
        assert any(index in line for line in plan), plan
        assert not [line for line in plan if line.startswith("SCAN") and "tallies" in line and "ix_" not in line], plan


async def _plan_of(store: Database, tx: AsyncConnection, ask: Ask) -> list[str]:
    statement, parameters = (await asked(store, tx, ask))[0]
    return [row.detail for row in await tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", USED)
async def test_a_query_of_the_queue_goes_by_its_index_and_sorts_nothing(tmp_path: Path, name: str) -> None:
    ask, index = USED[name]
    async with sqlite(tmp_path) as store, store.transaction() as tx:
        plan = await _plan_of(store, tx, ask)
        assert any(index in line for line in plan), plan
        assert not [line for line in plan if "messages" in line and line.startswith("SCAN") and index not in line], plan
        assert not [line for line in plan if "TEMP B-TREE" in line], plan


# Cancellation

LAST = 3      # rows; the first is read by the execution, so that the last is read by the fetching
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT count(*) FROM n"


@pytest.mark.asyncio
async def test_a_task_that_is_cancelled_while_its_statement_runs_leaves_a_usable_store(tmp_path: Path) -> None:
    async with sqlite(tmp_path) as store:
        running = asyncio.Event()
        connections: list[object] = []     # beside the one that there is
        event.listen(store._engine.sync_engine, "connect", lambda one, _: connections.append(one))

        async def ask() -> None:
            async with store.transaction() as tx:
                await campaign(tx)
                running.set()
                await tx.exec_driver_sql(SLOW)

        for _ in range(3):
            running.clear()
            task = asyncio.create_task(ask())
            await running.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with store.transaction() as tx:
                assert (await tx.exec_driver_sql("SELECT count(*) FROM campaigns")).scalar() == 0
        assert connections == []


@pytest.mark.asyncio
async def test_a_cursor_whose_statement_still_runs_is_not_closed_under_it() -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold(number: int) -> int:
        if number == LAST:
            held.set()
            assert go_on.wait(60)
        return number

    connection = await connect(Path(":memory:"))
    await connection.create_function("hold", 1, hold)
    cursor = await connection.cursor()
    await cursor.execute(f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LAST}) "  # noqa: S608 -- our own number
                         "SELECT hold(i) FROM n")
    reading = asyncio.create_task(cursor.fetchall())
    try:
        assert await asyncio.to_thread(held.wait, 60)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        closing = asyncio.create_task(cursor.close())
        await asyncio.sleep(0)
        assert not closing.done()      # done on the spot it waits for the statement, and may end the process
    finally:
        go_on.set()
    await closing
    another = await connection.cursor()
    await another.close()
    await connection.close()
