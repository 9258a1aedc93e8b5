"""The ledger, read from the demo's store once the daemon has left it."""

from collections import defaultdict
from pathlib import Path

from sqlalchemy import create_engine, select

from dispatcher.demo.checks import Batch, Step
from dispatcher.store import tables


def read(store: Path) -> dict[str, list[Step]]:
    """The steps of every lane, in order."""
    engine = create_engine(f"sqlite:///{store}")
    try:
        with engine.connect() as connection:
            batches = connection.execute(select(tables.batches).order_by(tables.batches.c.slot)).all()
            released = connection.execute(
                select(tables.messages.c.lane, tables.messages.c.slot, tables.customers.c.email)
                .join(tables.customers, tables.customers.c.id == tables.messages.c.customer)
                .where(tables.messages.c.slot.is_not(None))
            ).all()
            steps = connection.execute(select(tables.steps).order_by(tables.steps.c.step)).all()
    finally:
        engine.dispose()
    recipients: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for row in released:
        recipients[row.lane, row.slot].add(row.email)
    of_step: defaultdict[tuple[str, int], list[Batch]] = defaultdict(list)
    for row in batches:
        batch = Batch(row.slot, row.slot_ends, row.size, frozenset(recipients[row.lane, row.slot]))
        of_step[row.lane, row.step].append(batch)
    found: defaultdict[str, list[Step]] = defaultdict(list)
    for row in steps:
        found[row.lane].append(Step(row.step, row.step_ends, row.allowance, row.spent, of_step[row.lane, row.step]))
    return dict(found)
