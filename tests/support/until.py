"""Waiting for what the other side does, turn by turn of the loop; so long that it is lost if it has not come."""

import asyncio
from collections.abc import Callable

LOST = 60    # seconds; below the limit of a test, so that a test that fails by it can still clear up


async def until(holds: Callable[[], object]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(LOST):
        while not holds():  # noqa: ASYNC110 -- what is waited for happens on a socket's other end, which sets no event
            await asyncio.sleep(0)
