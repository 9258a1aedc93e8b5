"""A campaign on its way to its whole audience, and who is at it ends in the middle: all are queued, each of them once.

While half of an audience is on the queue nothing of its campaign leaves, so somebody must go on without being told.
Planted, and seen caught: nobody looks for what one who left in good order had begun.
"""

import asyncio
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest
from support.commands import DISPATCHER
from support.daemons import CONFIG, Daemon, daemon, write
from support.fresh import new_store
from support.houses import FAST, asked, house, until
from support.postgresql import ours, tell
from support.smtp_server import SmtpServer

pytestmark = pytest.mark.timeout(300)       # processes that start on what may be a busy machine
PEOPLE = 20_000
STANDS_STILL = """\
import asyncio
from dispatcher.engine import expand
go_on = expand.step
async def step(works, one):
    await go_on(works, one)
    await asyncio.Event().wait()
expand.step = step
"""     # whoever is at an audience comes to the end of a page of it, and no further
CAME_TO = "SELECT accepted, duplicate FROM expansions"
QUEUED = "SELECT count(*), count(DISTINCT customer) FROM messages WHERE state = 'queued'"


def everybody() -> str:
    """The statement that puts them all in."""
    now = round(time.time() * 1_000)
    return f"""
        WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {PEOPLE})
        INSERT INTO customers (id, email, phone, name, locale, timezone, location, plan, engagement, last_support_at,
                               consent, attributes, updated_at)
        SELECT 'c' || number, 'c' || number || '@mail.example', '', 'N', '', '', 'DE/Berlin', '', '', {now},
               '[]', '{{}}', {now}
        FROM numbers
    """  # noqa: S608 -- our own words


@asynccontextmanager
async def half_on_the_queue(one: Daemon) -> AsyncIterator[None]:
    """In the middle of `dispatcher send`, whose daemon stands still there; nothing leaves meanwhile."""
    async with one.client() as client:
        assert (await client.call("hold", {"reason": "to count"}))[0] == 200
        command = await asyncio.create_subprocess_exec(
            DISPATCHER, "send", "delay", "--config", str(one.folder / "dispatcher.toml"),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
        queued = 0
        while not queued:
            queued = (await client.call("status"))[1]["result"]["messages"]["queued"]
    yield
    assert queued < PEOPLE
    assert await command.wait() != 0        # it says that the daemon went away


@pytest.mark.asyncio
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
async def test_another_daemon_goes_on_with_an_audience_by_itself(
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack, how: signal.Signals) -> None:
    one = await house(tmp_path, server, stack, FAST)
    await tell(everybody(), address=ours())
    [first] = await one.start(1, first=STANDS_STILL)
    [second] = await one.start(1)
    async with half_on_the_queue(first):
        first.process.send_signal(how)
        assert await first.ended() == (0 if how is signal.SIGTERM else -how)
    await until("SELECT count(*) = 0 FROM expansions WHERE finished_at IS NULL")
    assert [tuple(row) for row in await asked(CAME_TO)] == [(PEOPLE, 0)]
    assert [tuple(row) for row in await asked(QUEUED)] == [(PEOPLE, PEOPLE)]
    second.process.send_signal(signal.SIGTERM)
    assert await second.ended() == 0


@pytest.mark.asyncio
async def test_a_daemon_that_is_killed_goes_on_with_an_audience_when_it_starts_again(
        tmp_path: Path, server: SmtpServer) -> None:
    write(tmp_path, CONFIG.format(port=server.port))
    store = new_store(tmp_path / "store.db")
    with closing(sqlite3.connect(store)) as opened, opened:
        opened.execute(everybody())
    async with daemon(tmp_path, first=STANDS_STILL) as one:
        await one.until_told("READY=1")
        async with half_on_the_queue(one):
            one.process.kill()
            await one.ended()
    async with daemon(tmp_path) as one:
        await one.until_told("READY=1")
        async with one.client() as client:
            while (await client.call("status"))[1]["result"]["messages"]["queued"] < PEOPLE:
                pass        # the test's own timeout is the limit
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0
    with closing(sqlite3.connect(store)) as opened:
        assert opened.execute(CAME_TO).fetchall() == [(PEOPLE, 0)]
        assert opened.execute(QUEUED).fetchall() == [(PEOPLE, PEOPLE)]
