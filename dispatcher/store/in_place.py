"""Stores that work where they are called: no thread, no coroutine for each errand, the same order every time.

Such a store stops everything else while the disk works, so it is for stores that are thrown away, in memory or nearly
so. Others get their turns between its statements, as they have them beside a store's thread: how many, it is told.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import CursorResult, Executable
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_connection, AsyncAdapt_dbapi_cursor
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_dbapi
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import EMPTY_DICT, await_

from dispatcher.store.driver import Connect, Connection
from dispatcher.store.sqlite import Keeping, Open, make_engine, pragmas_of

Turns = Callable[[], int]
"""How often others get their turn before the next statement."""


class InPlace(Connection):
    """A connection that works where it is called."""

    turns: Turns | None = None

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as aiosqlite has it
        """Run a driver's function at once, or after others had their turns."""
        await self.others()
        return fn(*args, **kwargs)

    async def others(self) -> None:
        """Let others have their turns."""
        for _ in range(self.turns() if self.turns is not None else 0):
            await asyncio.sleep(0)

    def at_once(self) -> sqlite3.Cursor:
        """A cursor that gives nobody a turn."""
        return self._conn.cursor()

    def image(self) -> bytes:
        """All that is stored, as a file would have it."""
        return self._conn.serialize()


def in_place(turns: Turns | None = None) -> Connect:
    """How to open a SQLite file whose connection has no thread of its own."""
    async def connect_in_place(path: Path) -> aiosqlite.Connection:
        connection = InPlace(lambda: sqlite3.connect(path, check_same_thread=False), iter_chunk_size=64)
        connection.turns = turns
        return await connection

    return connect_in_place


class SharedEngine:
    """One engine for many stores in place, one after another: what was put into SQL once is not put into it again."""

    def __init__(self) -> None:
        self._open: Open
        self._engine: AsyncEngine | None = None

    def at(self, path: Path, keeping: Keeping) -> AsyncEngine:
        """The engine, to be connected to this file; nothing else may be open by it."""
        self._open = partial(keeping.connect, path)
        if self._engine is None:
            engine = make_engine(lambda: self._open(), pragmas_of(keeping.synchronous), module=_Driver())   # noqa: PLW0108 -- another file, later
            self._engine = _Engine(engine.sync_engine)
        return self._engine


class _Cursor(AsyncAdapt_dbapi_cursor):
    """What SQLAlchemy takes for a cursor: a statement runs at once, and its rows are there."""

    __slots__ = ()
    _awaitable_cursor_close = False
    _cursor: Any
    _connection: Any

    def __init__(self, connection: AsyncAdapt_dbapi_connection) -> None:
        self._adapt_connection = connection
        self._connection = connection._connection  # noqa: SLF001 -- as SQLAlchemy's own has it
        self._cursor = self._connection.at_once()
        self._soft_closed_memoized = EMPTY_DICT
        self._rows = deque()

    def execute(self, operation: str, parameters: Any = None) -> None:  # noqa: ANN401 -- as SQLAlchemy has it
        self._cursor.execute(operation, parameters or ())
        if self._cursor.description:
            self._rows = deque(self._cursor.fetchall())

    def executemany(self, operation: str, seq_of_parameters: Any) -> None:  # noqa: ANN401 -- as SQLAlchemy has it
        self._cursor.executemany(operation, seq_of_parameters)


class _Adapted(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()
    _cursor_cls = _Cursor   # type: ignore[assignment]


class _Driver(AsyncAdapt_aiosqlite_dbapi):
    """The module that SQLAlchemy takes for its driver, where all connections work in place."""

    def __init__(self) -> None:
        super().__init__(aiosqlite, sqlite3)

    def connect(self, *_: Any, async_creator_fn: Callable[[], Awaitable[Any]], **__: Any) -> _Adapted:  # noqa: ANN401 -- as SQLAlchemy has it
        return _Adapted(self, await_(async_creator_fn()))


class _Connection(AsyncConnection):
    """Others have their turns, and then a statement runs to its end: there is nothing in it to wait for."""

    async def start(self, is_ctxmanager: bool = False) -> "_Connection":  # noqa: FBT001, FBT002 -- as SQLAlchemy has it
        await super().start(is_ctxmanager)
        self._others = (await self.get_raw_connection()).driver_connection.others   # type: ignore[union-attr]
        return self

    async def execute(
        self, statement: Executable, parameters: Any = None, *,  # noqa: ANN401 -- as SQLAlchemy has it
        execution_options: Mapping[str, Any] | None = None,
    ) -> CursorResult[Any]:
        await self._others()
        return self._proxied.execute(statement, parameters, execution_options=execution_options)

    async def exec_driver_sql(
        self, statement: str, parameters: Any = None, execution_options: Mapping[str, Any] | None = None,  # noqa: ANN401 -- as SQLAlchemy has it
    ) -> CursorResult[Any]:
        await self._others()
        return self._proxied.exec_driver_sql(statement, parameters, execution_options)


class _Engine(AsyncEngine):
    _connection_cls = _Connection
