"""Rows of PostgreSQL: its sessions ended, the server itself killed or replaced, and several daemons on one database."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from support.postgresql import tell
from support.rounds.crew import crew
from support.rounds.round import Round, producing
from support.rounds.stage import MACHINES


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
    async with crew(stage) as four:
        for number in range(one.breaks):
            await asyncio.sleep(chance.uniform(0.05, 0.6))      # a moment by chance
            machine = chance.choice(MACHINES)
            if number % 4 == 3:
                await four.stop(machine)
            else:
                four.kill(machine)
            await four.ready()
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
