"""Three lanes, one of whose servers never answers: the others' batches leave in their slots (promise P14)."""

import asyncio
import contextlib
import sys
import time

import pytest
from sqlalchemy import select
from support.engines import Engine, build, end, smtp_process, until_sent, write_project

from dispatcher.app import SWITCH
from dispatcher.engine import deliver
from dispatcher.store.tables import batches

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]
SLOT = 2_000          # milliseconds
NEAR = 0.05           # of a slot: 100 ms
SLOTS = 4
EACH = 40             # messages of a slot
ROUNDS = 4
RAMP = (f'start = {EACH * 86_400_000 // SLOT}\nceiling = 9_000_000\nevery = "{SLOT}ms"\nhours = "00:00-24:00"\n'
        'largest_batch = 100\noffset = "0s"')
LANES = ("first", "second", "stuck")


@contextlib.asynccontextmanager
async def tarpit():
    """The port of a server that greets, and then says a byte now and then that never becomes a reply."""
    async def drip(_reader, writer):
        writer.write(b"220 wait\r\n250-")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(1)
        except OSError:
            pass    # whom it stuck to has gone
        finally:
            writer.transport.abort()

    clients = set()

    def connected(reader, writer):
        clients.add(asyncio.ensure_future(drip(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def one_round(folder, port, monkeypatch):
    """How late, as a part of a slot, batches were released and messages begun, at worst, where nothing is stuck."""
    write_project(folder, port, dict.fromkeys(LANES, RAMP))
    late = []
    hand_over = deliver._hand_over

    async def watched(works, way, prepared):
        if not prepared.item.lane.startswith("stuck/"):
            late.append(time.time() * 1000 - prepared.start)
        await hand_over(works, way, prepared)

    async with tarpit() as silent:
        file = folder / "dispatcher.toml"
        head, sender, rest = file.read_text().partition("[senders.stuck]")
        file.write_text(head + sender + rest.replace(f":{port}", f":{silent}"))
        with monkeypatch.context() as patch:
            patch.setattr(deliver, "_hand_over", watched)
            works = await build(folder, dict.fromkeys(LANES, SLOTS * EACH))
            engine = Engine(works)
            await engine.start()
            for name in LANES[:2]:
                await until_sent(works, name)
            async with works.database.transaction() as tx:
                released = list(await tx.execute(
                    select(batches.c.released_at - batches.c.slot, batches.c.size)
                    .where(batches.c.lane.not_like("stuck/%")).order_by(batches.c.slot)))
            await end(engine)
    in_slots = [delay for delay, _ in released[2:]]    # the first of each comes when it can, in the middle of a slot
    assert len(in_slots) >= 2 * (SLOTS - 1)
    assert len(late) == 2 * SLOTS * EACH
    return {"released": max(in_slots) / SLOT, "begun": max(late) / SLOT}


def test_the_others_stay_within_a_twentieth_of_a_slot(tmp_path, monkeypatch):
    """Of several rounds the best counts: what else the machine does makes any clock late, and never early."""
    rounds = []
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)    # as the daemon sets it
    try:
        with smtp_process() as port:
            while not rounds or (max(rounds[-1].values()) > NEAR and len(rounds) < ROUNDS):
                folder = tmp_path / str(len(rounds))
                folder.mkdir()
                rounds.append(asyncio.run(one_round(folder, port, monkeypatch)))
    finally:
        sys.setswitchinterval(before)
    print("part of a slot late, at worst:", rounds)
    assert max(rounds[-1].values()) <= NEAR, rounds
