"""Nothing grows with the backlog: memory and the time of a release at a million queued messages and at ten thousand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.bench, pytest.mark.timeout(400)]
SCRIPT = Path(__file__).parent.parent / "support" / "bench_backlog.py"


def at(folder, count):
    folder.mkdir()
    for verb in ("fill", "run"):
        done = subprocess.run([sys.executable, str(SCRIPT), str(folder), verb, str(count)], capture_output=True,  # noqa: S603 -- our own script
                              text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_million_queued_messages_cost_no_more_than_ten_thousand(tmp_path):
    few, many = at(tmp_path / "few", 10_000), at(tmp_path / "many", 1_000_000)
    print("10,000:", few, "1,000,000:", many)
    assert many["peak"] <= 1.3 * few["peak"], (few, many)
    assert many["release"] < 2 * few["release"], (few, many)
