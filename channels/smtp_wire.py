"""The bytes of a connection that is ready for messages: send commands, read one whole reply for each, in time.

It takes the transport over from the library that connected it. Three things are exact here: a deadline covers the
whole reply, so that one dripping a byte at a time gets no more time; a reply that nobody asked for is never taken for
the answer to a later command, the connection is given up instead; and the caller knows which bytes were handed over.
"""

import asyncio
from collections import deque
from typing import Final

from channels.smtp_replies import NONSENSE, Reply, ReplyReader

PIECE: Final = 65_536    # bytes; a longer body is written in pieces, each within the deadline


class WireLost(Exception):  # noqa: N818 -- it is an event of the network, not an error of the caller
    """The connection can no longer be used; `hung_up` says that the other side ended it."""

    def __init__(self, why: str, *, hung_up: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.hung_up = hung_up


class SmtpWire(asyncio.Protocol):
    """One connection between two replies. One task uses it at a time."""

    __slots__ = ("_drained", "_gone", "_loop", "_lost", "_outstanding", "_pushing", "_reader", "_replies", "_transport",
                 "_waiter")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._reader = ReplyReader()
        self._waiter: asyncio.Future[None] | None = None    # of whoever waits for a reply or for room to write
        self._replies: deque[Reply] = deque()               # that came and were not taken yet
        self._outstanding = 0                               # replies that are still to come
        self._drained = True
        self._pushing = False
        self._lost: WireLost | None = None
        self._gone = asyncio.Event()
        if transport.is_closing():
            self._gone.set()
            self._lose(WireLost("the server closed the connection", hung_up=True))
        else:
            transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """True while nothing has been heard that nobody asked for, and the connection stands."""
        return self._lost is None and not self._transport.is_closing()

    async def ask(self, command: bytes, within: float) -> Reply:
        """Send a command, or the end of a body, and read its reply; seconds. WireLost if there is none in time."""
        self.send(command, 1)
        return await self.reply(within)

    def send(self, commands: bytes, count: int) -> None:
        """Send so many commands at once; `reply` gives the reply of one after the other."""
        self.check()
        self._replies.clear()
        self._outstanding = count
        self._transport.write(commands)

    async def reply(self, within: float) -> Reply:
        """The next reply; seconds from now. WireLost if it does not come, or if the server says more than was asked."""
        if not self._replies:
            await self._wait(within)
        reply = self._replies.popleft()
        if not self._outstanding and not self._replies and self._reader.ahead:
            self._lose(WireLost("the server sent more than one reply"))
        return reply

    async def push(self, body: bytes, within: float) -> Reply | None:
        """Write a long body until the rest is small enough to wait in the transport; seconds for each piece.

        A reply that comes before the body has ended is returned: the server wants no more of it.
        """
        self._replies.clear()
        self._outstanding = 1
        self._pushing = True
        try:
            for start in range(0, len(body), PIECE):
                self.check()
                self._transport.write(body[start:start + PIECE])
                if not self._drained and not self._replies:
                    await self._wait(within)
                if self._replies:
                    return self._replies.popleft()
        finally:
            self._pushing = False
        return None

    def check(self) -> None:
        """WireLost if the connection can no longer be used."""
        if self._lost is None and self._transport.is_closing():
            # a write has just failed: the transport tells in its next turn, and swallows all bytes until then
            self._lose(WireLost("the connection broke", hung_up=True))
        if self._lost is not None:
            raise self._lost

    def abort(self) -> None:
        """End the connection now; bytes still waiting are not sent. Idempotent."""
        self._lose(WireLost("the connection was given up"))
        self._transport.abort()

    async def gone(self) -> None:
        """Until the socket is closed; only after abort or a loss."""
        await self._gone.wait()

    async def _wait(self, within: float) -> None:
        """Until there is a reply, or room again for push; one deadline from now, however much dribbles in before."""
        self.check()
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_later(within, self._expire)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _expire(self) -> None:
        self._lose(WireLost("no reply in time"))

    def _lose(self, lost: WireLost) -> None:
        """Remember the first reason, and tell who waits."""
        if self._lost is None:
            self._lost = lost
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._lost is not None and not self._replies:
            waiter.set_exception(self._lost)
        else:
            waiter.set_result(None)

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Bytes of a reply, asked for or not."""
        if not self._outstanding:
            self._lose(WireLost("the server spoke out of turn"))
            return
        reply = self._reader.feed(data)
        while reply is not None:
            self._replies.append(reply)
            self._outstanding = self._outstanding - 1 if reply.code != NONSENSE else 0
            reply = self._reader.feed(b"") if self._outstanding else None
        if self._replies:
            self._wake()

    def eof_received(self) -> None:
        """The server has hung up; the transport closes itself."""
        self._lose(WireLost("the server closed the connection", hung_up=True))

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed or reset."""
        self._gone.set()
        why = "the server closed the connection" if exc is None else f"the connection broke: {exc}"
        self._lose(WireLost(why, hung_up=True))

    def pause_writing(self) -> None:
        """The server takes bytes slower than they come."""
        self._drained = False

    def resume_writing(self) -> None:
        """There is room again."""
        self._drained = True
        if self._pushing:
            self._wake()
