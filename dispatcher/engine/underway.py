"""What is released and not yet finished: the daemon's short memory of its batches.

A stop (hold, cancel, suppression, erasure) reaches in here for what has been released and not yet begun, so that no
hand-over begins for a message that it covers (promise P6). The list is as long as the batches under way, never as
long as the queue.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from config.addresses import normalise
from dispatcher.core.calendar import Slot
from dispatcher.engine.release import Batch
from dispatcher.engine.sorting import Ready


@dataclass(slots=True, eq=False)
class Item:
    """One released message on its way to its channel."""

    ready: Ready
    slot: Slot
    released_at: int
    begun: bool = False       # the hand-over may have begun: nobody can stop it any more
    stopped: bool = False     # somebody stopped it before that

    @property
    def lane(self) -> str:
        """Its lane."""
        return self.ready.route.lane


class Underway:
    """The items that are released and have no outcome yet."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._waiting: Counter[str] = Counter()
        self._moved = asyncio.Event()       # some have begun, or are out of the list

    def __len__(self) -> int:
        return len(self._items)

    def add(self, batch: Batch) -> list[Item]:
        """Take a batch in: what of it is ours to deliver."""
        items = [Item(one, batch.slot, batch.released_at) for one in batch.ready[:batch.own]]
        for item in items:
            self._items[item.ready.message.id] = item
        self._waiting[batch.lane] += len(items)
        return items

    def begin(self, item: Item) -> bool:
        """The hand-over begins now; False where the message was stopped before."""
        if item.stopped:
            return False
        item.begun = True
        self._waiting[item.lane] -= 1
        self._moved.set()
        return True

    def end(self, item: Item) -> None:
        """The outcome is known."""
        self._items.pop(item.ready.message.id, None)

    def pending(self, lane: str) -> int:
        """How many of a lane's released messages have not begun to be handed over."""
        return self._waiting[lane]

    async def room(self, lane: str, most: int) -> None:
        """Return when so many of a lane's released messages at most have still to begin."""
        while self._waiting[lane] > most:
            self._moved.clear()
            await self._moved.wait()

    def to_begin(self) -> list[Item]:
        """The released messages that have not begun to be handed over."""
        return [item for item in self._items.values() if not item.begun]

    def stop(self, covers: Callable[[Item], bool]) -> list[Item]:
        """Stop every item that is covered and has not begun; they are out of the list, the caller writes them back."""
        stopped = [item for item in self._items.values() if not item.begun and covers(item)]
        self._forget(stopped)
        return stopped

    def forget(self, items: Iterable[Item]) -> None:
        """Leave items out again: the transaction that released them failed."""
        self._forget(list(items))

    def _forget(self, stopped: Iterable[Item]) -> None:
        for item in stopped:
            item.stopped = True
            self._waiting[item.lane] -= 1
            del self._items[item.ready.message.id]
        self._moved.set()


def to_address(addresses: Iterable[str]) -> Callable[[Item], bool]:
    """Covers what goes to one of these normalised addresses."""
    known = frozenset(addresses)
    return lambda item: normalise(item.ready.route.address) in known


def of_customers(ids: Iterable[str]) -> Callable[[Item], bool]:
    """Covers what goes to one of these customers."""
    known = frozenset(ids)
    return lambda item: item.ready.message.customer in known


def held_by(kind: str, name: str) -> Callable[[Item], bool]:
    """Covers what a hold of this kind and name covers."""
    def covers(item: Item) -> bool:
        return name == {
            "everything": "", "sender": item.ready.route.sender, "lane": item.lane,
            "campaign": item.ready.campaign.id, "category": str(item.ready.campaign.category),
        }[kind]
    return covers
