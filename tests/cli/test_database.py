"""`db check` and `db backup`, without a daemon and beside one."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.command_line import House, Typing
from support.commands import CHECKOUT
from support.fresh import new_store

from dispatcher.store import backup

BATCH = "INSERT INTO batches (lane, slot, slot_ends, step, size, allowance, released_at, accepted, unsent)"
WRITER = """\
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
print("open", flush=True)
number = 0
while True:
    number += 1
    store.execute("BEGIN IMMEDIATE")
    for name in ("left", "right"):
        store.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                      (name, str(number) * 2000))
    store.execute("INSERT INTO events (at, kind, subject, cause, by, data) VALUES (?, 'x', '', '', '', ?)",
                  (number, "x" * 3000))
    store.execute("COMMIT")
"""


@pytest.fixture
def filled(home: House, typed: Typing) -> House:
    """A store with 300 messages."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    people = home.people([{"id": f"c{number}", "email": f"c{number}@mail.example", "name": "Ann",
                           "location": "DE/Hamburg", "last_active_at": today} for number in range(300)])
    for words in (("customers", "import", people), ("campaign", "apply", home.campaign()), ("send", "delay")):
        assert typed(*words).code == 0
    return home


def run(store: Path, *statements: str) -> None:
    with closing(sqlite3.connect(store)) as opened, opened:
        for statement in statements:
            opened.execute(statement)


def spoil(store: Path, table: str) -> None:
    """Overwrite a table's first page."""
    with closing(sqlite3.connect(store)) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = opened.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    with store.open("r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"\xff" * 4_096)


def litter(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if ".part" in file.name]


# check

def test_a_whole_store_is_said_to_be_whole(filled: House, typed: Typing) -> None:
    ended = typed("db", "check")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == ("the store is whole: the file and its references, ledger and tallies, 300 messages; "
                         "schema 0003\n")
    assert typed("db", "check", "--json").data == {"kind": "sqlite", "schema": "0003", "messages": 300, "faults": []}


@pytest.mark.parametrize(("statement", "fault"), [
    ("UPDATE tallies SET count = count + 1",
     "tallies: ('delay', 'support/other', 2, 0, 'DE/Hamburg', 'queued', '') has 301, and there are 300"),
    ("UPDATE messages SET state = 'sending', slot = 0 WHERE id = 7",
     "message 7: it is being sent by support/other in no batch (1970-01-01T00:00:00Z)"),
    ("UPDATE messages SET state = 'sending', slot = 0 WHERE id = 7",
     "support/other: 1 attempts in the batch of 1970-01-01T00:00:00Z, whose size is 0"),
    ("INSERT INTO attempts VALUES (7, 1, 0, 'support/other', 0, 'accepted', '', '')",
     "message 7: its attempt 1 is none that it knows of"),
    ("INSERT INTO attempts VALUES (9000, 1, 0, 'support/other', 0, 'accepted', '', '')",
     "attempts: row 1 belongs to none of messages"),
    (f"{BATCH} VALUES ('a/b', 0, 9, 0, 5, 4, 0, 0, 0)",
     "a/b: 5 released by 1970-01-01T00:00:00Z, allowed 4"),
    (f"{BATCH} VALUES ('a/b', 0, 9, 0, 5, 5, 0, 0, 0)",
     "a/b: the step 1970-01-01T00:00:00Z says 0 spent, its batches 5"),
    (f"{BATCH} VALUES ('a/b', 0, 9, 0, 5, 5, 0, 4, 2)",
     "a/b: 6 outcomes of the batch of 1970-01-01T00:00:00Z, whose size is 5"),
])
def test_what_does_not_agree_is_named_with_exit_code_1(
    filled: House, typed: Typing, statement: str, fault: str
) -> None:
    run(filled.folder / "dispatcher.db", statement)
    ended = typed("db", "check")
    assert (ended.code, ended.out) == (1, "")
    assert fault in ended.errors
    assert ended.errors[-1] == "the store is not whole: docs/backup.md says what to do"
    assert fault in typed("db", "check", "--json").data["faults"]


def test_parts_of_a_batch_that_are_not_its_sum_are_named(filled: House, typed: Typing) -> None:
    run(filled.folder / "dispatcher.db",
        f"{BATCH} VALUES ('a/b', 0, 9, 0, 5, 5, 0, 0, 0)",
        "INSERT INTO batch_parts VALUES ('a/b', 0, 'delay', 'DE', 0, 3, 3)")
    assert "a/b: the parts of the batch of 1970-01-01T00:00:00Z are 3, whose size is 5" in typed("db", "check").errors


def test_a_damaged_page_is_found_and_what_can_be_read_is_still_checked(filled: House, typed: Typing) -> None:
    spoil(filled.folder / "dispatcher.db", "messages")
    ended = typed("db", "check")
    assert (ended.code, ended.out) == (1, "")
    assert any(line.startswith("the file") for line in ended.errors)
    assert "the tallies cannot be read: database disk image is malformed" in ended.errors


@pytest.mark.parametrize("bytes_of", [lambda _: b"no database " * 999, lambda whole: whole[:4_096] + bytes(9_000)])
def test_a_file_that_is_no_whole_database_is_refused_with_what_to_do(
    filled: House, typed: Typing, bytes_of
) -> None:
    store = filled.folder / "dispatcher.db"
    store.write_bytes(bytes_of(store.read_bytes()))
    for words in (("db", "check"), ("status",)):
        ended = typed(*words)
        assert (ended.code, ended.out) == (1, "")
        assert "restore a backup" in ended.err
    made = typed("db", "backup", "copy.db")
    assert (made.code, (filled.folder / "copy.db").exists(), litter(filled.folder)) == (1, False, [])
    assert "see `dispatcher db check`" in made.err


# backup

def test_a_backup_is_a_store_in_one_file_of_its_owners_alone(filled: House, typed: Typing) -> None:
    ended = typed("db", "backup", "copy.db")
    copy = filled.folder / "copy.db"
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{copy}: {copy.stat().st_size:,} bytes, whole and on the disk; schema 0003\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [file.name for file in filled.folder.iterdir() if "copy" in file.name] == ["copy.db"]
    for left in filled.folder.glob("dispatcher.db*"):
        left.unlink()
    copy.rename(filled.folder / "dispatcher.db")
    assert typed("db", "check", "--json").data["messages"] == 300
    assert typed("db", "backup", "again.db", "--json").data["schema"] == "0003"


def test_what_is_there_already_is_not_overwritten(filled: House, typed: Typing) -> None:
    filled.write("there.db", "mine")
    (filled.folder / "dangling.db").symlink_to("nowhere")
    for name in ("there.db", "dangling.db"):
        ended = typed("db", "backup", name)
        assert (ended.code, ended.out) == (1, "")
        assert f"{name} exists already" in ended.err
    assert (filled.folder / "there.db").read_text() == "mine"
    assert not (filled.folder / "nowhere").exists()


def test_a_name_taken_meanwhile_is_left_as_it_is(
    filled: House, typed: Typing, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = backup._look_through

    def looked(copy: Path, schema: str) -> None:
        look(copy, schema)
        filled.write("copy.db", "theirs")

    monkeypatch.setattr(backup, "_look_through", looked)
    ended = typed("db", "backup", "copy.db")
    assert (ended.code, litter(filled.folder)) == (1, [])
    assert "by somebody else meanwhile" in ended.err
    assert (filled.folder / "copy.db").read_text() == "theirs"


def test_where_it_cannot_be_written_nothing_is_left(filled: House, typed: Typing) -> None:
    ended = typed("db", "backup", "none/copy.db")
    assert ended.code == 1
    assert ended.err == f"{filled.folder}/none/copy.db cannot be written: No such file or directory\n"
    ended = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 40; exec "$@"', "sh", sys.executable, "-m", "dispatcher.cli.main",
         "db", "backup", "copy.db"], cwd=filled.folder, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "no backup was made" in ended.stderr
    assert [file.name for file in filled.folder.iterdir() if "copy" in file.name] == []


def test_a_damaged_store_makes_no_backup(filled: House, typed: Typing) -> None:
    spoil(filled.folder / "dispatcher.db", "messages")
    ended = typed("db", "backup", "copy.db")
    assert (ended.code, ended.out, litter(filled.folder)) == (1, "", [])
    assert "the copy is not whole" in ended.err
    assert not (filled.folder / "copy.db").exists()


def test_a_store_that_is_not_there_or_another_programs_makes_no_backup(home: House, typed: Typing) -> None:
    ended = typed("db", "backup", "copy.db")
    assert (ended.code, ended.err) == (1, f"there is no store {home.folder}/dispatcher.db yet\n")
    run(home.folder / "dispatcher.db", "CREATE TABLE bookmarks (url TEXT)")
    ended = typed("db", "backup", "copy.db")
    assert (ended.code, ended.err) == (1, "[store] url names no store of the dispatcher's\n")
    assert litter(home.folder) == []


def test_a_store_in_postgresql_is_left_to_pg_dump(home: House, typed: Typing) -> None:
    file = home.folder / "dispatcher.toml"
    file.write_text(file.read_text().replace("sqlite:///dispatcher.db", "postgresql://ann@db.example/mail"))
    ended = typed("db", "backup", "copy.db")
    assert (ended.code, ended.out) == (1, "")
    assert "pg_dump" in ended.err
    assert "db.example" in ended.err


def test_a_configuration_with_faults_says_them(home: House, typed: Typing) -> None:
    home.write("dispatcher.toml", "[stroe]\n")
    assert typed("db", "backup", "copy.db").code == 2


# Beside others

@pytest.fixture
def writer(home: House) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes all the time."""
    store = new_store(home.folder / "dispatcher.db")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(store)], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 -- our own program
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_backup_of_a_store_that_is_written_all_the_time_is_one_moment_of_it(
    home: House, typed: Typing, writer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAGES", 1)     # many chances to be written between two of them
    seen = []
    for number in range(5):
        assert typed("db", "backup", f"copy{number}.db").code == 0
        with closing(sqlite3.connect(home.folder / f"copy{number}.db")) as copy:
            values = [value for (value,) in copy.execute("SELECT value FROM meta WHERE name IN ('left', 'right')")]
            newest = copy.execute("SELECT max(at) FROM events").fetchone()[0]
        assert values == [str(newest) * 2000] * 2 if newest else values == []
        seen.append(newest or 0)
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_both_work_beside_a_daemon_and_the_copy_is_whole(filled: House, typed: Typing) -> None:
    with filled.daemon():
        assert typed("db", "check", "--json").data["faults"] == []
        assert typed("db", "backup", "copy.db").code == 0
        assert typed("status", "--json").data["daemon"]["running"] is True
    for left in filled.folder.glob("dispatcher.db*"):
        left.unlink()
    (filled.folder / "copy.db").rename(filled.folder / "dispatcher.db")
    ended = typed("db", "check", "--json")
    assert (ended.code, ended.data["messages"]) == (0, 300)
