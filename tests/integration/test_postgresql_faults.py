"""The daemon on a PostgreSQL server whose disk is full, that is slow, or that does not answer for a while.

The disk is a real one of its own: a tablespace on a small file system. What is told to a producer, and what is sent, is
held against what the database has and what the mail server saw.
"""

import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest
import pytest_asyncio
from support.admin import Client
from support.cluster import Cluster, cluster, made
from support.daemons import Daemon, arrived, daemon, enqueue, since, write
from support.houses import EVEN, shared
from support.needs import need_program, need_root
from support.offices import rows
from support.postgresql import connect, emptied, tell
from support.smtp_server import SmtpServer
from support.tcp_proxy import Proxy, proxy

from dispatcher.store.postgresql import Address

pytestmark = pytest.mark.timeout(300)       # a server and a daemon that start on what may be a busy machine
WATCHED = {"WATCHDOG_USEC": "400000"}       # a line of status every 0.2 s
NOTHING = "STATUS=nothing is sent, the store cannot be used: "
FULL = "the database server's disk is full: nothing is sent until there is room on it again"
SILENT = "it is not heard from: no answer in time"
FAR = "the store answers after 0.4"
COUNT = 900     # more than a step allows, so that there is something to send for a while


@pytest_asyncio.fixture
async def small() -> AsyncIterator[tuple[Cluster, Path]]:
    """A server whose database `small` has a file system of its own, with little room."""
    need_root()
    async with cluster() as one:
        disk = made(one.folder / "small")
        mount = subprocess.run([need_program("mount"), "-t", "tmpfs", "-o", "size=32m,mode=0700,uid=postgres", "tmpfs",  # noqa: ASYNC221, S603 -- our own words, and nothing runs beside it
                                disk], capture_output=True, check=False)
        if mount.returncode:
            pytest.skip("needs the right to mount")
        try:
            await tell(f"CREATE TABLESPACE small LOCATION '{disk}'",
                       "CREATE DATABASE small TEMPLATE template0 ENCODING 'UTF8' TABLESPACE small", address=one.address)
            yield one, disk
        finally:
            await one.stop()
            subprocess.run([need_program("umount"), "-l", disk], check=True)  # noqa: ASYNC221, S603 -- as above


def through(address: Address, door: Proxy) -> Address:
    """The database, by way of the door."""
    return replace(address, database=replace(address.database, port=door.port))


async def ends_with_all_sent_once(one: Daemon, server: SmtpServer, address: Address, count: int) -> None:
    """By itself: every message that somebody was told of, and no other, has reached the server, once."""
    await arrived(server, count)
    one.process.send_signal(signal.SIGTERM)
    assert await one.ended() == 0
    looking = await connect(address)
    states = {tuple(row) for row in await looking.fetch("SELECT state, doubts FROM messages")}
    people = {row["customer"] for row in await looking.fetch("SELECT customer FROM messages")}
    await looking.close()
    assert states == {("accepted", 0)}
    assert Counter(mail.recipient.split("@")[0] for mail in server.mails) == dict.fromkeys(people, 1)
    assert len(people) == count


async def refused(one: Daemon, count: int) -> None:
    """Return once so many further slots could not be released."""
    before = [line["event"] for line in one.logged].count("release_failed")
    await one.until_logged("release_failed", before + count)


async def stands_still(one: Daemon, server: SmtpServer) -> int:
    """How many mails there are once what was released and marked before has left, or what a commit found room for."""
    while True:
        sent = len(server.mails)
        await refused(one, 2)
        if len(server.mails) == sent:
            return sent


async def said_of_the_daemon(client: Client) -> str:
    """Why it sends late, as `status` says it, also where it gives up on the store."""
    status, said = await client.call("status")
    return str(said["result"]["daemon"]["late"] if status == 200 else said["error"]["message"])


@pytest.mark.asyncio
async def test_while_the_servers_disk_is_full_nobody_is_told_yes_and_then_it_goes_on(
        tmp_path: Path, server: SmtpServer, small: tuple[Cluster, Path]) -> None:
    primary, disk = small
    address = replace(primary.address, database=replace(primary.address.database, database="small"))
    write(tmp_path, shared(address, server.port, EVEN))
    async with daemon(tmp_path, environ=WATCHED) as one:
        await one.until_told("READY=1")
        async with one.client() as client:
            await enqueue(one, COUNT, await since(one))
            await arrived(server, 5)
            filler = disk / "filler"
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4_096))
            large = {"campaign": "delay", "rows": rows(*(
                {"customer": f"c{number}", "key": f"large{number}", "data": {"large": token_hex(8_000)}}
                for number in range(30)))}
            _, said = await client.call("send.requests", large)
            assert said["error"]["message"].endswith(FULL), said
            await one.until_told(NOTHING + FULL)
            assert (await client.call("status"))[1]["result"]["daemon"]["store"] == FULL
            handed_over = await stands_still(one, server)
            await refused(one, 2)
            assert (await client.call("status"))[1]["result"]["daemon"]["store"] == FULL
            assert len(server.mails) == handed_over < COUNT
            filler.unlink()
        await ends_with_all_sent_once(one, server, address, COUNT)


@asynccontextmanager
async def behind_a_door(folder: Path, server: SmtpServer) -> AsyncIterator[tuple[Daemon, Client, Proxy, Address]]:
    """A daemon that reaches its server through a proxy, sending the first of a hundred."""
    address = await emptied()
    async with proxy(address.database.host, address.database.port) as door:
        write(folder, shared(through(address, door), server.port))
        async with daemon(folder, environ=WATCHED) as one, one.client() as client:
            await one.until_told("READY=1")
            await enqueue(one, 100, await since(one))
            await arrived(server, 5)
            yield one, client, door, address


@pytest.mark.long       # what is said of it: tests/core/test_distance.py, tests/integration/test_watch.py
@pytest.mark.asyncio
async def test_a_server_that_is_far_away_is_said_to_be_and_all_goes_on_more_slowly(
        tmp_path: Path, server: SmtpServer) -> None:
    async with behind_a_door(tmp_path, server) as (one, client, door, address):
        door.delay = 0.2
        assert FAR in (await one.until_logged("store_far"))["why"]
        sent = len(server.mails)
        await one.until_told_of("STATUS=sending late: " + FAR)
        assert FAR in await said_of_the_daemon(client)
        metrics = (await client.get("/metrics"))[1]
        assert "dispatcher_store_failing 1.0" in metrics
        await arrived(server, sent + 12)        # more than what was released before
        door.delay = 0.0
        await one.until_logged("store_near")
        assert (await client.call("status"))[1]["result"]["daemon"]["late"] == ""
        await ends_with_all_sent_once(one, server, address, 100)
        assert [line["event"] for line in one.logged].count("store_far") == 1


@pytest.mark.asyncio
async def test_a_server_that_says_nothing_for_longer_than_the_lease_stops_all_until_it_is_back(
        tmp_path: Path, server: SmtpServer) -> None:
    async with behind_a_door(tmp_path, server) as (one, client, door, address):
        door.passing.clear()
        await one.until_told(NOTHING + SILENT)
        sent = len(server.mails)
        _, said = await client.call("status")
        assert said["error"]["message"].endswith(SILENT), said
        assert (await client.get("/readyz"))[0] == 503
        assert len(server.mails) == sent < 100
        door.passing.set()
        await ends_with_all_sent_once(one, server, address, 100)
