"""A daemon's memory and its releases at a backlog of any size: `python bench_backlog.py FOLDER fill|run COUNT [URL]`.

`fill` makes a store with so many customers and lets a campaign's audience be put on the queue, as `send` does; `run`
lets the engine release slots from it. Each prints, as JSON, its seconds or the median milliseconds of a transaction
that releases a batch, and its peak memory (KiB). Two processes, so that filling leaves no trace.
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

from support.bulk import project, settle_in, works_on
from support.engines import end, smtp_process

from config.load import load_settings
from dispatcher.engine import expand, lane
from dispatcher.engine.daemon import Engine
from dispatcher.store.opening import open_database

SLOTS = 15


async def fill(folder, count, url):
    project(folder, url or f"sqlite:///{folder}/store.db")
    works = await opened(folder)
    await settle_in(folder, works, count)
    began, slowest = time.perf_counter(), 0.0
    progress = expand.Progress(await expand.begin(works, "wide"), finished=False)
    while not progress.finished:
        chunk = time.perf_counter()
        progress = await expand.step(works, progress.expansion)
        slowest = max(slowest, time.perf_counter() - chunk)
    took = time.perf_counter() - began
    assert progress.expansion.accepted == count
    await works.database.close()
    print(json.dumps({"seconds": round(took, 1), "slowest": round(slowest * 1000), "peak": peak_memory()}))


async def run(folder):
    settings = (folder / "dispatcher.toml").read_text()
    with smtp_process() as port:
        (folder / "dispatcher.toml").write_text(settings.replace('127.0.0.1:25"', f'127.0.0.1:{port}"'))
        works = await opened(folder)
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
        await engine.join()
        await engine.start()
        async with asyncio.timeout(120):
            await enough.wait()
        await end(engine)
        print(json.dumps({"release": round(statistics.median(times), 2), "peak": peak_memory()}))


async def opened(folder):
    return await works_on(folder, await open_database(load_settings(folder / "dispatcher.toml").store, "run"))


def peak_memory():
    """KiB at most so far. Not getrusage: what that tells began with the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


if __name__ == "__main__":
    place, verb, number, *urls = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:]
    asyncio.run(fill(place, number, urls[0] if urls else "") if verb == "fill" else run(place))
