"""The send queue: in, out in order, and the moves of messages that have not been handed over.

Every function is one or a few statements for many messages, inside the caller's transaction, and keeps the tallies
through the Deltas that it is given. None of them decides anything.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Integer, Select, String, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Customer, Message
from dispatcher.core.states import State, move
from dispatcher.store.rows import (
    CUSTOMER_COLUMNS,
    AnyRow,
    among,
    among_those,
    customer_from_snapshot,
    customer_of,
    listed,
)
from dispatcher.store.tables import DUE, QUEUED, SENDING, customers, messages
from dispatcher.store.tallies import WAITING as TALLY_WAITING
from dispatcher.store.tallies import Deltas, Place

m = messages.c
MESSAGE_COLUMNS: Final = (
    m.id, m.campaign, m.key, m.customer, m.segment, m.rank, m.priority, m.lane, m.data, m.expires_at, m.attempts,
    m.doubts, m.version, m.released_at,
)
JOINED: Final = select(*MESSAGE_COLUMNS, m.snapshot, *CUSTOMER_COLUMNS).select_from(
    messages.outerjoin(customers, customers.c.id == m.customer)
)
_WIDTH: Final = len(MESSAGE_COLUMNS)


@dataclass(slots=True)   # not frozen: made once for every message that a release looks at
class Claimed:
    """A message with the customer whom it would go to: as known now, or as at its first release."""

    message: Message
    customer: Customer | None
    snapshot: Customer | None     # set where the customer has changed since the first release


def place(message: Message, state: str, reason: str = "") -> Place:
    """Where the tallies count a message."""
    return (message.campaign, message.lane, message.priority, message.rank, message.segment, str(state), reason)


def message_of(row: Sequence[Any]) -> Message:
    """A message of the values of MESSAGE_COLUMNS, in their order."""
    data = row[8]
    return Message(*(*row[:8], json.loads(data) if data != "{}" else {}, *row[9:_WIDTH]))


def claimed_of(row: AnyRow) -> Claimed:
    """A message and its customer of a row of JOINED."""
    values = tuple(row)
    snapshot = values[_WIDTH]
    fields = values[_WIDTH + 1:]
    return Claimed(
        message_of(values),
        customer_of(fields) if fields[0] is not None else None,
        customer_from_snapshot(snapshot) if snapshot else None,
    )


_DIGESTS: Final = select(m.key, m.digest, m.state).where(
    m.campaign == bindparam("its_campaign", type_=String()), among_those(m.key, "keys"),
    m.id <= bindparam("upto", type_=BigInteger()),
)


async def digests(tx: AsyncConnection, campaign: str, keys: Sequence[str], upto: int) -> dict[str, tuple[str, str]]:
    """The digest and the state of each of these keys that a campaign has among its messages up to an id."""
    rows = await tx.execute(_DIGESTS, {"its_campaign": campaign, "keys": listed(keys), "upto": upto})
    return {key: (digest, state) for key, digest, state in rows}


_HEAD: Final = (
    JOINED.where(
        DUE, m.lane == bindparam("its_lane", type_=String()), m.campaign == bindparam("its_campaign", type_=String()),
        m.priority == bindparam("its_priority", type_=Integer()), m.rank == bindparam("its_rank", type_=Integer()),
        m.id > bindparam("after", type_=BigInteger()),
    ).order_by(m.id).limit(bindparam("most", type_=Integer()))
)


async def head(tx: AsyncConnection, lane: str, run: tuple[str, int, int], after: int, limit: int) -> list[AnyRow]:
    """The first due messages of a run (campaign, priority, rank) of a lane behind a message id, first come first.

    Rows for claimed_of: what they cost to decode is the caller's to spread.
    """
    campaign, priority, rank = run
    return list(await tx.execute(_HEAD, {
        "its_lane": lane, "its_campaign": campaign, "its_priority": priority, "its_rank": rank, "after": after,
        "most": limit,
    }))


_TAKE: Final = update(messages).where(among_those(m.id, "ids")).values(
    state=move(State.QUEUED, State.SENDING), slot=bindparam("its_slot", type_=BigInteger()), begun=0, reason="",
    owner=bindparam("its_owner", type_=BigInteger()),
    version=func.coalesce(m.version, bindparam("its_version", type_=Integer())),
    released_at=func.coalesce(m.released_at, bindparam("now", type_=BigInteger())),
)


async def take(
    tx: AsyncConnection, taken: Sequence[Message], version: int, slot: int, now: int, owner: int | None = None
) -> None:
    """Put queued messages of one campaign into a batch. The first release fixes version and instant for good."""
    await tx.execute(_TAKE, {
        "ids": listed(one.id for one in taken), "its_slot": slot, "its_version": version, "now": now,
        "its_owner": owner,
    })


async def skip(
    tx: AsyncConnection, closed: Sequence[Message], reason: str, now: int, deltas: Deltas, *, before: str = State.QUEUED
) -> None:
    """Close messages for one reason. `before` is their state now: queued, waiting, or sending but not handed over.

    One that was perhaps sent before is not called skipped: it stays in doubt, with the reason why it ends so.
    """
    for state in (State.SKIPPED, State.IN_DOUBT):
        some = [one for one in closed if (one.doubts > 0) == (state is State.IN_DOUBT)]
        if not some:
            continue
        await tx.execute(
            update(messages).where(among(m.id, (one.id for one in some))).values(
                state=move(State.SENDING if before == State.SENDING else State.QUEUED, state), reason=reason, waiting=0,
                begun=0, finished_at=now,
            )
        )
        for one in some:
            deltas.move(place(one, before), place(one, state, reason if state is State.SKIPPED else ""))


async def postpone(
    tx: AsyncConnection, postponed: Sequence[Message], until: int, reason: str, deltas: Deltas
) -> None:
    """Due messages wait until an instant, for a reason that a person can read."""
    await tx.execute(
        update(messages).where(among(m.id, (one.id for one in postponed))).values(
            waiting=1, not_before=until, reason=reason
        )
    )
    for one in postponed:
        deltas.move(place(one, State.QUEUED), place(one, TALLY_WAITING))


async def give_back(tx: AsyncConnection, returned: Sequence[Message], not_before: int, deltas: Deltas) -> None:
    """Put messages that were surely not handed over back into the queue; 0: due at once."""
    await tx.execute(
        update(messages).where(among(m.id, (one.id for one in returned))).values(
            state=move(State.SENDING, State.QUEUED), begun=0, waiting=int(not_before > 0), not_before=not_before
        )
    )
    after = TALLY_WAITING if not_before else State.QUEUED
    for one in returned:
        deltas.move(place(one, State.SENDING), place(one, after))


_BEGIN: Final = update(messages).where(among_those(m.id, "ids"), m.state == State.SENDING).values(begun=1)


async def begin(tx: AsyncConnection, ids: Sequence[int]) -> None:
    """Mark messages as perhaps handed over, before they are; one that was stopped meanwhile is left alone."""
    await tx.execute(_BEGIN, {"ids": listed(ids)})


async def reroute(tx: AsyncConnection, moved: Iterable[tuple[Message, str, str, int, str]], deltas: Deltas) -> None:
    """Queued messages (each with its state in tallies) get another segment, rank and lane."""
    for one, state, segment, rank, lane in moved:
        await tx.execute(update(messages).where(m.id == one.id).values(segment=segment, rank=rank, lane=lane))
        deltas.move(place(one, state), (one.campaign, lane, one.priority, rank, segment, state, ""))


async def of_campaign(tx: AsyncConnection, campaign: str, after: int, limit: int) -> list[tuple[Message, str]]:
    """Queued messages of a campaign behind a message id, each with its state in tallies."""
    query = select(*MESSAGE_COLUMNS, m.waiting).where(QUEUED, m.campaign == campaign, m.id > after)
    return await _with_state(tx, query.order_by(m.id), limit)


async def queued_of(
    tx: AsyncConnection, ids: Sequence[str], campaigns: Sequence[str] = ()
) -> list[tuple[Message, str]]:
    """Queued messages of customers (of these campaigns only, where given), each with its state in tallies."""
    query = select(*MESSAGE_COLUMNS, m.waiting).where(among(m.customer, ids), m.state == State.QUEUED)
    if campaigns:
        query = query.where(m.campaign.in_(campaigns))
    return with_state(await tx.execute(query))


async def sending(
    tx: AsyncConnection, limit: int, living: Sequence[int] = (), *, free: bool = True
) -> list[tuple[Message, int, int]]:
    """Messages that are out: with their slot, and whether they were perhaps handed over. Read when a daemon has ended.

    What is of these instances is left out; and so is, unless `free`, what is nobody's in particular.
    """
    query = select(*MESSAGE_COLUMNS, m.slot, m.begun).where(SENDING).order_by(m.lane, m.slot)
    if living:
        query = query.where(or_(m.owner.not_in(living), m.owner.is_(None)) if free else m.owner.not_in(living))
    rows = await tx.execute(query.limit(limit))
    return [(message_of(row), row[_WIDTH], row[_WIDTH + 1]) for row in rows]


async def _with_state(tx: AsyncConnection, query: Select[Any], limit: int) -> list[tuple[Message, str]]:
    return with_state(await tx.execute(query.limit(limit)))


def with_state(rows: Iterable[AnyRow]) -> list[tuple[Message, str]]:
    """Rows of MESSAGE_COLUMNS and `waiting`: messages of the queue, each with its state in tallies."""
    return [(message_of(row), TALLY_WAITING if row[_WIDTH] else State.QUEUED) for row in rows]


async def first_due(tx: AsyncConnection, lane: str, run: tuple[str, int, int]) -> tuple[int, int | None]:
    """The id of the first due message of a run, and when it expires: near enough for all, as they came together."""
    campaign, priority, rank = run
    query = (
        select(m.id, m.expires_at)
        .where(DUE, m.lane == lane, m.campaign == campaign, m.priority == priority, m.rank == rank)
        .order_by(m.id).limit(1)
    )
    row = (await tx.execute(query)).first()
    return (row.id, row.expires_at) if row is not None else (0, None)
