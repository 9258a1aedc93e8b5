"""Statements go by their indexes in PostgreSQL, on tables that have just grown too."""

import pytest
from sqlalchemy import text
from support.postgresql import new_database, opened
from support.store_queries import LIVE_ONLY, USED, Ask, asked
from support.stores import DAY, NOW

from dispatcher.core.model import Campaign, Category
from dispatcher.core.traits import Sight
from dispatcher.store import arrivals, groups, incidents
from dispatcher.store.tallies import Deltas

FULL = (
    """INSERT INTO campaigns SELECT 'c' || n, 1, 'service', '', 0, NULL, '', 0, 0 FROM generate_series(0, 199) n""",
    # Most have ended; of the others each tenth waits, and each fifth ends by itself some day.
    """INSERT INTO messages (campaign, key, customer, digest, data, state, reason, waiting, not_before, expires_at,
                             segment, rank, priority, lane, created_at, attempts, doubts, begun, slot, finished_at)
       SELECT 'c' || n % 200, 'k' || n, 'p' || n % 7000, '', '{}',
              CASE WHEN n % 4 > 0 THEN 'accepted' WHEN n % 400 = 0 THEN 'sending' ELSE 'queued' END, '',
              CASE WHEN n % 40 = 4 THEN 1 ELSE 0 END, n, CASE WHEN n % 20 = 8 THEN n END, 's', 0, 2, 'l' || n % 50,
              0, 0, 0, 0, n, n
       FROM generate_series(1, 20000) n""",
    """INSERT INTO tallies SELECT 'c' || n % 200, 'l' || n % 50, 2, n, 's',
              CASE WHEN n % 30 > 0 THEN 'accepted' WHEN n % 60 = 0 THEN 'waiting' ELSE 'queued' END, '', 1
       FROM generate_series(1, 6000) n""",
    "ANALYZE campaigns, messages, tallies",
)
# Many: few would be read from end to end.
PEOPLE = """INSERT INTO customers SELECT 'c' || n, 'c' || n || '@mail.example', '', '', '', '', '', '', '', NULL, NULL,
                   NULL, '[]', '{}', 0, 'mail.example' FROM generate_series(1, 200000) n"""


@pytest.mark.asyncio
async def test_what_is_asked_all_the_time_goes_by_its_index() -> None:
    wrong = []
    async with opened() as store, store.transaction() as tx:
        for statement in FULL:
            await tx.execute(text(statement))
        for name, (ask, index) in (USED | LIVE_ONLY).items():
            statement, parameters = (await asked(store, tx, ask))[0]
            plan = [line for (line,) in await tx.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
            meant = "uq_messages_campaign_key" if name == "digests" else index.partition(" ")[0]
            if meant.startswith("ix_tallies_live"):
                meant = "ix_tallies_live"       # either holds just these, and is as good
            scanned = [line for line in plan if "Seq Scan on messages" in line or "Seq Scan on tallies" in line]
            if scanned or not any(meant in line for line in plan):
                wrong.append((name, meant, plan))
    assert wrong == []


@pytest.mark.asyncio
async def test_what_takes_thousands_at_once_goes_by_indexes_though_the_tables_were_never_analyzed() -> None:
    occasion = groups.Occasion(Sight(("order",), ("plan",), incident=True), (NOW - DAY, NOW), "flood", 2)
    page, added = groups.Page("c1", "c15", 500), arrivals.Added(5_000, 500)
    stands = {"mark": arrivals.Stand("*", 0, "support/other", 2, None, "")}
    some = [arrivals.Arrival(f"c{number}", f"c{number}", "", "{}", 0, 0) for number in range(500)]
    of_it = Campaign("delay", Category.SERVICE, ("support",), incident="flood")
    asks: dict[str, Ask] = {
        "page": lambda tx: groups.page(tx, "c1", 500),
        "kinds": lambda tx: groups.kinds(tx, page, occasion),
        "kinds of some": lambda tx: groups.kinds(tx, [f"c{number}" for number in range(500)], occasion),
        "add some": lambda tx: arrivals.add(tx, "c1", some, list(stands.values()), NOW),
        "add": lambda tx: arrivals.add_page(tx, "delay", page, occasion, stands, NOW),
        "count": lambda tx: arrivals.count(tx, "delay", added, Deltas()),
        "before": lambda tx: arrivals.before(tx, "delay", page, occasion, list(stands), added),
        "reached": lambda tx: incidents.reached(tx, of_it, (5_000, 500)),
        "overtaken": lambda tx: incidents.overtaken_by(tx, (5_000, 500), ["other"]),
    }
    wrong = []
    async with new_database() as address, opened(address) as store, store.transaction() as tx:
        for statement in (*FULL[:-1], PEOPLE):
            await tx.execute(text(statement))
        for name, ask in asks.items():
            for statement, parameters in await asked(store, tx, ask):
                plan = [line for (line,) in await tx.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
                if any(f"Seq Scan on {table}" in line for table in ("messages", "customers") for line in plan):
                    wrong.append((name, statement, plan))
    assert wrong == []
