"""`db copy`, as it is typed: what it says, what it refuses, and where a password may stand."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine
from support.command_line import House, Typing
from support.fresh import new_store

from dispatcher.store import migrate


@pytest.fixture
def filled(home: House, typed: Typing) -> House:
    """A store with 30 customers."""
    people = home.people([{"id": f"c{number}", "email": f"c{number}@mail.example"} for number in range(30)])
    assert typed("customers", "import", people).code == 0
    return home


def point_at(house: House, store: str) -> None:
    """Change [store] url."""
    file = house.folder / "dispatcher.toml"
    file.write_text(file.read_text().replace("sqlite:///dispatcher.db", store))


def tables(path: Path) -> int:
    with closing(sqlite3.connect(path)) as store:
        return int(store.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def test_a_copy_is_compared_table_by_table_and_says_what_to_change(filled: House, typed: Typing) -> None:
    ended = typed("db", "copy", "--to", "sqlite:///copy.db")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].split() == ["table", "rows", "checksum", "copied", "its", "checksum", "verdict"]
    (people,) = [line.split() for line in lines if line.startswith("customers ")]
    assert (people[1], people[2], people[5]) == (people[3], people[4], "same") == ("30", people[4], "same")
    assert lines[-2:] == [
        f'all is the same; now write in [store] of dispatcher.toml: url = "sqlite:///{filled.folder}/copy.db"',
        "then start the daemon; nothing may be sent from the old store any more"]
    point_at(filled, "sqlite:///copy.db")
    assert typed("db", "check", "--json").data["faults"] == []
    assert typed("customers", "show", "c7").code == 0


def test_as_json_it_has_every_table(filled: House, typed: Typing) -> None:
    made = typed("db", "copy", "--to", "sqlite:///copy.db", "--json").data
    assert (made["start"], made["finished"]) == ("begun", True)
    assert made["source"] == f"sqlite:///{filled.folder}/dispatcher.db"
    (people,) = [one for one in made["tables"] if one["table"] == "customers"]
    assert (people["rows"], people["copy_rows"], people["same"]) == (30, 30, True)
    assert len(people["checksum"]) == 32
    assert people["checksum"] == people["copy_checksum"]


def test_beside_a_daemon_nothing_is_copied_and_it_is_named(filled: House, typed: Typing) -> None:
    with filled.daemon() as process:
        ended = typed("db", "copy", "--to", "sqlite:///copy.db")
    assert (ended.code, ended.out) == (1, "")
    assert f"in use by process {process.pid} (dispatcher run)" in ended.err
    assert "stop it first" in ended.err
    assert not (filled.folder / "copy.db").exists()


def test_nobody_opens_a_copy_that_is_not_finished(
    filled: House, typed: Typing, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dispatcher.store import copying  # noqa: PLC0415 -- the command imports it when it is called

    async def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(copying, "_settle", broken)
        assert typed("db", "copy", "--to", "sqlite:///copy.db").code == 130
    config = (filled.folder / "dispatcher.toml").read_text()
    point_at(filled, "sqlite:///copy.db")
    for words in (("status",), ("db", "check")):
        ended = typed(*words)
        assert ended.code == 1
        assert f"it is an unfinished copy of sqlite:///{filled.folder}/dispatcher.db; let [store] url name" in ended.err
    ended = filled.type("run")
    assert (ended.code, "it is an unfinished copy of" in ended.err) == (1, True)
    (filled.folder / "dispatcher.toml").write_text(config)
    ended = typed("db", "copy", "--to", "sqlite:///copy.db")
    assert (ended.code, ended.out.splitlines()[0]) == (
        0, "resumed: what an earlier copy had brought is still what the store holds")


def test_a_store_that_is_not_there_is_not_made(home: House, typed: Typing) -> None:
    ended = typed("db", "copy", "--to", "sqlite:///copy.db")
    assert (ended.code, ended.err) == (1, f"there is no store {home.folder}/dispatcher.db yet\n")
    assert list(home.folder.glob("*.db*")) == []


def test_a_store_of_an_older_schema_is_not_migrated_by_the_way(home: House, typed: Typing) -> None:
    store = home.folder / "dispatcher.db"
    engine = create_engine(f"sqlite:///{store}")
    with engine.begin() as connection:
        command.upgrade(migrate.configuration(connection), "0001")
    engine.dispose()
    before = tables(store)
    ended = typed("db", "copy", "--to", "sqlite:///copy.db")
    assert ended.code == 1
    assert f"its schema is 0001, older than this program's {migrate.NEWEST}" in ended.err
    assert tables(store) == before


@pytest.mark.parametrize(("words", "said"), [
    (("--to", "copy.db"), "--to: is no store; write"),
    (("--to", "postgresql://ann:secret@db.example/mail"), "--to: holds a password, which everybody"),
    (("--to", "sqlite:///copy.db", "--password-file", "secret"), "--password-file: means nothing to a store in a SQL"),
    (("--to", "postgresql://ann@db.example/mail", "--password-file", "none"), "--password-file: cannot be read: there"),
    (("--to", "postgresql://ann@db.example/mail", "--password-env", "NONE"), "--password-env: cannot be read: the env"),
    (("--to", "postgresql://ann@db.example/mail", "--password-env", "A", "--password-file", "b"), "one place of the"),
    (("--to", "postgresql://ann@db.example/mail", "--ca-file", "secret"), "--ca-file: holds no certificate"),
    (("--to", "postgresql://ann@db.example/mail?sslmode=disable", "--password-file", "secret"), "--to: would send"),
    (("--to", "sqlite:///dispatcher.db"), "is the store itself"),
])
def test_wrong_options_are_named_and_no_secret_is_said(
    filled: House, typed: Typing, words: tuple[str, ...], said: str
) -> None:
    filled.write("secret", "hunter2\n")
    ended = typed("db", "copy", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert "secret@" not in ended.err
    assert "hunter2" not in ended.err


def test_the_password_of_the_configuration_is_read(home: House, typed: Typing) -> None:
    point_at(home, 'postgresql://ann@127.0.0.1/mail"\npassword = { env = "NOT_SET" }\n#"')
    ended = typed("db", "copy", "--to", "sqlite:///copy.db")
    assert ended.code == 2
    assert "dispatcher.toml:3: store.password: cannot be read: the environment has no NOT_SET" in ended.err


def test_a_server_that_does_not_answer_is_said_and_nothing_is_made(home: House, typed: Typing) -> None:
    new_store(home.folder / "dispatcher.db")
    ended = typed("db", "copy", "--to", "postgresql://ann@127.0.0.1:9/mail")
    assert (ended.code, ended.out) == (1, "")
    assert "the store postgresql://ann@127.0.0.1:9/mail cannot be used" in ended.err
