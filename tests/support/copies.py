"""Stores to be copied, what is in them by our own reading, and copies that are cut short."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select
from support.postgresql import PASSWORD

from config.model import Store
from dispatcher.operations.database import copy
from dispatcher.store import integrity
from dispatcher.store.database import StoreError
from dispatcher.store.lock import StoreLockedError
from dispatcher.store.opening import open_database
from dispatcher.store.postgresql import Address
from dispatcher.store.record_tables import metadata  # by way of these, so that all tables are known

Content = dict[str, list[tuple[Any, ...]]]


class CutShortError(Exception):
    """As by a power cut, between two chunks."""


def at(place: Path | Address) -> Store:
    """A store as a configuration names it."""
    if isinstance(place, Path):
        return Store(url=f"sqlite:///{place}")
    return Store(url=str(place), password=SecretStr(PASSWORD) if PASSWORD else None)


async def copied(source: Store, target: Store) -> dict[str, Any]:
    """What a copy that nothing keeps from its end says."""
    return await copy(source, target, "db copy", lambda _done, _total: None)


async def cut_short(source: Store, target: Store, part: float) -> None:
    """A copy that ends when so much of its way is done; half of it is copying, the rest reading back."""

    def tell(done: int, total: int) -> None:
        if done >= part * total:
            raise CutShortError

    try:
        await copy(source, target, "db copy", tell)
    except CutShortError:
        return
    raise AssertionError


async def content(store: Store) -> Content:
    """Every row of every table but what `meta` says of the place itself; and that `db check` finds no fault."""
    opened = await open_database(store, "test")
    async with opened.snapshot() as tx:
        assert await integrity.faults(tx) == []
        found = {table.name: sorted(map(tuple, await tx.execute(select(*table.c))), key=repr)
                 for table in metadata.sorted_tables}
    await opened.close()
    found["meta"] = [(name, value) for name, value in found["meta"] if name not in {"holder", "copy"}]
    return found


async def refusal(store: Store) -> str:
    """What a daemon is told that would open this store; as soon as whoever had it is known to be gone."""
    while True:
        try:
            opened = await open_database(store, "run")
        except StoreError as error:
            return str(error)
        except StoreLockedError:
            continue
        await opened.close()
        raise AssertionError
