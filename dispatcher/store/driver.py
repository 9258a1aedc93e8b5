"""aiosqlite with fewer errands: making and closing a cursor touches no file, so it is done on the spot.

aiosqlite sends every call to the connection's thread, and each such errand costs two turns of the interpreter's lock:
for a statement that is a cursor, its execution and its end. Only what reads or writes goes there now.

The connection may be used from both threads because nobody uses it from two at once: transactions stand in line
(database.py), and an errand is done on the spot only while the thread has nothing to do. A task that is cancelled
leaves its statement to the thread; to close the cursor under it would end the process (SIGSEGV, CPython 3.11).
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiosqlite

_PATIENCE: Final = 10.0
"""Seconds that a thread may take for its last statement before it is left to itself."""
_AT_ONCE: Final = frozenset({"cursor", "close"})


class Connection(aiosqlite.Connection):
    """A connection whose cursors come and go without its thread, where that is idle."""

    _asked = 0      # calls that its thread was given; counted by the loop alone
    _done = 0       # and those that it has ended, whoever still waits for them; counted by the thread alone

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as aiosqlite has it
        """Run a driver's function: in the thread, unless it is only about a cursor."""
        of_connection = isinstance(getattr(fn, "__self__", None), sqlite3.Connection)
        name = getattr(fn, "__name__", "")
        if name in _AT_ONCE and of_connection == (name == "cursor") and self._asked == self._done:
            return fn(*args, **kwargs)
        self._asked += 1
        return await super()._execute(self._counted, fn, *args, **kwargs)  # type: ignore[no-untyped-call] # aiosqlite has no types there

    def _counted(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as aiosqlite has it
        try:
            return fn(*args, **kwargs)
        finally:
            self._done += 1

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread after what it does now, and wait for that: left alone it would speak to a closed loop."""
        ended: asyncio.Future[Any] | None = super().stop()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
        return ended


Connect = Callable[[Path], Awaitable[aiosqlite.Connection]]


async def connect(path: Path) -> aiosqlite.Connection:
    """Open a SQLite file."""
    return await Connection(lambda: sqlite3.connect(path, check_same_thread=False), iter_chunk_size=64)


async def connect_to_read(path: Path) -> aiosqlite.Connection:
    """Open a SQLite file that is there, only to read."""
    return await Connection(partial(open_to_read, path), iter_chunk_size=64)


def open_to_read(path: Path) -> sqlite3.Connection:
    """A SQLite file that is there, only to read; beside a process that writes it neither waits for the other.

    It never writes to the log, nor moves it into the file, so that the one writer stays the only one.
    """
    address = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
