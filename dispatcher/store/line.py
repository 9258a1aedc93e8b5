"""The line of those who want the store: one at a time, first come first served, but who is urgent goes first.

Urgent is what hand-overs wait for whose time has come: one transaction of a few rows, never one after another without
end, so nobody waits for ever. Like asyncio.Lock, whom nobody can pass by.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Line:
    """One place, and two queues for it."""

    def __init__(self) -> None:
        self._taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @property
    def taken(self) -> bool:
        """Whether somebody has the place."""
        return self._taken

    @contextlib.asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Have the place; it is free again when the block ends."""
        if self._taken:
            await self._wait(self._urgent if urgent else self._others)
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, queue: deque[asyncio.Future[None]]) -> None:
        mine = asyncio.get_running_loop().create_future()
        queue.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():    # it was given to us, and we cannot take it any more
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give the place to who is next; it stays taken in between, so that nobody slips in."""
        for queue in (self._urgent, self._others):
            while queue:
                following = queue.popleft()
                if not following.done():
                    following.set_result(None)
                    return
        self._taken = False
