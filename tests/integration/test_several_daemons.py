"""Several daemons on one PostgreSQL database, each a process: one ramp, one ledger, and whoever is gone is not missed.

What was sent is what the SMTP server saw. Each daemon has a folder of its own, as on a machine of its own. Planted, and
seen caught: stops that another daemon has committed and nobody looks at again; and, all together, a lease that is asked
neither before a hand-over, nor in a transaction, nor when a stopped process goes on (each of them alone is enough).
"""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.commands import DISPATCHER
from support.daemons import CONFIG, Daemon, arrived, daemon, enqueue, since
from support.postgresql import connect, emptied, ours
from support.smtp_server import Act, SmtpServer
from support.world import CAMPAIGN

pytestmark = pytest.mark.timeout(300)       # up to five processes that start on what may be a busy machine
LEASE = 2.0     # seconds
LONG_LEASE = 10.0
QUICK = ('start = 36000\nceiling = 36000\nstep = "1h"\nevery = "1s"',
         'start = 1000\nceiling = 1000\nstep = "5s"\nevery = "250ms"')
SLOW = (QUICK[0], 'start = 7200\nceiling = 7200\nstep = "1h"\nevery = "10s"')      # 20 in 10 s
FAST = (QUICK[0], 'start = 3600000\nceiling = 3600000\nstep = "1h"\nevery = "1s"')         # 1,000 a second
EVEN = (QUICK[0], 'start = 1000\nceiling = 1000\nstep = "15s"\nevery = "1s"')       # 67 a second
LONG = (QUICK[0], 'start = 360000\nceiling = 360000\nstep = "1h"\nevery = "1m"')       # 6,000 in a minute


@pytest_asyncio.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as it:
        yield it


class House:
    """Daemons on one database, and what is asked of it."""

    def __init__(self, folder: Path, config: str, stack: AsyncExitStack) -> None:
        self._folder, self._config, self._stack = folder, config, stack
        self.daemons: list[Daemon] = []

    def folder(self, name: str) -> Path:
        """The files of a daemon or a command."""
        folder = self._folder / name
        if not folder.exists():
            folder.mkdir(mode=0o700)
            (folder / "dispatcher.toml").write_text(self._config)
            (folder / "campaigns" / "delay").mkdir(parents=True)
            (folder / "campaigns" / "delay" / "campaign.toml").write_text(CAMPAIGN)
        return folder

    async def start(self, count: int) -> list[Daemon]:
        """So many daemons more, ready."""
        some = [await self._stack.enter_async_context(daemon(self.folder(f"machine{len(self.daemons) + number}")))
                for number in range(count)]
        for one in some:
            await one.until_told("READY=1")
        self.daemons += some
        return some

    async def command(self, *words: str) -> str:
        """A verb of the command line on a machine without a daemon."""
        process = await asyncio.create_subprocess_exec(
            DISPATCHER, *words, "--config", str(self.folder("elsewhere") / "dispatcher.toml"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, wrong = await process.communicate()
        assert process.returncode == 0, wrong.decode()
        return out.decode()


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as it:
        yield it


async def house(folder: Path, server: SmtpServer, stack: AsyncExitStack, *changes: tuple[str, str]) -> House:
    config = CONFIG.format(port=server.port).replace(
        'url = "sqlite:///store.db"', f'url = "{await emptied()}"\nlease = "{LEASE:.0f}s"')
    for old, new in changes:
        assert old in config
        config = config.replace(old, new)
    return House(folder, config, stack)


async def asked(query: str) -> list[Any]:
    """Rows of the store, past all daemons."""
    one = await connect(ours())
    try:
        return list(await one.fetch(query))
    finally:
        await one.close()


async def until(query: str) -> None:
    """Return once this is true of the store."""
    one = await connect(ours())
    while not await one.fetchval(query):  # noqa: ASYNC110 -- other processes make it so, which set no event
        await asyncio.sleep(0.02)
    await one.close()


async def copies_explained(server: SmtpServer) -> None:
    """No message was taken by the server more often than it was accepted or may have been; none is lost."""
    copies = Counter(mail.recipient for mail in server.mails)
    rows = await asked("SELECT email, state, doubts FROM messages JOIN customers ON customers.id = customer")
    for row in rows:
        assert copies[row["email"]] <= (row["state"] in {"accepted", "sending"}) + row["doubts"], row
        assert copies[row["email"]] or row["state"] != "accepted", row
    assert len(rows) == len({row["email"] for row in rows})
    assert copies.keys() <= {row["email"] for row in rows}


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [2, 4])
async def test_an_allowance_is_used_to_the_last_message_and_not_one_beyond(
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack, count: int) -> None:
    one = await house(tmp_path, server, stack, EVEN)
    first, *_ = await one.start(count)
    await enqueue(first, 8_000, await since(first))     # eight steps: in one of them no slot goes by unused
    full = "SELECT count(*) > 0 FROM steps WHERE spent = 1000 AND accepted = 1000"
    await until(full)
    for each in one.daemons:
        each.process.send_signal(signal.SIGTERM)
    assert [await each.ended() for each in one.daemons] == [0] * count
    steps = {row["step"]: row["spent"] for row in await asked("SELECT step, spent FROM steps")}
    assert max(steps.values()) == 1_000
    seen = Counter(mail.recipient for mail in server.mails)
    by_step: Counter[int] = Counter()
    for row in await asked("SELECT email, batches.step FROM messages JOIN customers ON customers.id = customer "
                           "JOIN batches ON batches.lane = messages.lane AND batches.slot = messages.slot"):
        by_step[row["step"]] += seen[row["email"]]
    assert {step for step, number in by_step.items() if number == 1_000} == {
        step for step, number in steps.items() if number == 1_000}
    assert all(number <= steps[step] for step, number in by_step.items())
    assert set(seen.values()) == {1}


@pytest.mark.asyncio
async def test_one_that_is_killed_is_not_missed_and_nothing_of_it_is_lost(
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack) -> None:
    one = await house(tmp_path, server, stack, QUICK, (f'lease = "{LEASE:.0f}s"', f'lease = "{LONG_LEASE:.0f}s"'))
    first, second = await one.start(2)
    await enqueue(first, 1_500, await since(first))
    await arrived(server, 100)
    first.process.kill()
    assert await first.ended() == -signal.SIGKILL
    loop = asyncio.get_running_loop()
    at, before = loop.time(), len(server.mails)
    await arrived(server, before + 50)
    assert loop.time() - at < LONG_LEASE       # nobody waited for it to lapse
    await until("SELECT count(*) = 0 FROM messages WHERE state <> 'accepted'")
    await copies_explained(server)
    assert {row["machine"] for row in await asked("SELECT machine FROM instances")}
    assert max(row["spent"] for row in await asked("SELECT spent FROM steps")) <= 1_000
    second.process.send_signal(signal.SIGTERM)
    assert await second.ended() == 0


@pytest.mark.asyncio
async def test_one_that_is_stopped_past_its_lease_and_goes_on_sends_nothing_more_and_ends(
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack) -> None:
    one = await house(tmp_path, server, stack, SLOW)
    first, = await one.start(1)
    await enqueue(first, 100, await since(first))
    await arrived(server, 3)
    second, = await one.start(1)
    first.process.send_signal(signal.SIGSTOP)
    await until("SELECT count(*) = 1 FROM instances")       # taken over from
    await one.command("hold", "--reason", "to see what else would come")
    await until("SELECT count(*) = 0 FROM messages WHERE state = 'sending'")
    sent, lines = len(server.mails), len(server.lines)
    first.process.send_signal(signal.SIGCONT)
    assert await first.ended() == 1
    assert (len(server.mails), len(server.lines)) == (sent, lines)
    await one.command("resume")
    await arrived(server, sent + 3)
    await copies_explained(server)
    second.process.send_signal(signal.SIGTERM)
    assert await second.ended() == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["by a daemon", "by a command"])
async def test_a_hold_anywhere_stops_all_within_a_second_also_what_is_released_already(
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack, how: str) -> None:
    one = await house(tmp_path, server, stack, LONG)
    first, second = await one.start(2)
    await enqueue(first, 2_000, await since(first))
    await arrived(server, 20)
    owners = await asked("SELECT DISTINCT owner FROM messages WHERE state = 'sending' AND owner IS NOT NULL")
    assert owners
    for each in (first, second) if how == "by a daemon" else (first,):
        loop = asyncio.get_running_loop()
        if how == "by a daemon":
            async with each.client() as client:
                assert (await client.call("hold", {"reason": "stop"}))[0] == 200
        else:
            await one.command("hold", "--reason", "stop")
        stopped = loop.time()
        await until("SELECT count(*) = 0 FROM messages WHERE state = 'sending'")
        # A second is the promise, the rest for a machine that stands still; not stopped, they go on for a minute.
        assert all(mail.at < stopped + 3 for mail in server.mails)
        await copies_explained(server)
        async with each.client() as client:
            assert (await client.call("resume"))[0] == 200


@pytest.mark.asyncio
async def test_a_server_that_is_the_limit_is_served_by_the_connections_of_all(
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack) -> None:
    server.script = lambda step: Act(b"250 2.0.0 taken\r\n", gap=0.04 / 17) if step.phase == "dot" else None
    one = await house(tmp_path, server, stack, FAST)
    alone, = await one.start(1)
    await enqueue(alone, 3_000, await since(alone))
    await arrived(server, 50)
    assert server.most_open == 2
    await one.start(1)
    await until("SELECT count(*) = 2 FROM (SELECT owner FROM messages WHERE state = 'accepted' "
                "GROUP BY owner HAVING count(*) > 30) AS parts")
    assert server.most_open == 4
    await copies_explained(server)


@pytest.mark.asyncio
async def test_status_lists_all_of_them_whoever_is_asked(
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack) -> None:
    one = await house(tmp_path, server, stack, LONG)
    first, second = await one.start(2)
    await enqueue(first, 200, await since(first))
    await arrived(server, 10)
    machines = {each.process.pid for each in one.daemons}
    for each in one.daemons:
        async with each.client() as client:
            told = (await client.call("status"))[1]["result"]
        assert {row["process"]: row["answers"] for row in told["instances"]} == {
            process: process == each.process.pid for process in machines}
        assert all(row["living"] for row in told["instances"])
        async with each.client() as client:
            assert "dispatcher_instances 2.0" in (await client.get("/metrics"))[1]
    lines = (await one.command("status")).splitlines()
    assert lines[0] == "no daemon answers here; 2 on the store"
    assert sum(row["under_way"] for row in told["instances"]) > 0
    second.process.kill()
    await second.ended()
    await until("SELECT count(*) = 1 FROM instances")
    assert [row["process"] for row in json.loads(await one.command("status", "--json"))["instances"]] == [
        first.process.pid]


@pytest.mark.asyncio
async def test_what_comes_in_through_one_is_sent_by_any(
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack) -> None:
    one = await house(tmp_path, server, stack, QUICK)
    first, second = await one.start(2)
    await enqueue(first, 10, await since(first))
    first.process.kill()
    await arrived(server, 10)
    second.process.send_signal(signal.SIGTERM)
    assert await second.ended() == 0
    assert json.loads(await one.command("status", "--json"))["messages"]["accepted"] == 10
