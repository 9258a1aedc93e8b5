"""Two daemons on one PostgreSQL database against one, where the mail server is the limit: each answer takes 20 ms."""

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest
from support.daemons import enqueue, since
from support.engines import smtp_process
from support.houses import FAST, asked, house, until
from support.postgresql import need_postgresql

pytestmark = [pytest.mark.bench, pytest.mark.timeout(400)]
ANSWERS_AFTER = 20      # milliseconds
MESSAGES = 1_000        # 10 s for four connections, as each message waits for two answers; four portions of a batch
MORE = ("connections = 2", "connections = 4")
# So much in a batch that both have enough of it: a slot is made smaller by what has not begun yet.
WIDE = (FAST[0], FAST[1] + "\nlargest_batch = 5000")
WANTED = 1.6
ROUNDS = 3


async def rate(folder, port, count):
    """Messages a second of so many daemons, each with four connections."""
    async with asyncio.timeout(120), AsyncExitStack() as stack:
        home = await house(folder, SimpleNamespace(port=port), stack, WIDE, MORE)
        first, *_ = await home.start(count)
        await enqueue(first, MESSAGES, await since(first))
        await until(f"SELECT count(*) = {MESSAGES} FROM attempts")  # noqa: S608 -- a number of our own
        ((found,),) = await asked("SELECT (count(*) - 1) * 1000.0 / (max(at) - min(at)) FROM attempts")
        return float(found)


@pytest.mark.asyncio
async def test_two_daemons_deliver_nearly_twice_as_much_as_one(tmp_path):
    need_postgresql()
    found = []
    with smtp_process(ANSWERS_AFTER) as port:
        for number in range(ROUNDS):
            folders = tmp_path / f"{number}-one", tmp_path / f"{number}-two"
            for folder in folders:
                folder.mkdir()
            one, two = await rate(folders[0], port, 1), await rate(folders[1], port, 2)
            found.append(two / one)
            print(f"one {one:.0f}/s, two {two:.0f}/s: {two / one:.2f} times")
            if found[-1] >= WANTED:
                break
    assert max(found) >= WANTED, found
