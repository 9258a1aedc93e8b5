"""The open store, whatever keeps it: one transaction at a time, durable before anyone is told.

Whoever needs the store waits in line for it, so transactions are kept short and large work is done in chunks. What is
particular stands in sqlite.py and postgresql.py; opening.py knows which of them a configuration means.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher.store import after
from dispatcher.store.line import Line

CHUNK: Final = 500
"""Rows of one statement or one chunk of long work: enough to make the commit cheap, few enough to be brief."""


class StoreError(Exception):
    """The store cannot be used as it is; the message says what to do."""


class StoreUnreachableError(StoreError):
    """Nobody answers where the store is kept, as yet: it may be tried again."""


class StoreLostError(StoreError):
    """What we had of the store is not ours any more, or nobody can say what it holds: end, and start anew."""


class Database(ABC):
    """The open store. `async with database.transaction() as tx` is the only way in."""

    instance = 0
    """The number of the daemon that we are (store/instances.py), where daemons may share the store: each transaction
    makes sure that its lease lasts, and raises StoreLostError where it does not. 0: a command, or nobody shares it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._line = Line()
        self.trouble = ""       # what is wrong with disk or file, until something can be written again

    @contextlib.asynccontextmanager
    async def transaction(self, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """One durable transaction: committed when the block ends, rolled back when it raises.

        An urgent one, of a few rows, does not wait for others that wait. DBAPIError: the store has not taken it, and it
        may be tried again.
        """
        async with self._line.turn(urgent=urgent):
            async with self._begun() as tx:
                after.take(tx)      # of one that was undone
                yield tx
            told = after.take(tx)
        for tell in told:
            tell()

    @abstractmethod
    def snapshot(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One moment of the store, to be read at leisure beside all work: nobody waits for it, and it writes nothing.

        DBAPIError: it cannot be read.
        """

    @property
    def busy(self) -> bool:
        """Whether somebody is using the store."""
        return self._line.taken

    async def quiet(self) -> None:
        """Return when all who wanted the store before have had it."""
        async with self._line.turn():
            pass

    async def close(self) -> None:
        """Close the store, after what is under way has ended."""
        async with self._line.turn():
            await self._end()

    @abstractmethod
    def _begun(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction from its beginning to its commit or its end; nobody else is in the store meanwhile."""

    @abstractmethod
    async def _end(self) -> None:
        """Let go of the store."""


class SharedDatabase(Database):
    """A store that several daemons may have open: one transaction at a time over all of them."""

    @abstractmethod
    def aside(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A short look or word beside all transactions, which waits for none of them; each statement is its own.

        DBAPIError: the store has not taken it.
        """
