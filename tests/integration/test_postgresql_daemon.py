"""The daemon as a process with its store in PostgreSQL: sends, and gets over all that breaks."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.commands import DISPATCHER
from support.daemons import CONFIG, Daemon, arrived, daemon, enqueue, since, write
from support.postgresql import connect, emptied, ours, tell
from support.smtp_server import SmtpServer


@pytest_asyncio.fixture
async def folder(tmp_path: Path, server: SmtpServer) -> Path:
    """`dispatcher.toml`, and `elsewhere.toml` for a process that knows the store and not the daemon."""
    config = CONFIG.format(port=server.port).replace("sqlite:///store.db", str(await emptied()))
    write(tmp_path, config)
    (tmp_path / "elsewhere.toml").write_text(config.replace("unix:admin.sock", "unix:elsewhere.sock"))
    return tmp_path


async def command(folder: Path, *words: str, config: str = "elsewhere.toml") -> tuple[int, str, str]:
    """A verb of the command line: its exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        DISPATCHER, *words, "--config", str(folder / config), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE)
    out, wrong = await process.communicate()
    return process.returncode or 0, out.decode(), wrong.decode()


async def status(folder: Path) -> Any:
    """What `status` says where no daemon listens."""
    code, out, wrong = await command(folder, "status", "--json")
    assert code == 0, wrong
    return json.loads(out)["messages"]


async def end_sessions() -> None:
    """As when the server is restarted."""
    await tell("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() "
               "AND pid <> pg_backend_pid() AND application_name = 'dispatcher'", address=ours())


async def until_nothing_is_sent() -> None:
    """Return once nothing is under way any more."""
    one = await connect(ours())
    while await one.fetchval("SELECT count(*) FROM messages WHERE state = 'sending'"):  # noqa: ASYNC110 -- another process makes it so
        await asyncio.sleep(0.02)
    await one.close()


async def left_by(instance: int) -> int:
    """How many messages are under way for this one, which does not live any more."""
    looking = await connect(ours())
    found = await looking.fetchval("SELECT count(*) FROM messages WHERE state = 'sending' AND owner = $1", instance)
    await looking.close()
    return int(found)


async def started(one: Daemon, count: int, server: SmtpServer) -> None:
    """Ready, and in the middle of its work."""
    await one.until_told("READY=1")
    await enqueue(one, count, await since(one))
    await arrived(server, 5)


@pytest.mark.asyncio
async def test_it_sends_gets_over_the_end_of_its_sessions_and_a_kill_and_forgets_nothing(
        folder: Path, server: SmtpServer) -> None:
    async with daemon(folder) as one:
        await started(one, 50, server)
        for count in (12, 18):
            await end_sessions()
            await arrived(server, count)
        first = (await one.until_logged("joined"))["instance"]
        one.process.kill()
        assert await one.ended() == -signal.SIGKILL
    assert sum((await status(folder)).values()) == 50
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        assert await left_by(first) == 0        # it was taken over from at once
        await arrived(server, 50)
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0
    looking = await connect(ours())
    rows = await looking.fetch(
        "SELECT email, messages.state, doubts FROM messages JOIN customers ON customers.id = customer")
    await looking.close()
    copies = Counter(mail.recipient for mail in server.mails)
    for row in rows:
        assert copies[row["email"]] <= (row["state"] == "accepted") + row["doubts"]
        assert copies[row["email"]] or row["doubts"] or row["state"] == "queued"
    assert len(rows) == 50


@pytest.mark.asyncio
async def test_a_command_beside_a_daemon_that_it_cannot_ask_goes_by_the_store_itself(
        folder: Path, server: SmtpServer) -> None:
    async with daemon(folder) as one:
        await started(one, 600, server)       # more than leave while commands start
        code, _, wrong = await command(folder, "hold", "--reason", "to see")
        assert (code, wrong) == (0, "")
        await until_nothing_is_sent()
        sent = len(server.mails)
        assert (await status(folder))["queued"] == 600 - sent
        code, _, wrong = await command(folder, "resume")
        assert (code, wrong) == (0, "")
        await arrived(server, sent + 5)
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0
    assert sum((await status(folder)).values()) == 600


@pytest.mark.asyncio
async def test_a_daemon_whose_lease_was_given_away_ends_and_says_why(folder: Path, server: SmtpServer) -> None:
    async with daemon(folder) as one:
        await started(one, 60, server)
        await tell("UPDATE instances SET lease_until = 0", address=ours())
        assert await one.ended() == 1
        assert "lease of this daemon" in (await one.until_logged("engine_failed"))["exception"]
    assert sum((await status(folder)).values()) == 60


@pytest.mark.asyncio
async def test_a_server_that_comes_up_later_is_waited_for(folder: Path) -> None:
    nowhere = CONFIG.replace("sqlite:///store.db", "postgresql://nobody@127.0.0.1:1/none").format(port=25)
    (folder / "nowhere.toml").write_text(nowhere)
    async with daemon(folder, "nowhere.toml") as one:
        told = await one.until_logged("store_unreachable")
        assert "127.0.0.1:1/none" in told["why"]
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 1
