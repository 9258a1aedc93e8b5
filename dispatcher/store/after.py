"""What is said of a transaction is said once it has been committed: one that was undone says nothing."""

from collections.abc import Callable
from weakref import WeakKeyDictionary

from sqlalchemy.ext.asyncio import AsyncConnection

_told: WeakKeyDictionary[AsyncConnection, list[Callable[[], object]]] = WeakKeyDictionary()


def after_commit(tx: AsyncConnection, tell: Callable[[], object]) -> None:
    """Call this when the transaction has been committed; never, where it is undone. It may not raise."""
    _told.setdefault(tx, []).append(tell)


def take(tx: AsyncConnection) -> list[Callable[[], object]]:
    """What is to be called, and no more from here on."""
    return _told.pop(tx, [])
