"""Pace: a message leaves at its planned time, also while another lane of the same daemon runs flat out."""

import asyncio
import gc
import statistics
import sys
import time

import pytest
from support.engines import Engine, build, end, smtp_process, until_sent, write_project

from dispatcher.app import COLLECTION, SWITCH
from dispatcher.engine import deliver

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]
GAP = 20.0    # milliseconds: 50 messages a second
MESSAGES = 300
ROUNDS = 8
STEADY = ('start = 4_320_000\nceiling = 9_000_000\nevery = "2s"\nhours = "00:00-24:00"\nlargest_batch = 100\n'
          'offset = "0s"')
WIDE = ('start = 500_000_000\nceiling = 900_000_000\nevery = "100ms"\nhours = "00:00-24:00"\nlargest_batch = 5000\n'
        'offset = "0s"')


async def starts(folder, audiences, monkeypatch):
    """How late, in milliseconds, each message of the steady lane began to be handed over."""
    works = await build(folder, audiences)
    late = []
    with monkeypatch.context() as patch:
        await watch(works, late, patch)
    return late


async def watch(works, late, patch):
    hand_over = deliver._hand_over

    async def watched(works, way, prepared):
        if prepared.item.lane.startswith("steady/"):
            late.append(time.time() * 1000 - prepared.start)
        await hand_over(works, way, prepared)

    patch.setattr(deliver, "_hand_over", watched)
    gc.collect()
    gc.freeze()    # as the daemon does at its start
    gc.set_threshold(*COLLECTION)
    engine = Engine(works)
    await engine.start()
    await until_sent(works, "steady")
    await end(engine)


@pytest.mark.parametrize("beside", [0, 25_000], ids=["alone", "beside a lane that runs flat out"])
def test_the_99th_percentile_starts_within_a_tenth_of_the_gap(tmp_path, monkeypatch, beside):
    """Of several rounds the best counts: what else the machine does makes any clock late, and never early."""
    rounds = []
    while not rounds or (rounds[-1]["p99"] >= GAP / 10 and len(rounds) < ROUNDS):
        rounds.append(one_round(tmp_path / str(len(rounds)), monkeypatch, beside))
    print("milliseconds late:", rounds)
    assert rounds[-1]["p99"] < GAP / 10, rounds


def one_round(folder, monkeypatch, beside):
    folder.mkdir()
    audiences = {"steady": MESSAGES} | ({"wide": beside} if beside else {})
    before, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH)    # as the daemon sets it
    try:
        with smtp_process() as port:
            write_project(folder, port, {"steady": STEADY} | ({"wide": WIDE} if beside else {}))
            late = asyncio.run(starts(folder, audiences, monkeypatch))
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    assert len(late) == MESSAGES
    percentiles = statistics.quantiles(late, n=100)
    return {"median": round(percentiles[49], 2), "p99": round(percentiles[98], 2), "worst": round(max(late), 2)}
