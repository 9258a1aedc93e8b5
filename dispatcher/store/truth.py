"""What must hold in any store at any moment, by counting everything: for `db check`, for drills and for tests.

A store of millions is counted in pages and by its database, so that the memory needed is that of the tallies and of one
lane's slots. Every check names its first faults only: who has twenty of a kind needs no more to know.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

from sqlalchemy import Select, func, literal, null, or_, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.times import format_instant
from dispatcher.store.tables import attempts, batch_parts, batches, messages, steps, tallies

MOST: Final = 20
"""Faults that a check names."""
PAGE: Final = 5_000
"""Messages or batches that are looked at in one go."""


async def untrue(tx: AsyncConnection) -> list[str]:
    """What of tallies, ledger and messages is not as it must be; nothing, where all is well."""
    return [*await untrue_tallies(tx), *await untrue_ledger(tx), *await untrue_messages(tx)]


async def untrue_tallies(tx: AsyncConnection) -> list[str]:
    """The tallies equal a real count of the messages; none is below nothing."""
    counted: Counter[tuple[object, ...]] = Counter()
    last = (await tx.execute(select(func.coalesce(func.max(_m.id), 0)))).scalar_one()
    first = (await tx.execute(select(func.coalesce(func.min(_m.id), 0)))).scalar_one()
    for start in range(first, last + 1, PAGE):
        for row in await tx.execute(_COUNTED.where(_m.id >= start, _m.id < start + PAGE)):
            *place, state, waiting, reason, number = row
            kept = "waiting" if state == "queued" and waiting else state
            counted[(*place, kept, reason if state == "skipped" else "")] += number
    told = Counter({tuple(row[:-1]): row[-1] for row in await tx.execute(_TALLIES)})
    found = [f"tallies: {place} has {count}" for place, count in told.items() if count < 0]
    found += [f"tallies: {place} has {told[place]}, and there are {counted[place]}"
              for place in sorted({*told, *counted}, key=str) if told[place] != counted[place]]
    return found[:MOST]


async def untrue_ledger(tx: AsyncConnection) -> list[str]:
    """Steps are the sums of their batches, no batch went above its allowance, and attempts are within batches (P3)."""
    above = [fault async for fault in _above(tx)]
    sums = [f"{row.lane}: the step {_at(row.step)} says {row.told} spent, its batches {row.real}"
            for row in await tx.execute(_SUMS)]
    outcomes = [f"{row.lane}: {row.told} outcomes of the batch of {_at(row.slot)}, whose size is {row.size}"
                for row in await tx.execute(_OUTCOMES)]
    parts = [f"{row.lane}: the parts of the batch of {_at(row.slot)} are {row.parts}, whose size is {row.size}"
             for row in await tx.execute(_PARTS)]
    tried = [f"{row.lane}: {row.tried} attempts in the batch of {_at(row.slot)}, whose size is {row.size}"
             for row in await tx.execute(_TRIED)]
    return [*above, *sums, *outcomes, *parts, *tried]


async def untrue_messages(tx: AsyncConnection) -> list[str]:
    """Nothing is under way outside a batch (P4), and every attempt is one that its message knows of."""
    stray = [f"message {row.id}: it is being sent by {row.lane} in no batch ({_at(row.slot)})"
             for row in await tx.execute(_STRAY)]
    return stray + [f"message {row.message}: its attempt {row.number} is none that it knows of"
                    for row in await tx.execute(_UNKNOWN)]


async def _above(tx: AsyncConnection) -> AsyncIterator[str]:
    """Batches that were too large for what their step allowed, or lie in each other's time; the first MOST of them.

    A step holds what was released since its start, also by another configuration that cut time otherwise.
    """
    lane: str | None = None
    slots: list[int] = []
    sums, ends, told = [0], 0, 0
    async for row in _all_batches(tx):
        if row.lane != lane:
            lane, slots, sums, ends = row.lane, [], [0], 0
        faults = []
        if row.size <= 0:
            faults.append(f"{lane}: the batch of {_at(row.slot)} has a size of {row.size}")
        if row.slot < ends:
            faults.append(f"{lane}: the slot {_at(row.slot)} began before the one before it ended")
        ends = row.slot_ends
        slots.append(row.slot)
        sums.append(sums[-1] + row.size)
        released = sums[-1] - sums[bisect_left(slots, row.step)]
        if released > row.allowance:
            faults.append(f"{lane}: {released} released by {_at(row.slot)}, allowed {row.allowance}")
        for fault in faults:
            yield fault
        told += len(faults)
        if told >= MOST:
            return


async def _all_batches(tx: AsyncConnection) -> AsyncIterator[Any]:
    """Every batch, by lane and slot, page by page."""
    asked = _BATCHES
    while True:
        rows = list(await tx.execute(asked.limit(PAGE)))
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        asked = _BATCHES.where(tuple_(_b.lane, _b.slot) > tuple_(rows[-1].lane, rows[-1].slot))


def _at(instant: int | None) -> str:
    return "no slot" if instant is None else format_instant(instant)


_m, _t, _b, _a, _s, _p = messages.c, tallies.c, batches.c, attempts.c, steps.c, batch_parts.c
_PLACE: Final = (_m.campaign, _m.lane, _m.priority, _m.rank, _m.segment, _m.state, _m.waiting, _m.reason)
_COUNTED: Final = select(*_PLACE, func.count()).group_by(*_PLACE)
_TALLIES: Final = select(_t.campaign, _t.lane, _t.priority, _t.rank, _t.segment, _t.state, _t.reason, _t.count)
_BATCHES: Final = select(_b.lane, _b.slot, _b.slot_ends, _b.step, _b.size, _b.allowance).order_by(_b.lane, _b.slot)


def _sums() -> Select[Any]:
    """Steps that are not the sum of their batches."""
    both = union_all(select(_s.lane, _s.step, _s.spent.label("told"), literal(0).label("real")),
                     select(_b.lane, _b.step, literal(0), _b.size)).subquery().c
    told, real = func.sum(both.told), func.sum(both.real)
    return (select(both.lane, both.step, told.label("told"), real.label("real")).group_by(both.lane, both.step)
            .having(told != real).order_by(both.lane, both.step).limit(MOST))


def _tried() -> Select[Any]:
    """Batches with more attempts and messages under way than they have room for; one that is not there has none."""
    every = union_all(
        select(_a.lane, _a.slot, literal(1).label("tried"), literal(0).label("size")),
        select(_m.lane, _m.slot, literal(1), literal(0)).where(_m.state == "sending", _m.slot.is_not(None)),
        select(_b.lane, _b.slot, literal(0), _b.size),
    ).subquery().c
    tried, size = func.sum(every.tried), func.sum(every.size)
    return (select(every.lane, every.slot, tried.label("tried"), size.label("size")).group_by(every.lane, every.slot)
            .having(tried > size).order_by(every.lane, every.slot).limit(MOST))


def _parts() -> Select[Any]:
    """Batches whose parts are not their sum. Those of before there were parts have none."""
    parts = func.sum(_p.size)
    return (select(_b.lane, _b.slot, _b.size, parts.label("parts"))
            .join(batch_parts, (_p.lane == _b.lane) & (_p.slot == _b.slot))
            .group_by(_b.lane, _b.slot, _b.size).having(parts != _b.size).limit(MOST))


_SUMS: Final = _sums()
_TRIED: Final = _tried()
_PARTS: Final = _parts()
_TOLD: Final = _b.accepted + _b.deferred + _b.rejected + _b.in_doubt + _b.unsent
_OUTCOMES: Final = select(_b.lane, _b.slot, _b.size, _TOLD.label("told")).where(_b.size < _TOLD).limit(MOST)
_STRAY: Final = (
    select(_m.id, _m.lane, _m.slot)
    .join(batches, (_b.lane == _m.lane) & (_b.slot == _m.slot), isouter=True)
    .where(_m.state == "sending", _b.lane == null()).limit(MOST)
)
_UNKNOWN: Final = (
    select(_a.message, _a.number).join(messages, _m.id == _a.message, isouter=True)
    .where(or_(_m.id == null(), _a.number > _m.attempts)).limit(MOST)
)
