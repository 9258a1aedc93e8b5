"""The updates of an incident: which are earlier, who has heard of it, and whether its last word has been said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Campaign, Message, SkipReason
from dispatcher.core.states import State
from dispatcher.store.queue import MESSAGE_COLUMNS, with_state
from dispatcher.store.rows import among
from dispatcher.store.tables import campaigns, messages, tallies

_NOT_SAID = (SkipReason.NO_SEGMENT, SkipReason.CANCELED)
"""Skips of updates that are no word to their customer at all: not meant for them, or taken back."""

m = messages.c
_OF_IT: Final = campaigns.c.id == m.campaign
_SAID: Final = or_(m.state != State.SKIPPED, m.reason.not_in(_NOT_SAID))
_GOT: Final = or_(
    m.state.in_([State.ACCEPTED, State.IN_DOUBT]), m.doubts > 0, (m.state == State.SENDING) & (m.begun == 1)
)


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
    rows = await tx.execute(
        select(m.customer, func.max(campaigns.c.sequence)).join(campaigns, _OF_IT)
        .where(among(m.customer, customers), campaigns.c.incident == incident, _SAID)
        .group_by(m.customer)
    )
    return {customer: sequence for customer, sequence in rows}  # noqa: C416 -- dict() of rows is not typed


async def informed(tx: AsyncConnection, incident: str, below: int, customers: Sequence[str]) -> set[str]:
    """Which of these customers have got an earlier update, or perhaps have: sent, being sent, in doubt."""
    rows = await tx.execute(
        select(m.customer).distinct().join(campaigns, _OF_IT)
        .where(among(m.customer, customers), campaigns.c.incident == incident, campaigns.c.sequence < below, _GOT)
    )
    return {customer for (customer,) in rows}


def latest_for(customer: ColumnElement[str], incident: ColumnElement[str]) -> ScalarSelect[int | None]:
    """The same for one customer, in a statement about many: the highest sequence that they have a message of."""
    return (
        select(func.max(campaigns.c.sequence)).select_from(messages.join(campaigns, _OF_IT))
        .where(m.customer == customer, campaigns.c.incident == incident, _SAID).scalar_subquery()
    )


def is_informed(
    customer: ColumnElement[str], incident: ColumnElement[str], below: ColumnElement[int]
) -> ColumnElement[bool]:
    """The same for one customer, in a statement about many: whether they have got an earlier update, or perhaps."""
    return (
        select(m.id).select_from(messages.join(campaigns, _OF_IT))
        .where(m.customer == customer, campaigns.c.incident == incident, campaigns.c.sequence < below, _GOT).exists()
    )


async def closed_at(tx: AsyncConnection, incident: str) -> int:
    """The sequence of the update that has closed an incident, as it has messages of its own by now; 0: none has."""
    t = tallies.c
    said = select(t.campaign).where(t.campaign == campaigns.c.id, t.count > 0).exists()
    found = await tx.execute(
        select(func.max(campaigns.c.sequence)).where(
            campaigns.c.incident == incident, campaigns.c.closes == 1, campaigns.c.canceled_at.is_(None), said)
    )
    return found.scalar() or 0


async def reached(tx: AsyncConnection, one: Campaign, added: tuple[int, int]) -> list[str]:
    """Whom an update's messages overtake earlier ones for; nobody outside of incidents.

    `added`: its newest messages, so many behind an id.
    """
    if not one.incident:
        return []
    return [customer for (customer,) in await tx.execute(_reached(added))]


async def overtaken_by(
    tx: AsyncConnection, added: tuple[int, int], earlier: Sequence[str]
) -> list[tuple[Message, str]]:
    """The queued messages of earlier updates to those whom an update's newest messages reach."""
    query = select(*MESSAGE_COLUMNS, m.waiting).where(
        m.state == State.QUEUED, m.campaign.in_(earlier), m.customer.in_(_reached(added))
    )
    return with_state(await tx.execute(query))


def _reached(added: tuple[int, int]) -> Select[Any]:
    newer = messages.alias("newer").c
    behind, count = added
    some = select(newer.customer, newer.reason).where(newer.id > behind).order_by(newer.id).limit(count).subquery()
    return select(some.c.customer).where(some.c.reason != SkipReason.NO_SEGMENT)
