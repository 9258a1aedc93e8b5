"""Rows of PostgreSQL: its sessions ended, the server itself killed or replaced, and several daemons on one database."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from support.postgresql import tell
from support.rounds.round import Round, kill, producing
from support.rounds.stage import LEASE, MACHINES


async def by_ended_sessions(one: Round) -> int:
    """One life through which PostgreSQL ends every session, again and again."""
    async def end() -> None:
        await tell("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                   "AND pid <> pg_backend_pid() AND application_name = 'dispatcher'", address=one.address)

    return await through(one, end)


async def by_restarts(one: Round) -> int:
    """One life through which PostgreSQL itself is ended as by kill -9, and starts again or is taken over from."""
    assert one.server is not None
    return await through(one, one.server.restart)


async def by_turns(one: Round) -> int:
    """Four daemons on one database, of which now one is killed, now another stopped for longer than its lease."""
    stage, chance = one.stage, one.stage.chance
    async with stage.life() as first:
        await stage.people(first, one.messages)
        await stage.produce(one.messages, 0)
        first.process.send_signal(signal.SIGTERM)
        assert await first.ended() == 0
    strikes = {machine: asyncio.Queue[str]() for machine in MACHINES}
    ready = asyncio.Semaphore(0)

    async def lives(machine: str) -> None:
        how = "begin"
        while how:
            async with stage.life(machine=machine) as living:
                ready.release()
                how = await strikes[machine].get()
                if how == "stop":
                    living.process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(LEASE * 1.5)        # past its lease: this is what is tried
                    living.process.send_signal(signal.SIGCONT)
                    assert await living.ended() != 0
                elif how:
                    kill(living)
                    await living.ended()
                else:
                    living.process.send_signal(signal.SIGTERM)
                    assert await living.ended() == 0

    async with asyncio.TaskGroup() as tasks:
        for machine in MACHINES:
            tasks.create_task(lives(machine))
        for _ in MACHINES:
            await ready.acquire()
        for number in range(one.breaks):
            await asyncio.sleep(chance.uniform(0.05, 0.6))      # a moment by chance
            strikes[chance.choice(MACHINES)].put_nowait("stop" if number % 4 == 3 else "kill")
            await ready.acquire()
        for machine in MACHINES:
            strikes[machine].put_nowait("")
    await stage.finish()
    return one.breaks


async def through(one: Round, strike: Callable[[], Awaitable[None]]) -> int:
    """One life of the daemon, through which something else is broken."""
    async with one.stage.life() as living:
        await one.stage.people(living, one.messages)
        with producing(one, 0) as producer:
            for _ in range(one.breaks):
                await asyncio.sleep(one.stage.chance.uniform(0.05, 0.6))     # a moment by chance
                await strike()
            await producer
        living.process.send_signal(signal.SIGTERM)
        assert await living.ended() == 0
    await one.stage.finish()
    return one.breaks
