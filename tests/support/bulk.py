"""Stores with as many customers and queued messages as are wanted, filled by the database itself, for benches.

Customers c0, c1, ... are active and in Berlin, each with an address at mail.example.
"""

import json
import random
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.engines import write_project
from support.fresh import new_store

from config.load import load_settings
from dispatcher.clock import SystemClock
from dispatcher.engine.journal import Journal
from dispatcher.engine.works import Works
from dispatcher.intake.campaign_file import read_campaign
from dispatcher.policy import policy_of
from dispatcher.store import campaigns, customers
from dispatcher.store.campaigns import Heading
from dispatcher.store.database import Database
from dispatcher.store.sqlite import SqliteStore

RAMP = ('start = 86_400_000\nceiling = 90_000_000\nevery = "200ms"\nhours = "00:00-24:00"\nlargest_batch = 200\n'
        'offset = "0s"')
AT_ONCE = 200_000
_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :beyond)",
    "postgresql": "WITH n(i) AS (SELECT generate_series(CAST(:first AS bigint), CAST(:beyond AS bigint) - 1))",
}
_PEOPLE = """
INSERT INTO customers (id, email, phone, name, locale, timezone, location, plan, engagement, last_product_at, consent,
                       attributes, updated_at, domain)
SELECT 'c' || i, 'c' || i || '@mail.example', '', 'Person ' || i, '', '', 'DE/Berlin', 'wide', '', CAST(:now AS bigint),
       '[]', '{}', CAST(:now AS bigint), 'mail.example' FROM n"""


def project(folder: Path, url: str, port: int = 25) -> None:
    """A configuration with one sender and one campaign, `wide`, and a store."""
    write_project(folder, port, {"wide": RAMP})
    place = folder / "dispatcher.toml"
    kept = f'url = "sqlite:///{folder}/store.db"'
    settings = place.read_text()
    assert kept in settings
    place.write_text(settings.replace(kept, f'url = "{url}"'))


async def works_on(folder: Path, store: Database | None = None) -> Works:
    """What works on a store; a new file in the folder, unless one is open."""
    policy, clock = policy_of(load_settings(folder / "dispatcher.toml")), SystemClock()
    database = store if store is not None else await SqliteStore.open(new_store(folder / "store.db"), "run")
    return Works(database, clock, policy, Journal(database, clock))


async def settle_in(folder: Path, works: Works, count: int) -> None:
    """So many customers, and the campaign, in a store that has none."""
    loaded, now = read_campaign(folder / "campaigns" / "wide"), works.clock.now()
    async with works.database.transaction() as tx:
        await campaigns.apply(tx, Heading("wide", "service", "", 0), loaded.content, loaded.digest, now)
        await customers.note_facts(tx, now)
    for first in range(0, count, AT_ONCE):
        async with works.database.transaction() as tx:
            await people(tx, first, min(first + AT_ONCE, count), now)


async def people(tx: AsyncConnection, first: int, beyond: int, now: int) -> None:
    """Customers by their numbers."""
    await tx.execute(text(_NUMBERS[tx.dialect.name] + _PEOPLE), {"first": first, "beyond": beyond, "now": now})


def requests_file(path: Path, count: int, seed: int = 1) -> None:
    """A send request for each of so many customers, in no order of theirs, as a shop hands its orders over."""
    numbers = list(range(count))
    random.Random(seed).shuffle(numbers)  # noqa: S311 -- a bench's dice
    with path.open("w") as file:
        for place, number in enumerate(numbers):
            order = f"A-{place:08}"
            file.write(json.dumps({"customer": f"c{number}", "key": order, "data": {"order": order}}) + "\n")
