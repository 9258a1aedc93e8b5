"""What a round is made of: lives of a daemon, one after another, each broken, and one that brings all to its end."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from support.cluster import Cluster, Pair
from support.daemons import Daemon
from support.rounds.judge import Figures
from support.rounds.stage import Stage

from dispatcher.store.postgresql import Address

QUIET: Final = 1.5          # seconds in which nothing reaches the server, after which a break comes anyway


@dataclass(frozen=True, slots=True)
class Round:
    """What a row gets to play with."""

    stage: Stage
    messages: int               # of each campaign
    breaks: int
    address: Address | None     # of its store in PostgreSQL
    server: Cluster | Pair | None = None    # the server of it that is this round's own


Play = Callable[[Round], Awaitable[int]]
"""Play it; how many times something was broken."""


Strike = Callable[[Daemon, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    name: str
    play: Play
    stores: tuple[str, ...] = ("sqlite", "postgresql")
    flaws: float = 0.01         # share of hand-overs that the server fails by itself
    server: str = ""            # "own": a PostgreSQL of its own; "pair": with a standby
    breaks: int = 60            # of a long round
    messages: int = 5_000       # and these in all
    most: int = 1_000_000       # breaks of any round
    clean: bool = False         # nothing may be in doubt, and nobody may get a copy

    def faults(self, figures: Figures) -> list[str]:
        """What must not be, in words; an empty list where all held."""
        unclean = [f"{name} {getattr(figures, name)}" for name in ("copies", "doubts") if getattr(figures, name)]
        return figures.faults() + (unclean if self.clean else [])


@contextmanager
def producing(one: Round, lives: int) -> Iterator["asyncio.Task[None]"]:
    """A producer beside what is done in the block, who takes so many lives for it; 0: as fast as it can."""
    task = asyncio.create_task(one.stage.produce(one.messages, lives))
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()


async def breaks(one: Round, strike: Strike, before: Callable[[], Sequence[str]] = tuple) -> int:
    """One life after another, each broken by `strike`, which gets the number of the break; then one to the end.

    `before`: the words of a program that runs it.
    """
    async with one.stage.life() as first:
        await one.stage.people(first, one.messages)
        first.process.send_signal(signal.SIGTERM)
        assert await first.ended() == 0
    with producing(one, one.breaks) as producer:
        for number in range(one.breaks):
            async with one.stage.life(*before()) as living:
                await strike(living, number)
        await finish(one, producer)
    return one.breaks


async def finish(one: Round, producer: "asyncio.Task[None]") -> None:
    """Everything that is still to be said and sent."""
    if not producer.done():
        one.stage.strike = lambda _: None
        async with one.stage.life() as living:
            await producer
            living.process.send_signal(signal.SIGTERM)
            assert await living.ended() == 0
    await producer
    await one.stage.finish()


def kill(living: Daemon) -> None:
    """kill -9, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(living.process.pid, signal.SIGKILL)


async def ended_soon(living: Daemon) -> None:
    """Its end, which is brought about where nothing else has within a while."""
    ended = asyncio.ensure_future(living.ended())
    await asyncio.wait({ended}, timeout=QUIET)
    kill(living)
    await ended
