"""Rows in which the daemon itself is ended: killed where it hurts, or told to stop."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from support.daemons import Daemon
from support.needs import need_program
from support.rounds.round import QUIET, Round, breaks, ended_soon, kill
from support.smtp_server import RESET, Act, Step

FAILPOINTS: Final = ("banner", "ehlo", "mail", "rcpt", "data", "body", "dot", "taken")
"""Where a daemon is killed, as the server knows it: before a connection stands, while it greets, before a message,
after 354, in the body, after the final dot, and after 250, before its outcome is written."""


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
