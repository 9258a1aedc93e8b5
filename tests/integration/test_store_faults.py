"""The daemon on a disk that is full or fails, and on a damaged file: nothing is sent, and it says so.

Each fault is a real one: a limit of the kernel's, a full file system, a sync that the kernel fails, bytes that are not
what SQLite wrote.
"""

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from support.daemons import CONFIG, Daemon, arrived, daemon, enqueue, since
from support.needs import need_program, need_root
from support.offices import rows
from support.smtp_server import SmtpServer
from support.world import CAMPAIGN

from dispatcher.store.sqlite import SqliteStore
from dispatcher.store.truth import untrue

WATCHED = {"WATCHDOG_USEC": "400000"}       # a line of status every 0.2 s
FULL = "database or disk is full: nothing is sent until there is room on the store's disk again"
FAILS = ("disk I/O error: the store's disk fails, and nothing is sent until it works; see the kernel's log, "
         "then `dispatcher db check`")
DAMAGED = ("database disk image is malformed: the file is damaged, and nothing is sent by it; stop the daemon and "
           "restore a backup (docs/backup.md); `dispatcher db check` says more")


@pytest.fixture
def folder(tmp_path: Path, server: SmtpServer) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "disk").mkdir(0o700)
    config = CONFIG.replace("sqlite:///store.db", f"sqlite://{tmp_path}/disk/store.db").format(port=server.port)
    (tmp_path / "dispatcher.toml").write_text(config)
    (tmp_path / "campaigns" / "delay").mkdir(parents=True)
    (tmp_path / "campaigns" / "delay" / "campaign.toml").write_text(CAMPAIGN)
    return tmp_path


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own for the store, with little room."""
    need_root()
    made = subprocess.run([need_program("mount"), "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", folder / "disk"],  # noqa: S603 -- our own words
                          capture_output=True, check=False)
    if made.returncode:
        pytest.skip("needs the right to mount")
    yield folder / "disk"
    subprocess.run([need_program("umount"), "-l", folder / "disk"], check=True)  # noqa: S603 -- as above


def room_for(one: Daemon, size: int) -> None:
    """Let the daemon's files grow to so many bytes at most."""
    resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():      # noqa: ASYNC110 -- another process makes it so, which sets no event
        await asyncio.sleep(0.01)


async def sending(one: Daemon, server: SmtpServer, count: int) -> None:
    """In the middle of its work."""
    await one.until_told("READY=1")
    await enqueue(one, count, await since(one))
    await arrived(server, 5)


async def says_and_sends_nothing(one: Daemon, server: SmtpServer, why: str) -> None:
    """The fault is told in the log, to systemd, by `status` and to whoever asks whether it is ready; nothing leaves."""
    line = f"STATUS=nothing is sent, the store cannot be used: {why}"
    await one.until_told(line)
    before = -1
    while len(server.mails) != before:      # what was on its way arrives, and what there was still a little room for
        before = len(server.mails)
        for _ in range(8):                  # more than a slot
            await one.until_told(line)
    assert any(entry.get("why") == why for entry in one.logged)
    async with one.client() as client:
        assert (await client.get("/readyz"))[0] == 503


async def goes_on(one: Daemon, server: SmtpServer, count: int, store: Path) -> None:
    """By itself, and with nothing lost."""
    await arrived(server, count)
    async with one.client() as client:
        await until_accepted(client.call, count)
        status = (await client.call("status"))[1]["result"]
    assert status["daemon"]["store"] == ""
    one.process.send_signal(signal.SIGTERM)
    assert await one.ended() == 0
    assert len(server.mails) == count
    await is_true(store)


async def until_accepted(call: Callable[[str], Awaitable[tuple[int, dict]]], count: int) -> None:
    while (await call("status"))[1]["result"]["messages"]["accepted"] < count:
        pass        # the test's own timeout is the limit


async def is_true(store: Path) -> None:
    opened = await SqliteStore.open(store, "test")
    async with opened.transaction() as tx:
        assert await untrue(tx) == []
    await opened.close()


@pytest.mark.asyncio
async def test_while_the_disk_fails_nothing_is_sent_and_then_it_goes_on(folder: Path, server: SmtpServer) -> None:
    async with daemon(folder, environ=WATCHED) as one:
        await sending(one, server, 30)
        room_for(one, 0)
        await says_and_sends_nothing(one, server, FAILS)
        async with one.client() as client:
            status, said = await client.call("status")
            assert (status, said["result"]["daemon"]["store"]) == (200, FAILS)
            _, said = await client.call("send.requests", {"campaign": "delay", "rows": rows({"customer": "new"})})
            assert said["error"]["message"].endswith(FAILS)
        room_for(one, resource.RLIM_INFINITY)
        await goes_on(one, server, 30, folder / "disk" / "store.db")


@pytest.mark.asyncio
async def test_while_the_disk_is_full_nothing_is_sent_and_then_it_goes_on(
    folder: Path, small_disk: Path, server: SmtpServer
) -> None:
    async with daemon(folder, environ=WATCHED) as one:
        await sending(one, server, 30)
        filler = small_disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4_096))
        await says_and_sends_nothing(one, server, FULL)
        filler.unlink()
        await goes_on(one, server, 30, small_disk / "store.db")


@pytest.mark.asyncio
async def test_a_sync_that_fails_ends_the_daemon_and_the_next_one_goes_by_what_is_there(
    folder: Path, server: SmtpServer
) -> None:
    strace = need_program("strace")
    async with daemon(folder, environ=WATCHED) as one:
        await sending(one, server, 30)
        tracing = await asyncio.create_subprocess_exec(
            strace, "-f", "-qq", "-p", str(one.process.pid), "-e", "trace=fsync,fdatasync",
            "-e", "inject=fsync,fdatasync:error=EIO", stderr=asyncio.subprocess.PIPE)
        traced = (await tracing.communicate())[1].decode()      # it ends with the daemon
        if "Operation not permitted" in traced:
            pytest.skip("needs the right to trace a process")
        assert "INJECTED" in traced, traced
        assert await one.ended() == 1
        told = [entry for entry in one.logged if "could not be brought to the disk" in str(entry)]
        assert told
        ended = len(server.mails)
    assert ended < 30
    async with daemon(folder, environ=WATCHED) as one:
        await one.until_told("READY=1")
        await until(lambda: len({mail.recipient for mail in server.mails}) == 30)
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0
    await is_true(folder / "disk" / "store.db")


def damage(store: Path, mark: bytes) -> None:
    """Overwrite every leaf of a table that has a mark in it."""
    with closing(sqlite3.connect(store)) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(store.read_bytes())
    pages = [start for start in range(0, len(data), 4_096)
             if data[start] == 0x0D and mark in data[start:start + 4_096]]
    assert pages
    for start in pages:
        data[start:start + 4_096] = os.urandom(8) + bytes(4_088)
    store.write_bytes(data)


@pytest.mark.asyncio
async def test_by_a_damaged_file_nothing_is_sent_until_somebody_has_restored_it(
    folder: Path, server: SmtpServer
) -> None:
    store = folder / "disk" / "store.db"
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        async with one.client() as client:
            assert (await client.call("hold", {"reason": "not yet"}))[0] == 200
            await enqueue(one, 20, await since(one))
            requests = rows(*({"customer": f"c{number}", "key": f"k{number}", "data": {"mark": "brimstone"}}
                              for number in range(20)))
            assert (await client.call("send.requests", {"campaign": "delay", "rows": requests}))[0] == 200
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0
    whole = store.read_bytes()
    damage(store, b"brimstone")
    async with daemon(folder, environ=WATCHED) as one:
        await one.until_told("READY=1")
        async with one.client() as client:
            found = (await client.call("db.check"))[1]["result"]["faults"]
            assert [fault for fault in found if fault.startswith("the file")], found
            await client.call("resume", {})
            await says_and_sends_nothing(one, server, DAMAGED)
            status, said = await client.call("status")
            assert (status, said["error"]["message"]) == (500, f"the store cannot do it just now: {DAMAGED}")
        one.process.send_signal(signal.SIGTERM)
        await one.ended()
    assert server.mails == []
    for left in store.parent.iterdir():
        left.unlink()
    store.write_bytes(whole)
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        async with one.client() as client:
            assert (await client.call("db.check"))[1]["result"]["faults"] == []
            await client.call("resume", {})
        await arrived(server, 20)
