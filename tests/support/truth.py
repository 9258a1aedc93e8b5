"""What must hold in any store at any moment, by counting everything: nobody but a test counts a queue."""

from collections import Counter

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.tables import attempts, batches, messages, steps, tallies


async def assert_tallies_true(tx: AsyncConnection) -> None:
    """The tallies equal a real count of the messages; none is below nothing."""
    m, t = messages.c, tallies.c
    counted: Counter[tuple[object, ...]] = Counter()
    columns = (m.campaign, m.lane, m.priority, m.rank, m.segment, m.state, m.waiting, m.reason)
    for row in await tx.execute(select(*columns)):
        *place, state, waiting, reason = row
        kept = "waiting" if state == "queued" and waiting else state
        counted[(*place, kept, reason if state == "skipped" else "")] += 1
    rows = list(await tx.execute(select(t.campaign, t.lane, t.priority, t.rank, t.segment, t.state, t.reason, t.count)))
    told = Counter({tuple(row[:-1]): row[-1] for row in rows})
    assert min(told.values(), default=0) >= 0
    assert +told == counted


async def assert_ledger_true(tx: AsyncConnection) -> None:
    """Steps are the sums of their batches, no batch went above its allowance, and attempts are within batches (P3)."""
    b = batches.c
    found = list(await tx.execute(select(b.lane, b.slot, b.slot_ends, b.step, b.size, b.allowance).order_by(b.slot)))
    sums: Counter[tuple[str, int]] = Counter()
    ends: dict[str, int] = {}
    for row in found:
        sums[row.lane, row.step] += row.size
        earlier = sum(one.size for one in found if one.lane == row.lane and row.step <= one.slot <= row.slot)
        assert row.size > 0
        assert earlier <= row.allowance, f"{row.lane}: {earlier} released by {row.slot}, allowed {row.allowance}"
        assert row.slot >= ends.get(row.lane, 0), f"{row.lane}: a slot began before the one before it ended"
        ends[row.lane] = row.slot_ends
    rows = await tx.execute(select(steps.c.lane, steps.c.step, steps.c.spent))
    kept = {(row.lane, row.step): row.spent for row in rows}
    assert kept == dict(sums)
    sizes = {(row.lane, row.slot): row.size for row in found}
    tried: Counter[tuple[str, int]] = Counter()
    for lane, slot, count in await tx.execute(
        select(attempts.c.lane, attempts.c.slot, func.count()).group_by(attempts.c.lane, attempts.c.slot)
    ):
        tried[lane, slot] += count
    for lane, slot, count in await tx.execute(
        select(messages.c.lane, messages.c.slot, func.count()).where(messages.c.state == "sending")
        .group_by(messages.c.lane, messages.c.slot)
    ):
        tried[lane, slot] += count
    assert all(count <= sizes[place] for place, count in tried.items())


async def assert_true(tx: AsyncConnection) -> None:
    """Tallies and ledger."""
    await assert_tallies_true(tx)
    await assert_ledger_true(tx)
