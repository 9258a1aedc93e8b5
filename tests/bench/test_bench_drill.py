"""A drill of 100,000 customers over 30 days: what a customer costs, in turns of a bare loop measured beside it."""

import time

import pytest
from support.commands import CHECKOUT
from support.drills import failed

from dispatcher.drill.file import read_drill
from dispatcher.drill.main import run_drill

pytestmark = [pytest.mark.bench, pytest.mark.long, pytest.mark.timeout(900)]
TURNS = 2_000_000
MOST = 16_000
"""Turns of the bare loop for a customer at most, from import to report; about half as many were measured."""


def bare_loop() -> float:
    """The processor's seconds for a turn of a loop that only adds."""
    begun = time.process_time()
    total = 0
    for number in range(TURNS):
        total += number
    return (time.process_time() - begun) / TURNS


def test_thirty_days_of_a_hundred_thousand_customers():
    drill = read_drill(CHECKOUT / "docs" / "drills" / "long-ramp.toml")
    turn = bare_loop()
    begun, wall = time.process_time(), time.perf_counter()
    result = run_drill(drill)
    spent, wall = time.process_time() - begun, time.perf_counter() - wall
    turn = (turn + bare_loop()) / 2
    ratio = spent / drill.table.customers.count / turn
    print(f"\n{result['customers']:,} customers, {result['days']} days, {result['batches']} batches: {wall:.1f} s, "
          f"{spent:.1f} s of a processor, {result['days'] * 86_400 / wall:,.0f} times as fast as the days, "
          f"{ratio:,.0f} turns of a bare loop a customer (at most {MOST:,})")
    assert failed(result) == []
    assert result["handed_over"] == drill.table.customers.count
    assert ratio < MOST
