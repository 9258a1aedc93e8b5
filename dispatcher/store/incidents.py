"""The updates of an incident: which are earlier, who has heard of it, and whether its last word has been said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Campaign, SkipReason
from dispatcher.core.states import State
from dispatcher.store.rows import among
from dispatcher.store.tables import campaigns, messages, tallies

_NOT_SAID = (SkipReason.NO_SEGMENT, SkipReason.CANCELED)
"""Skips of updates that are no word to their customer at all: not meant for them, or taken back."""


@dataclass(frozen=True, slots=True)
class Thread:
    """What an update of an incident must know about the others, for some customers."""

    latest: Mapping[str, int] = field(default_factory=dict)     # customer -> the highest sequence of their messages
    informed: frozenset[str] = frozenset()      # of a closing update: who has got an earlier one, or perhaps has
    closed_at: int = 0                          # the sequence of the incident's last word, once that has been said

    def overtaken(self, customer: str, sequence: int) -> bool:
        """Whether an update with this sequence has been overtaken for a customer."""
        return max(self.latest.get(customer, 0), self.closed_at) > sequence


NO_THREAD: Final = Thread()


async def thread(tx: AsyncConnection, one: Campaign, customers: Sequence[str]) -> Thread:
    """The thread that a campaign's messages to these customers belong to; an empty one outside of incidents."""
    if not one.incident:
        return NO_THREAD
    return Thread(
        await latest_sequences(tx, one.incident, customers),
        frozenset(await informed(tx, one.incident, one.sequence, customers)) if one.closes else frozenset(),
        await closed_at(tx, one.incident),
    )


async def earlier(tx: AsyncConnection, incident: str, below: int) -> list[str]:
    """The campaigns of an incident with a lower sequence."""
    rows = await tx.execute(
        select(campaigns.c.id).where(campaigns.c.incident == incident, campaigns.c.sequence < below)
    )
    return [campaign for (campaign,) in rows]


async def latest_sequences(tx: AsyncConnection, incident: str, customers: Sequence[str]) -> dict[str, int]:
    """The highest sequence of an incident that each of these customers has a message of, sent or not.

    A message that was skipped because it was not meant for the customer, or was canceled, overtakes nothing.
    """
    m = messages.c
    rows = await tx.execute(
        select(m.customer, func.max(campaigns.c.sequence))
        .join(campaigns, campaigns.c.id == m.campaign)
        .where(among(m.customer, customers), campaigns.c.incident == incident,
               or_(m.state != State.SKIPPED, m.reason.not_in(_NOT_SAID)))
        .group_by(m.customer)
    )
    return {customer: sequence for customer, sequence in rows}  # noqa: C416 -- dict() of rows is not typed


async def informed(tx: AsyncConnection, incident: str, below: int, customers: Sequence[str]) -> set[str]:
    """Which of these customers have got an earlier update, or perhaps have: sent, being sent, in doubt."""
    m = messages.c
    rows = await tx.execute(
        select(m.customer).distinct()
        .join(campaigns, campaigns.c.id == m.campaign)
        .where(among(m.customer, customers), campaigns.c.incident == incident, campaigns.c.sequence < below,
               or_(m.state.in_([State.ACCEPTED, State.IN_DOUBT]), m.doubts > 0,
                   (m.state == State.SENDING) & (m.begun == 1)))
    )
    return {customer for (customer,) in rows}


async def closed_at(tx: AsyncConnection, incident: str) -> int:
    """The sequence of the update that has closed an incident, as it has messages of its own by now; 0: none has."""
    t = tallies.c
    said = select(t.campaign).where(t.campaign == campaigns.c.id, t.count > 0).exists()
    found = await tx.execute(
        select(func.max(campaigns.c.sequence)).where(
            campaigns.c.incident == incident, campaigns.c.closes == 1, campaigns.c.canceled_at.is_(None), said)
    )
    return found.scalar() or 0
