"""Pace: a message leaves at its planned time, also while another lane of the same daemon runs flat out.

A tenth of the gap is what is wanted. A machine on which that cannot be had says so itself: bare timers of the same
loop, beside the bare SMTP library flat out where a lane runs flat out, are then hardly more punctual: the daemon reads,
renders and writes besides, and may be TIMES as late.
"""
import asyncio
import gc
import statistics
import sys
import time

import aiosmtplib
import pytest
from support.engines import Engine, build, end, smtp_process, until_sent, write_project

from dispatcher import collector
from dispatcher.app import SWITCH
from dispatcher.engine import deliver

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]
GAP = 20.0    # milliseconds: 50 messages a second
MESSAGES = 300
ROUNDS = 8
TIMES = 6     # as late as bare timers may the messages be: where marks wait for releases, they are 20 times as late
CONNECTIONS = 10
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
    collector.spare(collector.DAEMON)   # as the daemon does at its start
    engine = Engine(works)
    await engine.start()
    await until_sent(works, "steady")
    await end(engine)


async def flat_out(port, ended):
    """The bare library, over as many connections as the daemon has."""
    async def worker():
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, local_hostname="bench.example", start_tls=False)
        await client.connect()
        while not ended.is_set():
            await client.sendmail("wide@acme.example", ["wide@mail.example"], b"Subject: x\r\n\r\nHello\r\n")
        await client.quit()

    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))


async def timers(port, beside):
    """How late, in milliseconds, bare timers of this loop are."""
    ended, late = asyncio.Event(), []
    async with asyncio.TaskGroup() as tasks:
        if beside:
            tasks.create_task(flat_out(port, ended))
        begin = time.time() + 0.2
        for number in range(MESSAGES):
            due = begin + number * GAP / 1000
            await asyncio.sleep(max(due - time.time(), 0))
            late.append((time.time() - due) * 1000)
        ended.set()
    return late


@pytest.mark.parametrize("beside", [0, 25_000], ids=["alone", "beside a lane that runs flat out"])
def test_the_99th_percentile_starts_within_a_tenth_of_the_gap(tmp_path, monkeypatch, beside):
    """Of several rounds the best counts: what else the machine does makes any clock late, and never early."""
    rounds = []
    while not rounds or (not holds(rounds[-1]) and len(rounds) < ROUNDS):
        rounds.append(one_round(tmp_path / str(len(rounds)), monkeypatch, beside))
    print("milliseconds late:", rounds)
    assert holds(rounds[-1]), rounds


def holds(figures):
    return figures["p99"] < max(GAP / 10, TIMES * figures.get("timers", 0))


def one_round(folder, monkeypatch, beside):
    folder.mkdir()
    audiences = {"steady": MESSAGES} | ({"wide": beside} if beside else {})
    before, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH)    # as the daemon sets it
    try:
        with smtp_process() as port:
            write_project(folder, port, {"steady": STEADY} | ({"wide": WIDE} if beside else {}))
            late = asyncio.run(starts(folder, audiences, monkeypatch))
            figures = described(late)
            if not holds(figures):
                figures["timers"] = described(asyncio.run(timers(port, beside)))["p99"]
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    return figures


def described(late):
    assert len(late) == MESSAGES
    percentiles = statistics.quantiles(late, n=100)
    return {"median": round(percentiles[49], 2), "p99": round(percentiles[98], 2), "worst": round(max(late), 2)}
