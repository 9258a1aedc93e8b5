"""How the canaries of campaigns fare: which messages they are made of, and what became of those.

A campaign without a canary, or before it, has no row here.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, and_, bindparam, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.states import State
from dispatcher.store import changes
from dispatcher.store.changes import Change
from dispatcher.store.controls import Hold
from dispatcher.store.record_tables import canaries, canary_messages
from dispatcher.store.rows import among, insert_into
from dispatcher.store.tables import attempts, campaigns, messages

BY: Final = "dispatcher"

Stand = tuple[str, str, int, int, str, int | None]
"""Where queued messages stand: lane, campaign, priority, rank, segment; the grain they wait for, None where due."""


class CanaryState(StrEnum):
    """Where a canary is on its way."""

    OUT = "out"             # some of it has been released, not all
    WAITING = "waiting"     # all of it has; judged at `until`
    PASSED = "passed"
    FAILED = "failed"       # holds the campaign, until a person has looked and resumes it: passed


@dataclass(frozen=True, slots=True)
class CanaryRow:
    """One campaign's canary."""

    campaign: str
    state: CanaryState
    released: int           # messages that are part of it
    began_at: int
    until: int | None       # out: the last end of its slots; waiting: when it is judged; failed: when it was
    why: str = ""           # it failed, also where it counts as passed now


_SELECTED = select(
    canaries.c.campaign, canaries.c.state, canaries.c.released, canaries.c.began_at, canaries.c.until, canaries.c.why,
)


# An attempt that met a server: not one that found nobody, which is deferred without a reply.
_SEEN = or_(attempts.c.outcome != "deferred", attempts.c.code != "")


async def every(tx: AsyncConnection) -> dict[str, CanaryRow]:
    """Every canary that has begun, by campaign."""
    return {row.campaign: _row(row) for row in await tx.execute(_SELECTED)}


async def get(tx: AsyncConnection, campaign: str) -> CanaryRow | None:
    """A campaign's canary; None before it has begun."""
    row = (await tx.execute(_SELECTED.where(canaries.c.campaign == campaign))).first()
    return _row(row) if row is not None else None


_DUE = (      # asked at every turn of the keeper and before every release, so put together once
    _SELECTED.where(canaries.c.state == CanaryState.WAITING, canaries.c.until <= bindparam("now", type_=BigInteger()))
    .order_by(canaries.c.campaign)
)


async def due(tx: AsyncConnection, now: int) -> list[CanaryRow]:
    """The canaries whose wait is over."""
    return [_row(row) for row in await tx.execute(_DUE, {"now": now})]


_NEXT_DUE = select(func.min(canaries.c.until)).where(canaries.c.state == CanaryState.WAITING)


async def next_due(tx: AsyncConnection) -> int | None:
    """When the next wait is over."""
    found: int | None = (await tx.execute(_NEXT_DUE)).scalar()
    return found


_HELD = (
    select(canaries.c.campaign, canaries.c.why, func.coalesce(canaries.c.until, canaries.c.began_at),
           campaigns.c.category)
    .join(campaigns, campaigns.c.id == canaries.c.campaign)
    .where(canaries.c.state == CanaryState.FAILED, campaigns.c.canceled_at.is_(None)).order_by(canaries.c.campaign)
)


async def held(tx: AsyncConnection) -> dict[Hold, str]:
    """What canaries that failed hold, as other holds are shown -> the campaign's category."""
    return {Hold("campaign", campaign, f"canary: {why}", BY, at, None): category
            for campaign, why, at, category in await tx.execute(_HELD)}


async def resume(tx: AsyncConnection, campaign: str) -> None:
    """A person lets a campaign go on whose canary failed: it counts as passed."""
    await tx.execute(
        update(canaries).where(canaries.c.campaign == campaign, canaries.c.state == CanaryState.FAILED)
        .values(state=CanaryState.PASSED, until=None)
    )


async def put(tx: AsyncConnection, row: CanaryRow) -> None:
    """Write how a canary fares."""
    insert = insert_into(tx, canaries)
    changing = ("state", "released", "began_at", "until", "why")
    await tx.execute(
        insert.on_conflict_do_update(
            index_elements=[canaries.c.campaign], set_={name: insert.excluded[name] for name in changing},
        ),
        {"campaign": row.campaign, "state": row.state, "released": row.released, "began_at": row.began_at,
         "until": row.until, "why": row.why},
    )
    if row.state is CanaryState.FAILED:
        await changes.tell(tx, Change.STOPS)


async def add_messages(tx: AsyncConnection, campaign: str, ids: Iterable[int]) -> None:
    """These messages are part of a campaign's canary."""
    await tx.execute(
        insert_into(tx, canary_messages).on_conflict_do_nothing(),
        [{"campaign": campaign, "message": message} for message in ids],
    )


async def forget_messages(tx: AsyncConnection, campaign: str) -> None:
    """Which messages a canary was made of is of no more use: it has been judged."""
    await tx.execute(delete(canary_messages).where(canary_messages.c.campaign == campaign))


async def forget_unseen(tx: AsyncConnection, campaign: str) -> int:
    """Messages that no server has seen, and that are not on their way to one, are no part of the canary any more.

    How many are left.
    """
    message = canary_messages.c.message
    await tx.execute(delete(canary_messages).where(
        canary_messages.c.campaign == campaign,
        ~select(attempts.c.message).where(attempts.c.message == message, _SEEN).exists(),
        ~select(messages.c.id).where(messages.c.id == message, messages.c.state == State.SENDING).exists(),
    ))
    left: int = (await tx.execute(
        select(func.count()).select_from(canary_messages).where(canary_messages.c.campaign == campaign)
    )).scalar_one()
    return left


async def members(tx: AsyncConnection, campaign: str, ids: Sequence[int]) -> set[int]:
    """Which of these messages are part of a campaign's canary."""
    rows = await tx.execute(
        select(canary_messages.c.message)
        .where(canary_messages.c.campaign == campaign, among(canary_messages.c.message, ids))
    )
    return {message for (message,) in rows}


async def queued(tx: AsyncConnection, of: Collection[str], grain: int) -> dict[Stand, int]:
    """Where the messages of these campaigns' canaries stand in the queue again -> how many; waits in grains."""
    m = messages.c
    waits = case((m.waiting == 1, func.floor(m.not_before / grain)), else_=None)
    keys = (m.lane, m.campaign, m.priority, m.rank, m.segment)
    rows = await tx.execute(
        select(*keys, waits, func.count())
        .join(canary_messages, and_(canary_messages.c.message == m.id, canary_messages.c.campaign == m.campaign))
        .where(among(canary_messages.c.campaign, sorted(of)), m.state == State.QUEUED).group_by(*keys, waits)
    )
    return {(lane, campaign, priority, rank, segment, None if due is None else int(due)): int(count)
            for lane, campaign, priority, rank, segment, due, count in rows}


async def seen(tx: AsyncConnection, campaign: str) -> int:
    """How many of a canary's messages a server has answered, or perhaps has."""
    found: int = (await tx.execute(
        select(func.count(attempts.c.message.distinct()))
        .join(canary_messages, canary_messages.c.message == attempts.c.message)
        .where(canary_messages.c.campaign == campaign, _SEEN)
    )).scalar_one()
    return found


async def outcomes(tx: AsyncConnection, campaign: str) -> dict[str, int]:
    """What became of the attempts of a canary's messages that were answered: outcome -> how many."""
    rows = await tx.execute(
        select(attempts.c.outcome, func.count())
        .join(canary_messages, canary_messages.c.message == attempts.c.message)
        .where(canary_messages.c.campaign == campaign, _SEEN).group_by(attempts.c.outcome)
    )
    return {outcome: int(count) for outcome, count in rows}


def _row(row: Sequence[Any]) -> CanaryRow:
    campaign, state, *others = row
    return CanaryRow(campaign, CanaryState(state), *others)
