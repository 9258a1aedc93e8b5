"""What a campaign's report reads: each query bounded, so that none of its transactions is long.

Messages are looked at page by page, in the order of the index that every campaign has for its keys: the work follows
the campaign's own size, whatever else the store holds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Subquery, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.slip_evidence import Gone
from dispatcher.store.journal import CRASHED
from dispatcher.store.record_tables import campaign_plans
from dispatcher.store.rows import among, fields
from dispatcher.store.tables import attempts, batch_parts, batches, messages, tallies

CRASH = "crash"
m = messages.c


@dataclass(frozen=True, slots=True)
class Tried:
    """Attempts of the campaign's messages in one slot of a lane that came to the same outcome."""

    lane: str
    slot: int
    outcome: str
    count: int
    first_at: int
    last_at: int
    firsts: int             # of count: no attempt of theirs was before


@dataclass(frozen=True, slots=True)
class Page:
    """What some of a campaign's messages have come to."""

    last_key: str | None                    # None: there were no more
    count: int
    added: int                              # accepted after an instant
    deferred: dict[str, int]                # by segment: deferred, and in the queue to be tried again
    tried: list[Tried]
    leaving: dict[tuple[str, int], int]     # (lane, slot): released, and without an attempt as yet
    sent: dict[str, int]                    # by segment: with an attempt, or leaving
    pruned: int                             # attempts that messages know of, and that are not there any more
    again: Sequence["Again"] = ()
    gone: Sequence[Gone] = ()


@dataclass(frozen=True, slots=True)
class Again:
    """Further attempts of the campaign's messages in one slot of a lane, by what the attempts before came to."""

    lane: str
    slot: int
    before: str                             # an outcome; CRASH: in doubt, as the daemon ended
    count: int


@dataclass(frozen=True, slots=True)
class OtherPart:
    """What another campaign had of a slot."""

    lane: str
    slot: int
    campaign: str
    size: int


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A whole batch of a lane, and what its provider made of it."""

    lane: str
    slot: int
    slot_ends: int
    released_at: int
    size: int
    accepted: int
    deferred: int
    rejected: int
    in_doubt: int
    unsent: int


async def page(tx: AsyncConnection, campaign: str, after: str, limit: int, since: int) -> Page:
    """The campaign's messages with a key behind `after`: what became of them."""
    these = (
        select(m.id, m.key, m.created_at, m.segment, m.state, m.reason, m.attempts, m.lane, m.slot, m.finished_at)
        .where(m.campaign == campaign, m.key > after).order_by(m.key).limit(limit).subquery()
    )
    last_key, count, added, known, most = (await tx.execute(
        select(func.max(these.c.key), func.count(), func.sum(case((these.c.created_at > since, 1), else_=0)),
               func.sum(these.c.attempts), func.max(these.c.attempts))
    )).one()
    if not count:
        return Page(None, 0, 0, {}, [], {}, {}, 0)
    tried = await _tried(tx, these)
    deferred = await tx.execute(
        select(these.c.segment, func.count())
        .where(these.c.state == "queued", these.c.reason == "deferred").group_by(these.c.segment)
    )
    leaving = await tx.execute(
        select(these.c.lane, these.c.slot, func.count())
        .where(these.c.state == "sending", these.c.attempts == 0).group_by(these.c.lane, these.c.slot)
    )
    sent = await tx.execute(
        select(these.c.segment, func.count())
        .where(or_(these.c.attempts > 0, these.c.state == "sending")).group_by(these.c.segment)
    )
    return Page(last_key, count, int(added), {segment: number for segment, number in deferred},  # noqa: C416 -- dict() of rows is not typed
                tried, {(lane, slot): number for lane, slot, number in leaving},
                {segment: number for segment, number in sent},  # noqa: C416 -- as above
                int(known) - sum(one.count for one in tried), await _again(tx, these) if most > 1 else (),
                await _gone(tx, these, since))


async def _tried(tx: AsyncConnection, these: Subquery) -> list[Tried]:
    a = attempts.c
    rows = await tx.execute(
        select(a.lane, a.slot, a.outcome, func.count(), func.min(a.at), func.max(a.at),
               func.sum(case((a.number == 1, 1), else_=0)))
        .join(these, these.c.id == a.message).group_by(a.lane, a.slot, a.outcome)
    )
    return [Tried(lane, slot, outcome, count, first_at, last_at, int(firsts))
            for lane, slot, outcome, count, first_at, last_at, firsts in rows]


async def _again(tx: AsyncConnection, these: Subquery) -> list[Again]:
    a, before = attempts.c, attempts.alias()
    rows = await tx.execute(
        select(a.lane, a.slot, before.c.outcome, func.count(), func.sum(case((before.c.detail == CRASHED, 1), else_=0)))
        .join(these, and_(these.c.id == a.message, these.c.attempts > 1))
        .join(before, and_(before.c.message == a.message, before.c.number == a.number - 1))
        .group_by(a.lane, a.slot, before.c.outcome)
    )
    found = []
    for lane, slot, outcome, count, crashed in rows:
        found += [Again(lane, slot, outcome, count - int(crashed)), Again(lane, slot, CRASH, int(crashed))]
    return [one for one in found if one.count]


async def _gone(tx: AsyncConnection, these: Subquery, since: int) -> list[Gone]:
    """Who fell away after an instant; who did at acceptance stands in no lane."""
    t = these.c
    rows = await tx.execute(
        select(t.lane, t.finished_at, func.count(), t.reason)
        .where(t.state == "skipped", t.lane != "", t.finished_at > since).group_by(t.lane, t.finished_at, t.reason)
    )
    return [Gone(*row) for row in rows]


async def other_parts(
    tx: AsyncConnection, campaign: str, lane: str, after: tuple[int, str], limit: int
) -> list[OtherPart]:
    """What other campaigns had of a lane's slots, behind a slot and campaign, in order."""
    b = batch_parts.c
    slot, name = after
    rows = await tx.execute(
        select(b.lane, b.slot, b.campaign, func.sum(b.size))
        .where(b.lane == lane, b.campaign != campaign, or_(b.slot > slot, and_(b.slot == slot, b.campaign > name)))
        .group_by(b.lane, b.slot, b.campaign).order_by(b.slot, b.campaign).limit(limit)
    )
    return [OtherPart(one, at, other, int(size)) for one, at, other, size in rows]


async def slots(tx: AsyncConnection, lane: str, after: int, limit: int) -> list[SlotRow]:
    """A lane's batches with a slot later than `after`, whatever campaigns they were of, in order."""
    b = batches.c
    rows = await tx.execute(
        select(b.lane, b.slot, b.slot_ends, b.released_at, b.size, b.accepted, b.deferred, b.rejected, b.in_doubt,
               b.unsent)
        .where(b.lane == lane, b.slot > after).order_by(b.slot).limit(limit)
    )
    return [SlotRow(*fields(row)) for row in rows]


async def started(tx: AsyncConnection, names: list[str]) -> dict[str, int]:
    """When each of these campaigns started, of those that are known to have."""
    p = campaign_plans.c
    rows = await tx.execute(select(p.campaign, p.stored_at).where(among(p.campaign, names)))
    return {name: at for name, at in rows}  # noqa: C416 -- dict() of rows is not typed


async def counts_by_lane(tx: AsyncConnection, campaign: str) -> list[tuple[str, str, str, int]]:
    """(lane, state in tallies, reason, count) of the campaign's messages; no lane: skipped at acceptance."""
    t = tallies.c
    rows = await tx.execute(
        select(t.lane, t.state, t.reason, func.sum(t.count))
        .where(t.campaign == campaign, t.count > 0).group_by(t.lane, t.state, t.reason)
    )
    return [(lane, state, reason, int(count)) for lane, state, reason, count in rows]


def add(total: dict[tuple[str, int, str], Tried], some: Iterable[Tried]) -> None:
    """Add what one page says to what others said, slot by slot."""
    for one in some:
        key = (one.lane, one.slot, one.outcome)
        before = total.get(key)
        total[key] = one if before is None else Tried(
            *key, before.count + one.count, min(before.first_at, one.first_at), max(before.last_at, one.last_at),
            before.firsts + one.firsts,
        )
