"""aiosqlite with fewer errands: making and closing a cursor touches no file, so it is done on the spot.

aiosqlite sends every call to the connection's thread, and each such errand costs two turns of the interpreter's lock:
for a statement that is a cursor, its execution and its end. Only what reads or writes goes there now. The connection
may be used from both threads because nobody uses it from two at once: transactions stand in line (database.py).
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiosqlite

_AT_ONCE: Final = frozenset({"cursor", "close"})


class Connection(aiosqlite.Connection):
    """A connection whose cursors come and go without its thread."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as aiosqlite has it
        """Run a driver's function: in the thread, unless it is only about a cursor."""
        of_connection = isinstance(getattr(fn, "__self__", None), sqlite3.Connection)
        name = getattr(fn, "__name__", "")
        if name in _AT_ONCE and of_connection == (name == "cursor"):
            return fn(*args, **kwargs)
        return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call] # aiosqlite has no types there


async def connect(path: Path) -> aiosqlite.Connection:
    """Open a SQLite file."""
    return await Connection(lambda: sqlite3.connect(path, check_same_thread=False), iter_chunk_size=64)
