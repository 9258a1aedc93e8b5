"""A message in doubt comes to rest by a person's word."""

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Message
from dispatcher.core.states import State, move
from dispatcher.store.queue import place
from dispatcher.store.tables import messages
from dispatcher.store.tallies import Deltas

SETTLED = "settled"
"""The reason that a message carries whose end a person told."""


async def settle(tx: AsyncConnection, one: Message, following: State, now: int, deltas: Deltas) -> None:
    """Move a message in doubt to accepted or rejected, or back into the queue to be sent again."""
    again = following is State.QUEUED
    await tx.execute(
        update(messages).where(messages.c.id == one.id).values(
            state=move(State.IN_DOUBT, following), reason="" if again else SETTLED, waiting=0, not_before=0, begun=0,
            finished_at=None if again else now,
        )
    )
    deltas.move(place(one, State.IN_DOUBT), place(one, following))
