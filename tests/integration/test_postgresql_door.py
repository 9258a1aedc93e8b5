"""Being let in: a server of its own with TLS and passwords, and what is said to those who do not get in."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme
from support.command_line import house
from support.needs import missing

from config.postgresql import parse_postgresql
from dispatcher.store.database import StoreError
from dispatcher.store.postgresql import Address, PostgresqlStore

PORT = 54_000 + os.getpid() % 900
FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)      # where Debian keeps a server's programs
SECRET = "hunter2"
ACCESS = """\
local   all postgres           trust
local   all acme               scram-sha-256
hostssl all acme 127.0.0.1/32  scram-sha-256
"""


def program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *map(str, FOLDERS))))
    if found is None:
        missing(f"PostgreSQL's program {name}")
    return found


def as_owner(*command: str, folder: Path) -> None:
    """Run a program as somebody whom the server lets run it: not as root."""
    prefix = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    subprocess.run([*prefix, *command], cwd=folder, check=True, stdin=subprocess.DEVNULL,  # noqa: S603 -- our own commands
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of a server that runs: its socket, and `ca.pem`."""
    initdb, control = program("initdb"), program("pg_ctl")
    with TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        data = place / "data"
        data.mkdir()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(place / "ca.pem")
        certificate = authority.issue_cert("localhost")
        if os.geteuid() == 0:
            shutil.chown(data, "postgres")
            shutil.chown(place, "postgres")
        as_owner(initdb, "--pgdata", str(data), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8",
                 "--no-sync", folder=place)
        (data / "pg_hba.conf").write_text(ACCESS)
        certificate.private_key_pem.write_to_path(data / "server.key")
        certificate.cert_chain_pems[0].write_to_path(data / "server.crt")
        (data / "server.key").chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(data / "server.key", "postgres")
        as_owner(control, "--pgdata", str(data), "--log", str(place / "log"), "--wait", "start", "--options",
                 f"-p {PORT} -k {place} -c listen_addresses=127.0.0.1 -c ssl=on -c fsync=off", folder=place)
        try:
            for statement in ("CREATE ROLE acme LOGIN PASSWORD 'hunter2'", "CREATE DATABASE notify OWNER acme"):
                as_owner(program("psql"), "-h", name, "-p", str(PORT), "-U", "postgres", "-c", statement, folder=place)
            yield place
        finally:
            as_owner(control, "--pgdata", str(data), "--mode", "immediate", "stop", folder=place)


def address(url: str, folder: Path, password: str = SECRET, ca: str = "") -> Address:
    text = url.format(port=PORT, folder=folder)
    return Address(parse_postgresql(text), password, folder / ca if ca else None)


@pytest.mark.asyncio
@pytest.mark.parametrize(("url", "ca"), [
    ("postgresql://acme@localhost:{port}/notify?sslmode=verify-full", "ca.pem"),
    ("postgresql://acme@127.0.0.1:{port}/notify?sslmode=verify-ca", "ca.pem"),
    ("postgresql://acme@127.0.0.1:{port}/notify?sslmode=require", ""),
    ("postgresql://acme@127.0.0.1:{port}/notify", ""),
    ("postgresql://acme@/notify?host={folder}&port={port}", ""),
])
async def test_an_owner_without_further_rights_gets_in_by_each_door(url: str, ca: str, folder: Path) -> None:
    store = await PostgresqlStore.open(address(url, folder, ca=ca), "run")
    try:
        async with store.transaction() as tx:
            encrypted = (await tx.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar()
        assert encrypted == ("host=" not in url)
    finally:
        await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(("url", "ca", "password", "said"), [
    ("postgresql://acme@localhost:{port}/notify?sslmode=verify-full", "", "hunter2", "certificate verify failed"),
    ("postgresql://acme@127.0.0.1:{port}/notify?sslmode=verify-full", "ca.pem", "hunter2", "127.0.0.1"),
    ("postgresql://acme@127.0.0.1:{port}/notify?sslmode=disable", "", "hunter2", "no pg_hba.conf entry"),
    ("postgresql://acme@127.0.0.1:{port}/notify", "", "hunter3", 'password authentication failed for user "acme"'),
    ("postgresql://acme@127.0.0.1:{port}/notify", "", "", 'password authentication failed for user "acme"'),
    ("postgresql://acme@127.0.0.1:{port}/other", "", "hunter2", 'database "other" does not exist'),
])
async def test_who_does_not_get_in_is_told_why_and_the_password_is_not(
        url: str, ca: str, password: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")     # which is nobody's to look for
    with pytest.raises(StoreError) as refused:
        await PostgresqlStore.open(address(url, folder, password, ca), "run")
    assert said in str(refused.value)
    assert "hunter" not in str(refused.value)


# As commands

def test_a_store_moves_in_by_a_password_in_a_file_and_commands_find_it_there(folder: Path, tmp_path: Path) -> None:
    here = house(tmp_path)
    here.write("secret", f"{SECRET}\n").chmod(0o600)
    people = here.people([{"id": f"c{number}", "email": f"c{number}@mail.example"} for number in range(3)])
    assert here.type("customers", "import", people).code == 0
    url, authority = f"postgresql://acme@localhost:{PORT}/notify?sslmode=verify-full", folder / "ca.pem"
    wrong = here.type("db", "copy", "--to", url, "--ca-file", authority, "--password-env", "WRONG",
                      env={"WRONG": "hunter3"})
    assert (wrong.code, "hunter" in wrong.err) == (1, False)
    assert 'password authentication failed for user "acme"' in wrong.err
    ended = here.type("db", "copy", "--to", url, "--ca-file", authority, "--password-file", "secret")
    assert (ended.code, ended.err) == (0, "")
    assert f'url = "{url}", the password beside it, ca_file = "{authority}"' in ended.out
    config = (tmp_path / "dispatcher.toml").read_text().replace(
        'url = "sqlite:///dispatcher.db"',
        f'url = "{url}"\nca_file = "{authority}"\npassword = {{ file = "secret" }}')
    (tmp_path / "dispatcher.toml").write_text(config)
    ended = here.type("customers", "show", "c2", "--json")
    assert (ended.code, ended.err) == (0, "")
    back = here.type("db", "copy", "--to", "sqlite:///back.db")
    assert (back.code, back.err) == (0, "")
