"""Rows in which four daemons share an allowance of 1,000 a step, and the mail server counts every attempt.

A whole step is one that began when all four were ready and more than 1,000 messages were waiting. An attempt is one as
soon as the server was told for whom it is, whatever becomes of it; it counts for the step of its batch (judge.py).

*Without faults* a run is one whole step, of which the server must have seen exactly 1,000 attempts. Where the machine
was so late that the daemons let a slot go by, which the ledger says, that step is no run, and the next one is tried.

*With kills* a run is two whole steps. Through the first daemons are killed, one, two or all four at once, and started
again; in the second also every process of PostgreSQL, while a daemon is killed as well. No step at all, also of those
between runs, may have more than 1,000 attempts. When all runs are over everything is sent, by the steps that follow.
Daemons and databases go on from run to run, with whatever the run before has left to them.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Final

from aiohttp import ClientError
from support.cluster import Cluster
from support.postgresql import connect
from support.rounds.crew import Crew, crew
from support.rounds.judge import Record, by_step, judge, over
from support.rounds.play import Setting, staged
from support.rounds.stage import CAMPAIGNS, FILE, MACHINES, Pace

ALLOWANCE: Final = 1_000
PACE: Final = Pace(ALLOWANCE, step=8_000, every=1_000)
CAMPAIGN: Final = CAMPAIGNS[0]
LANE: Final = f"{CAMPAIGN}/other"
SPARE: Final = 300
"""Messages more than it takes: two slots may begin before anybody has counted what waits."""
LAST: Final = 1.5
"""Seconds before a step's end from which on nothing is killed any more."""
READ: Final = 0.3
"""Seconds before a step's end at which all of it is released, or comes too late to be whole."""
TRIES: Final = 12
"""Steps for each that is needed, before the machine is taken as too slow."""
_WAITING: Final = "SELECT count(*) FROM messages WHERE state = 'queued'"
_UNDER_WAY: Final = "SELECT count(*) FROM messages WHERE state = 'sending' AND slot < $1"


@dataclass(slots=True)
class Game:
    """What is played with, and what has come of it so far."""

    setting: Setting
    four: Crew
    wholes: list[int] = field(default_factory=list)     # the steps that count
    kills: int = 0

    async def asked(self, query: str, *values: object) -> int:
        """A number from the store, past all daemons."""
        one = await connect(self.setting.address)
        try:
            return int(await one.fetchval(query, *values))
        finally:
            await one.close()

    async def fill(self) -> None:
        """Have enough waiting for what is left of this step, and for all of the next."""
        stage = self.setting.stage
        while (missing := min(await self._missing(), FILE)) > 0:    # which takes a while itself
            first = len(stage.told)
            while True:
                await self.four.ready()
                with suppress(ClientError, OSError):    # what PostgreSQL's end did to a daemon may come late
                    await stage.people(self.four.anyone, missing, first)
                    break
            await stage.say(CAMPAIGN, [f"c{number}" for number in range(first, first + missing)])

    async def _missing(self) -> int:
        left = _until(_following()) * 1000 / PACE.step
        return math.ceil(ALLOWANCE * (1 + left)) + SPARE - await self.asked(_WAITING)

    async def come_out(self) -> None:
        """Return when all of the last whole step has been handed over: an end in good order gives back what has not."""
        over = max(self.wholes, default=0) + PACE.step
        await asyncio.sleep(_until(over))
        while await self.asked(_UNDER_WAY, over):  # noqa: ASYNC110 -- other processes make it so, which set no event
            await asyncio.sleep(0.05)

    async def whole(self) -> bool:
        """Whether the step that begins now is whole."""
        return await self.asked(_WAITING) > ALLOWANCE and self.four.complete


Deed = Callable[[Game, int], Awaitable[bool]]
"""What is done in a step, until it is over; whether the step then counts."""


@dataclass(frozen=True, slots=True)
class SharedRow:
    """A row of the table of shared allowances."""

    name: str
    deeds: Sequence[Deed]       # of the steps of a run
    server: str = ""            # "own": a PostgreSQL of its own
    exact: bool = False         # every whole step has all of its allowance

    def faults(self, figures: "Shares", runs: int) -> list[str]:
        """What must not be, in words; an empty list where all held."""
        found = list(figures.faults)
        if figures.runs != runs:
            found.append(f"only {figures.runs} runs, as the machine was too slow for more")
        if self.exact and figures.runs and figures.least != ALLOWANCE:
            found.append(f"{figures.least} attempts")
        if self.exact and (figures.copies or figures.doubts):
            found.append(f"{figures.copies} copies, {figures.doubts} in doubt")
        if not self.exact and figures.kills < runs * len(self.deeds):
            found.append(f"only {figures.kills} kills")
        return found


@dataclass(frozen=True, slots=True)
class Shares:
    """The figures of a row."""

    runs: int
    kills: int              # of daemons and of databases
    messages: int           # that the producer was told are accepted
    least: int              # attempts in a whole step, as the server saw them
    most: int
    over: int               # attempts above the allowance of their step, in all steps
    lost: int
    copies: int             # beyond the first of a message
    doubts: int             # attempts that ended in doubt
    faults: tuple[str, ...] = ()

    @property
    def cells(self) -> list[str]:
        """As they are printed."""
        return [f"{getattr(self, name):,}" for name in COLUMNS]


COLUMNS: Final = tuple(one.name for one in fields(Shares) if one.name != "faults")


def share_out(record: Record, wholes: Sequence[int], each: int, kills: int) -> Shares:
    """The figures of what was played; `each`: whole steps of a run."""
    steps, unreserved = by_step(record, record.tries)
    seen = [steps[LANE, step] for step in wholes]
    all_of_it = judge(record, kills)
    faults = all_of_it.faults()
    if unreserved:
        faults.append(f"{unreserved} attempts of which no slot had begun")
    if above := over(record, steps):
        faults.append(f"{above} attempts above the allowance")
    return Shares(len(wholes) // each, kills, all_of_it.messages, min(seen, default=0), max(seen, default=0), above,
                  all_of_it.lost, all_of_it.copies, all_of_it.doubts, tuple(faults))


async def play_shared(row: SharedRow, runs: int, seed: int) -> Shares:
    """Play so many runs of a row; its figures."""
    async with staged("postgresql", row.server, seed, PACE) as setting:
        left = list(row.deeds) * runs
        async with crew(setting.stage) as four:
            game = Game(setting, four)
            for _ in range(TRIES * len(left)):
                await game.fill()
                begins = await _next_step(four)
                whole = await game.whole()
                if len(left) > 1:
                    await game.fill()
                if await left[0](game, begins + PACE.step) and whole:
                    game.wholes.append(begins)
                    left.pop(0)
                if not left:
                    break
            await game.come_out()
        await setting.stage.finish()
        return share_out(await setting.record(), game.wholes, len(row.deeds), game.kills)


async def undisturbed(game: Game, ends: int) -> bool:
    """Nothing is done to anybody."""
    await asyncio.sleep(max(_until(ends) - READ, 0))       # by the clock, as steps go by it
    assert not game.four.ends
    spent = await game.asked("SELECT coalesce(max(spent), 0) FROM steps WHERE lane = $1 AND step = $2",
                             LANE, ends - PACE.step)
    return spent >= ALLOWANCE


async def daemons_killed(game: Game, ends: int) -> bool:
    """Some of the four are killed, again and again."""
    chance, before = game.setting.stage.chance, game.kills
    while _until(ends) > LAST:
        await asyncio.sleep(chance.uniform(0.05, 1.0))      # a moment by chance
        for machine in chance.sample(MACHINES, chance.choice((1, 1, 2, 4))):
            game.kills += game.four.kill(machine)
        await game.four.ready()
    return game.kills > before


async def all_killed(game: Game, ends: int) -> bool:
    """PostgreSQL is killed, and a daemon as well; when both are back, daemons alone."""
    chance, server = game.setting.stage.chance, game.setting.server
    assert isinstance(server, Cluster)
    if _until(ends) <= LAST:
        return False
    await asyncio.sleep(chance.uniform(0.05, 1.0))      # a moment by chance
    game.kills += game.four.kill(chance.choice(MACHINES))
    await server.restart()
    game.kills += 1
    await game.four.ready()
    await daemons_killed(game, ends)
    return True


async def _next_step(four: Crew) -> int:
    """Return when all four are ready and the next step begins: when that is."""
    await four.ready()
    begins = _following()
    await asyncio.sleep(_until(begins))     # by the clock, as steps go by it
    return begins


def _following() -> int:
    """When the next step begins."""
    return (int(time.time() * 1000) // PACE.step + 1) * PACE.step


def _until(instant: int) -> float:
    """Seconds until then."""
    return max(instant / 1000 - time.time(), 0.0)


SHARED: Final = (
    SharedRow("four daemons, without faults", (undisturbed,), exact=True),
    SharedRow("four daemons and PostgreSQL killed and restarted", (daemons_killed, all_killed), server="own"),
)
