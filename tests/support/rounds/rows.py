"""The rows of the table: what is done to a daemon, how often, and on which stores.

Each row plays a whole round: everybody is sent to, the daemon is broken so many times, then one more life brings it to
its end. A row's breaks come by chance, from a seed that its failure names.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from support.cluster import Cluster, Pair
from support.daemons import Daemon
from support.needs import need_program
from support.postgresql import tell
from support.rounds.judge import Figures
from support.rounds.stage import Stage
from support.smtp_server import RESET, Act, Step

from dispatcher.store.postgresql import Address

QUIET: Final = 1.5          # seconds in which nothing reaches the server, after which a break comes anyway
FAILPOINTS: Final = ("banner", "ehlo", "mail", "rcpt", "data", "body", "dot", "taken")
"""Where a daemon is killed, as the server knows it: before a connection stands, while it greets, before a message,
after 354, in the body, after the final dot, and after 250, before its outcome is written."""


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
    most: int = 1_000_000       # breaks of a round
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


async def killed_by(one: Round, living: Daemon, fits: Callable[[Step], bool], count: int, wait: float = 0.0) -> None:
    """Kill it at the so many-th line that fits (and so many seconds later), or when nothing has come for a while."""
    loop, left, struck = asyncio.get_running_loop(), count, asyncio.Event()

    def strike_now() -> None:
        kill(living)
        struck.set()

    def strike(step: Step) -> Act | None:
        nonlocal left
        if left <= 0 or not fits(step):
            return None
        left -= 1
        if left:
            return None
        if wait:
            loop.call_later(wait, strike_now)
            return None
        strike_now()
        return RESET

    one.stage.strike = strike
    seen = -1
    while not struck.is_set() and seen != len(one.stage.server.lines):
        seen = len(one.stage.server.lines)
        with suppress(TimeoutError):
            await asyncio.wait_for(struck.wait(), QUIET)
    kill(living)
    await living.ended()


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


async def at_random(one: Round) -> int:
    """kill -9 at any line of any hand-over, or some milliseconds after it."""
    chance = one.stage.chance

    async def strike(living: Daemon, _: int) -> None:
        later = chance.choice([0.0, chance.uniform(0.001, 0.2)])
        await killed_by(one, living, lambda _: True, chance.randrange(1, 300), later)

    return await breaks(one, strike)


async def at_failpoints(one: Round) -> int:
    """kill -9 at each point of a hand-over in turn."""
    async def strike(living: Daemon, number: int) -> None:
        phase = FAILPOINTS[number % len(FAILPOINTS)]
        count = 1 if phase in {"banner", "ehlo"} else one.stage.chance.randrange(1, 40)
        named = "dot" if phase == "taken" else phase
        # "taken": 250 is on its way, and outcomes gather for 50 ms before they are written.
        await killed_by(one, living, lambda step: step.phase == named, count, 0.005 if phase == "taken" else 0.0)

    return await breaks(one, strike)


async def at_requests(one: Round) -> int:
    """kill -9 while it takes messages in: perhaps they are on the disk, and the producer is not told."""
    chance, loop = one.stage.chance, asyncio.get_running_loop()

    async def strike(living: Daemon, _: int) -> None:
        left = chance.randrange(1, 4)

        def asked() -> None:
            nonlocal left
            left -= 1
            if not left:
                loop.call_later(chance.uniform(0.0, 0.012), kill, living)

        one.stage.asked = asked
        await ended_soon(living)
        one.stage.asked = lambda: None

    return await breaks(one, strike)


async def at_syncs(one: Round) -> int:
    """kill -9 in a sync of the store's file: before a commit is on the disk, and nobody knows whether it will be."""
    # With -D the daemon is our own child, and strace its child.
    strace = (str(need_program("strace")), "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e")

    async def strike(living: Daemon, _: int) -> None:
        await ended_soon(living)

    def before() -> Sequence[str]:
        return (*strace, f"inject=fdatasync,fsync:signal=KILL:when={one.stage.chance.randrange(3, 30)}")

    return await breaks(one, strike, before)


async def by_sigterm(one: Round) -> int:
    """Told to stop in the middle of a batch: what is on its way arrives, and nothing is in doubt."""
    async def strike(living: Daemon, _: int) -> None:
        seen = len(one.stage.server.mails) + one.stage.chance.randrange(1, 40)
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET * 2):
                while len(one.stage.server.mails) < seen:  # noqa: ASYNC110 -- another process sends them, which sets no event
                    await asyncio.sleep(0.005)
        living.process.send_signal(signal.SIGTERM)
        assert await living.ended() == 0

    return await breaks(one, strike)


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


ROWS: Final = (
    Row("kill -9 at random", at_random),
    Row("kill -9 at failpoints", at_failpoints),
    Row("kill -9 while accepting", at_requests),
    Row("kill -9 in a sync", at_syncs, ("sqlite",)),
    Row("SIGTERM in a batch", by_sigterm, flaws=0.0, clean=True),
    Row("sessions ended", by_ended_sessions, ("postgresql",)),
    Row("PostgreSQL killed and restarted", by_restarts, ("postgresql",), server="own"),
    Row("PostgreSQL failed over to its standby", by_restarts, ("postgresql",), server="pair", most=1),
)
