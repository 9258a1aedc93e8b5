"""Waiting for what the other side does, turn by turn of the loop; the test's own timeout is the limit."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], object]) -> None:
    """Return once it holds."""
    while not holds():  # noqa: ASYNC110 -- what is waited for happens on a socket's other end, which sets no event
        await asyncio.sleep(0)
