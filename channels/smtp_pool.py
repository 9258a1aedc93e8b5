"""The connections of one sender: never more than its bound, kept while they are good, closed quietly when idle.

A place is taken for as long as a connection is made, used or said goodbye to, so the server never sees more than
`connections` at once. Who waits for a place gets it in the order of asking. Nothing here sleeps or polls: one timer
runs while a connection is idle. Where a pool leads to several hosts they share its bound: an idle connection to one
makes room for another.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from channels.contract import Outcome
from channels.smtp_connect import Unavailable
from channels.smtp_outcomes import Phase, outcome_of_loss
from channels.smtp_session import Order, SmtpSession


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections, and how long one is kept."""

    connections: int            # at least 1
    messages: int = 1_000       # through one connection; then a fresh one, so that a relay's nodes share the load
    idle: int = 30_000          # milliseconds without a message; a tenth of what RFC 5321 lets a server wait


class SmtpPool:
    """Connections for whoever has a message."""

    def __init__(self, open_session: Callable[[str], Coroutine[Any, Any, SmtpSession]], bounds: Bounds) -> None:
        self._open_session = open_session         # to a host, by its name; "" where there is only one
        self._bounds = bounds
        self._places = asyncio.Semaphore(bounds.connections)
        self._taken = 0                           # of the places
        self._idle: deque[tuple[float, SmtpSession]] = deque()    # (since, by the loop's clock); longest idle first
        self._used: set[SmtpSession] = set()
        self._hosts: dict[SmtpSession, str] = {}    # where each leads, idle or used
        self._openings: set[asyncio.Task[SmtpSession]] = set()
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def hand_over(self, order: Order, host: str = "") -> Outcome:
        """Hand one message over; Unavailable where no connection could be made."""
        session: SmtpSession | None = None
        try:
            session = await self.acquire(host)
            outcome = await session.hand_over(order)
            if outcome is None:    # the server had closed a kept connection; a fresh one is never None
                stale, session = session, None
                session = await self.replace(stale)
                outcome = await session.hand_over(order)
        except Unavailable:
            raise
        except Exception as fault:  # noqa: BLE001 -- a fault of ours must not stop a lane, and must not count as unsent
            why = f"internal error: {type(fault).__name__}: {fault}"
            return outcome_of_loss(Phase.CONNECT, why) if session is None else session.outcome_of_crash(why)
        else:
            return outcome or outcome_of_loss(Phase.MAIL, "the server closed the connection")
        finally:
            if session is not None:
                self.release(session)

    async def acquire(self, host: str = "") -> SmtpSession:
        """A connection for one message, kept or fresh; waits for a place. Unavailable if none can be made."""
        await self._take_place()
        try:
            while not self._closed and (session := self._kept(host)) is not None:
                if session.usable:
                    self._used.add(session)
                    return session
                self._end(session)
            while self._idle and self._taken + len(self._idle) > self._bounds.connections:
                await self._say_goodbye(self._idle.popleft()[1])
            return await self._open(host)
        except BaseException:
            self._free_place()
            raise

    async def replace(self, session: SmtpSession) -> SmtpSession:
        """A fresh connection in the place of one that turned out to be closed. If there is none the place is free."""
        host = self._hosts.get(session, "")
        self._used.discard(session)
        self._end(session)
        try:
            return await self._open(host)
        except BaseException:
            self._free_place()
            raise

    def release(self, session: SmtpSession) -> None:
        """Give a connection back after its message, whatever became of it."""
        self._used.discard(session)
        if self._closed or not session.usable:
            self._end(session)
            self._free_place()
        elif session.sent >= self._bounds.messages:
            self._in_background(self._retire(session))
        else:
            loop = asyncio.get_running_loop()
            self._idle.append((loop.time(), session))
            if self._timer is None:
                self._timer = loop.call_later(self._bounds.idle / 1000, self._sweep)
            self._free_place()

    async def close(self) -> None:
        """Goodbye to the idle connections, and an end to the others, whose hand-overs then say how far they came."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for opening in self._openings:
            opening.cancel()
        for session in self._used:
            session.abort()
        kept = [session for _, session in self._idle]
        self._idle.clear()
        self._hosts.clear()
        await asyncio.gather(*(session.quit() for session in (*kept, *self._used)))
        while unfinished := self._openings | self._goodbyes:
            await asyncio.wait(unfinished)

    async def _take_place(self) -> None:
        await self._places.acquire()
        self._taken += 1

    def _free_place(self) -> None:
        self._taken -= 1
        self._places.release()

    def _kept(self, host: str) -> SmtpSession | None:
        """The connection to a host that was used last, out of the idle ones."""
        for place in range(len(self._idle) - 1, -1, -1):
            session = self._idle[place][1]
            if self._hosts.get(session, "") == host:
                del self._idle[place]
                return session
        return None

    def _end(self, session: SmtpSession) -> None:
        self._hosts.pop(session, None)
        session.abort()

    async def _say_goodbye(self, session: SmtpSession) -> None:
        self._hosts.pop(session, None)
        await session.quit()

    async def _open(self, host: str) -> SmtpSession:
        """Connect in a task of its own: close() can end it, and a caller's cancellation is never lost in it."""
        if self._closed:
            raise Unavailable(outcome_of_loss(Phase.CONNECT, "this channel is closed"))
        opening = asyncio.create_task(self._open_session(host))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)
        try:
            await asyncio.wait({opening})
        except asyncio.CancelledError:
            opening.add_done_callback(_abort_opened)
            opening.cancel()
            raise
        if opening.cancelled() or self._closed:
            _abort_opened(opening)
            raise Unavailable(outcome_of_loss(Phase.CONNECT, "this channel is closed"))
        session = opening.result()
        self._used.add(session)
        self._hosts[session] = host
        return session

    def _sweep(self) -> None:
        """The timer: somebody may have been idle for long."""
        self._timer = None
        self._in_background(self._close_idle())

    async def _close_idle(self) -> None:
        """Say goodbye to whoever is idle for too long, and look again when the next one will be."""
        loop = asyncio.get_running_loop()
        patience = self._bounds.idle / 1000
        while self._idle and self._idle[0][0] + patience <= loop.time():
            await self._take_place()    # there is one: places not used are at least as many as idle connections
            if not self._idle or self._idle[0][0] + patience > loop.time():
                self._free_place()
                continue
            await self._retire(self._idle.popleft()[1])
        if self._idle and self._timer is None and not self._closed:
            self._timer = loop.call_at(self._idle[0][0] + patience, self._sweep)

    async def _retire(self, session: SmtpSession) -> None:
        """A goodbye that holds its place until the connection is gone."""
        try:
            await self._say_goodbye(session)
        finally:
            self._free_place()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)


def _abort_opened(opening: asyncio.Task[SmtpSession]) -> None:
    """End a connection that came about when nobody wanted it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()
