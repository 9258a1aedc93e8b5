"""Several daemons on one PostgreSQL database, each a process: one ramp, one ledger, and whoever is gone is not missed.

What was sent is what the SMTP server saw. Planted, and seen caught, all together: a lease that is asked neither before
a hand-over, nor in a transaction, nor when a stopped process goes on (each of them alone is enough).
"""

import asyncio
import json
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from support.daemons import arrived, enqueue, since
from support.houses import EVEN, FAST, LEASE, LONG, QUICK, SLOW, asked, copies_explained, house, until
from support.smtp_server import Act, SmtpServer

pytestmark = pytest.mark.timeout(300)       # up to five processes that start on what may be a busy machine
LONG_LEASE = 10.0   # seconds


@pytest.mark.asyncio
async def test_two_use_an_allowance_to_the_last_message_and_not_one_beyond(     # of four: tests/faults/test_rounds.py
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack) -> None:
    one = await house(tmp_path, server, stack, EVEN)
    first, *_ = await one.start(2)
    await enqueue(first, 8_000, await since(first))     # eight steps: in one of them no slot goes by unused
    full = "SELECT count(*) > 0 FROM steps WHERE spent = 1000 AND accepted = 1000"
    await until(full)
    for each in one.daemons:
        each.process.send_signal(signal.SIGTERM)
    assert [await each.ended() for each in one.daemons] == [0] * 2
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
