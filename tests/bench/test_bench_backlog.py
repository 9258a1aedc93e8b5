"""Nothing grows with the backlog: memory, and the time of a release, with millions queued and with ten thousand.

`make test` has 300,000 in SQLite and 200,000 in PostgreSQL; `make long` two and ten millions. All are put on the
queue by the dispatcher itself, a campaign to its audience, in chunks whose longest is printed.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.postgresql import drop, make, need_postgresql

SCRIPT = Path(__file__).parent.parent / "support" / "bench_backlog.py"
FEW = 10_000


def told(folder, verb, count, *url):
    done = subprocess.run([sys.executable, str(SCRIPT), str(folder), verb, str(count), *url], capture_output=True,  # noqa: S603 -- our own script
                          text=True, timeout=3_000, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def at(folder, count, *url):
    folder.mkdir()
    filled = told(folder, "fill", count, *url)
    ran = told(folder, "run", count, *url)
    print(f"{count:,}: filled {filled}, ran {ran}")
    return filled, ran


def compared(folder, kind, count):
    """Few, then many, in stores of their own."""
    found = []
    for number in (FEW, count):
        if kind == "sqlite":
            found.append(at(folder / str(number), number))
            continue
        need_postgresql()
        address = asyncio.run(make())
        try:
            found.append(at(folder / str(number), number, str(address)))
        finally:
            asyncio.run(drop(address))
    (filled_few, ran_few), (filled_many, ran_many) = found
    assert ran_many["release"] < 2 * ran_few["release"], found
    assert ran_many["peak"] <= 1.3 * ran_few["peak"], found
    assert filled_many["peak"] <= 1.3 * filled_few["peak"], found


@pytest.mark.bench
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("kind", "count"), [("sqlite", 300_000), ("postgresql", 200_000)])
def test_hundreds_of_thousands_queued_cost_no_more_than_ten_thousand(tmp_path, kind, count):
    compared(tmp_path, kind, count)


@pytest.mark.bench
@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("kind", "count"), [("sqlite", 2_000_000), ("postgresql", 10_000_000)])
def test_millions_queued_cost_no_more_than_ten_thousand(tmp_path, kind, count):
    compared(tmp_path, kind, count)
