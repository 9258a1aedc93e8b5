"""The store in PostgreSQL as ops write it: the address in full, and every slip in it told without the secret."""

from pathlib import Path

import pytest
from support.config_files import LEAST, faults, loaded, only_fault

from config.changes import changes
from config.postgresql import Postgresql, SslMode, parse_postgresql

SECRET = {"PW": "hunter2"}


@pytest.mark.parametrize(("url", "meant", "written"), [
    ("postgresql://acme@db.acme.example/notify", Postgresql("acme", "db.acme.example", 5432, "notify", SslMode.PREFER),
     "postgresql://acme@db.acme.example:5432/notify"),
    ("postgresql://acme@DB:6432/notify?sslmode=verify-full",
     Postgresql("acme", "db", 6432, "notify", SslMode.VERIFY_FULL), "postgresql://acme@db:6432/notify?sslmode=verify-full"),
    ("postgresql://acme@[::1]:5432/notify?sslmode=disable", Postgresql("acme", "::1", 5432, "notify", SslMode.DISABLE),
     "postgresql://acme@[::1]:5432/notify?sslmode=disable"),
    ("postgresql://a%40b@db/x%2Fy%20z", Postgresql("a@b", "db", 5432, "x/y z", SslMode.PREFER),
     "postgresql://a%40b@db:5432/x%2Fy%20z"),
    ("postgresql://acme@/notify?host=/run/postgresql",
     Postgresql("acme", "/run/postgresql", 5432, "notify", SslMode.DISABLE),
     "postgresql://acme@/notify?host=/run/postgresql"),
    ("postgresql://acme@/notify?port=5433&host=%2Frun%2Fpostgresql",
     Postgresql("acme", "/run/postgresql", 5433, "notify", SslMode.DISABLE),
     "postgresql://acme@/notify?host=/run/postgresql&port=5433"),
])
def test_an_address_is_read_and_written_in_full(url: str, meant: Postgresql, written: str, tmp_path: Path) -> None:
    assert parse_postgresql(url) == meant
    assert str(meant) == written
    assert parse_postgresql(written) == meant
    store = loaded(tmp_path, f"[store]\nurl = '{url}'\n{LEAST}").settings.store
    assert (store.url, store.postgresql, store.path) == (written, meant, None)


@pytest.mark.parametrize(("url", "problem"), [
    ("postgresql://", "names no user"),
    ("postgresql://db/notify", "names no user"),
    ("postgresql://@db/notify", "names no user"),
    ("postgresql://acme@db", "names no database"),
    ("postgresql://acme@db/", "names no database"),
    ("postgresql://acme@/notify", "names no host"),
    ("postgresql://acme:hunter2@db/notify", "holds a password; write it as password"),
    ("postgresql://acme:@db/notify", "holds a password"),
    ("postgresql://acme:hunter2/2@db/notify", "holds a password"),
    ("postgresql://acme:hunter2?@db/notify", "holds a password"),
    ("postgresql://acme@db/notify?password=hunter2", "has password after the ?; write password instead"),
    ("postgresql://acme@db/notify?sslrootcert=/etc/ca.pem", "has sslrootcert after the ?; write ca_file instead"),
    ("postgresql://acme@db:x/notify", "has no valid port"),
    ("postgresql://acme@db:70000/notify", "has no valid port; it must be from 1 to 65535"),
    ("postgresql://acme@[::g]/notify", "has no valid IPv6 address"),
    ("postgresql://acme@a,b/notify", "has no valid host name"),
    ("postgresql://acme@db/notify#x", "is no address of a database"),
    ("postgresql://acme@db/notify?sslmod=require", 'has an unknown option after the ? (did you mean "sslmode"?); the '),
    ("postgresql://acme@db/notify?sslmode=verify_full", 'has an unknown sslmode (did you mean "verify-full"?)'),
    ("postgresql://acme@db/notify?sslmode=disable&sslmode=require", "has sslmode twice"),
    ("postgresql://acme@db/notify?host=/run", "names two hosts"),
    ("postgresql://acme@/notify?host=run", "names a folder after host= that does not begin with a slash"),
    ("postgresql://acme@/notify?host=/run&sslmode=require", "has an sslmode for a Unix socket"),
    ("postgresql://acme@db/notify?port=5433", "has its port in the wrong place"),
    ("postgresql://acme@db/%00", "has no usable database"),
    ("postgresql://acme@db/%ff", "has no usable database"),
    ("postgresql://ac%me@db/notify", "has no usable user"),
    ("postgresql://acme@db/" + "n" * 64, "has a database of more than 63 bytes"),
])
def test_a_wrong_address_is_refused_at_its_line_and_never_repeated(url: str, problem: str, tmp_path: Path) -> None:
    said = only_fault(tmp_path, f"[store]\nurl = '{url}'\n{LEAST}")
    assert said.startswith(f"dispatcher.toml:2: store.url: {problem}")
    assert "hunter2" not in said
    assert "acme@" not in said


def test_the_password_is_a_secret_beside_the_url_and_is_shown_nowhere(tmp_path: Path) -> None:
    text = f"[store]\nurl = 'postgresql://acme@db/notify'\npassword = {{ env = 'PW' }}\n{LEAST}"
    one = loaded(tmp_path, text, SECRET).settings
    assert one.store.password is not None
    assert one.store.password.get_secret_value() == "hunter2"
    assert "hunter2" not in f"{one!r} {one.model_dump_json()}"
    other = loaded(tmp_path, text, {"PW": "hunter3"}).settings
    assert [str(change) for change in changes(one, other)] == ["store.password: changed (after a restart)"]


def test_a_password_in_the_file_itself_is_refused(tmp_path: Path) -> None:
    said = only_fault(tmp_path, f"[store]\nurl = 'postgresql://acme@db/notify'\npassword = 'hunter2'\n{LEAST}")
    assert said.startswith("dispatcher.toml:3: store.password: must say where the secret is")
    assert "hunter2" not in said


def test_a_password_file_that_everyone_may_read_is_worth_a_word(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "secret").chmod(0o644)
    found = loaded(tmp_path, f"[store]\nurl = 'postgresql://acme@db/n'\npassword = {{ file = 'secret' }}\n{LEAST}")
    assert [(fault.line, fault.key) for fault in found.warnings if "everyone" in fault.problem] == [
        (3, "store.password")]


def test_a_variable_that_holds_the_password_is_known(tmp_path: Path) -> None:
    text = f"[store]\nurl = 'postgresql://acme@db/n'\npassword = {{ env = 'DISPATCHER_DB' }}\n{LEAST}"
    assert loaded(tmp_path, text, {"DISPATCHER_DB": "hunter2"}).warnings == ()


@pytest.mark.parametrize(("url", "clear"), [
    ("postgresql://acme@db/n?sslmode=disable", True), ("postgresql://acme@localhost/n?sslmode=disable", False),
    ("postgresql://acme@127.0.0.1/n?sslmode=disable", False), ("postgresql://acme@/n?host=/run", False),
    ("postgresql://acme@db/n", False),
])
def test_a_password_goes_to_another_machine_only_where_it_may_be_encrypted(
        url: str, clear: bool, tmp_path: Path) -> None:  # noqa: FBT001 -- a column of the table
    text = f"[store]\nurl = '{url}'\npassword = {{ env = 'PW' }}\n{LEAST}"
    if clear:
        assert "2: store.url: would send all that is stored in clear" in only_fault(tmp_path, text, SECRET)
    else:
        loaded(tmp_path, text, SECRET)


def test_what_a_kind_of_store_has_no_use_for_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    keys = "password = { env = 'PW' }\nca_file = 'ca.pem'"
    assert [said.partition(": ")[2] for said in faults(tmp_path, f"[store]\n{keys}\n{LEAST}", SECRET)] == [
        "store.password: means nothing to a store in a SQLite file; leave it out",
        "store.ca_file: means nothing to a store in a SQLite file; leave it out"]
    assert "means nothing unless the url insists: ?sslmode=verify-full" in only_fault(
        tmp_path, f"[store]\nurl = 'postgresql://acme@db/n'\n{keys}\n{LEAST}", SECRET)
    store = loaded(tmp_path, f"[store]\nurl = 'postgresql://acme@db/n?sslmode=verify-ca'\n{keys}\n{LEAST}", SECRET)
    assert store.settings.store.ca_file == tmp_path / "ca.pem"
