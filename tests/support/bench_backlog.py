"""A daemon's memory and its releases at a backlog of any size: `python bench_backlog.py FOLDER fill|run COUNT`.

`fill` makes a store with so many queued messages; `run` lets the engine release slots from it and prints, as JSON, the
peak memory (KiB) and the median milliseconds of a release transaction. Two processes, so that filling leaves no trace.
"""

import asyncio
import gc
import json
import re
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import text
from support.engines import build, end, smtp_process, write_project

from config.load import load_settings
from dispatcher.clock import SystemClock
from dispatcher.engine import lane
from dispatcher.engine.daemon import Engine
from dispatcher.engine.journal import Journal
from dispatcher.engine.works import Works
from dispatcher.policy import policy_of
from dispatcher.store.sqlite import SqliteStore

RAMP = ('start = 86_400_000\nceiling = 90_000_000\nevery = "200ms"\nhours = "00:00-24:00"\nlargest_batch = 200\n'
        'offset = "0s"')
SLOTS = 15
CUSTOMERS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO customers (id, email, phone, name, locale, timezone, location, plan, engagement, last_product_at, consent,
                       attributes, updated_at)
SELECT 'c' || i, 'c' || i || '@mail.example', '', 'Person ' || i, '', '', 'DE/Berlin', 'wide', '', :now, '[]', '{}',
       :now FROM n"""
MESSAGES = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO messages (campaign, key, customer, digest, data, state, reason, waiting, not_before, segment, rank,
                      priority, lane, created_at, attempts, doubts, begun)
SELECT 'wide', 'c' || i, 'c' || i, 'd', '{}', 'queued', '', 0, 0, 'DE', 0, 2, 'wide/other', :now, 0, 0, 0 FROM n"""


async def fill(folder, count):
    write_project(folder, 25, {"wide": RAMP})
    works = await build(folder, {"wide": 1})
    now = works.clock.now()
    async with works.database.transaction() as tx:
        await tx.execute(text("DELETE FROM messages"))
        await tx.execute(text(CUSTOMERS), {"count": count, "now": now})
        await tx.execute(text(MESSAGES), {"count": count, "now": now})
        await tx.execute(text("UPDATE tallies SET count = :count WHERE state = 'queued'"), {"count": count})
    await works.database.close()


async def run(folder):
    settings = (folder / "dispatcher.toml").read_text()
    with smtp_process() as port:
        (folder / "dispatcher.toml").write_text(settings.replace('127.0.0.1:25"', f'127.0.0.1:{port}"'))
        clock = SystemClock()
        database = await SqliteStore.open(folder / "store.db", "run")
        policy = policy_of(load_settings(folder / "dispatcher.toml"))
        works = Works(database, clock, policy, Journal(database, clock))
        times, enough = [], asyncio.Event()
        release = lane.release

        async def timed(*args):
            began = time.perf_counter()
            released = await release(*args)
            if released.batch is not None:
                times.append((time.perf_counter() - began) * 1000)
            if len(times) >= SLOTS:
                enough.set()
            return released

        lane.release = timed
        gc.collect()
        engine = Engine(works)
        await engine.start()
        async with asyncio.timeout(60):
            await enough.wait()
        await end(engine)
        print(json.dumps({"peak": peak_memory(), "release": statistics.median(times)}))


def peak_memory():
    """KiB at most so far. Not getrusage: what that tells began with the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


if __name__ == "__main__":
    place, verb, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    asyncio.run(fill(place, number) if verb == "fill" else run(place))
