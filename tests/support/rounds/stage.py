"""What a round is played on: a mail server, a producer that says everything until it is heard, and lives of a daemon.

The mail server is this process's own, so that it outlives every daemon and can end one at any line that it hears.
"""

import asyncio
import hashlib
import json
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import ClientError
from sqlalchemy import select
from support.daemons import Daemon, daemon, since
from support.offices import rows
from support.rounds.judge import Copy, Kept, Name, Record, Try
from support.smtp_server import CLOSE, Act, SmtpServer, Step, say

from dispatcher.store.database import Database
from dispatcher.store.tables import attempts, messages
from dispatcher.store.truth import untrue

LEASE: Final = 2            # seconds
MACHINES: Final = (".", "second", "third", "fourth")
STILL: Final = 40           # seconds without any progress: eight steps
CAMPAIGNS: Final = ("delay", "spring")
CHUNK: Final = 20           # customers of a request
FILE: Final = 1_000         # customers of an import
_CONFIG: Final = """\
[service]
stop_within = "5s"
[store]
url = "{store}"
{lease}[ramps.even]
start = {allowance}
ceiling = {allowance}
step = "{step}ms"
every = "{every}ms"
hours = "00:00-24:00"
timezone = "UTC"
offset = "0s"
largest_batch = {allowance}
[http]
admin = "unix:admin.sock"
[retry]
delays = ["1s", "2s"]
"""
_SENDER: Final = """\
[senders.{name}]
from = "Acme <{name}@acme.example>"
server = "smtp://127.0.0.1:{port}"
connections = 4
ramp = "even"
"""
_CAMPAIGN: Final = """\
id = "{name}"
category = "service"
senders = ["{name}"]
[email]
subject = "{name}, {{{{ customer.name }}}}"
text = "Dear {{{{ customer.name }}}}."
"""

Strike = Callable[[Step], Act | None]


@dataclass(frozen=True, slots=True)
class Pace:
    """The ramp of each lane."""

    allowance: int      # of a step
    step: int = 5_000   # milliseconds
    every: int = 500    # likewise, from slot to slot


class Stage:
    """A round's own folder, store, server and people."""

    def __init__(self, folder: Path, store: str, server: SmtpServer, seed: int, pace: Pace) -> None:
        self.folder, self.server, self.pace = folder, server, pace
        self.chance = random.Random(seed)       # noqa: S311 -- spreads faults, guards nothing
        self.told: set[Name] = set()
        self.tries: list[Try] = []
        self.strike: Strike = lambda _: None    # what befalls at a line of a hand-over, before anything else
        self.flaws = 0.0                        # share of hand-overs that the server itself fails
        self.asked: Callable[[], None] = lambda: None    # called when a request has just been sent
        self.lives = 0
        self._born = asyncio.Event()
        self._epoch = time.time() - asyncio.get_running_loop().time()
        self._living: asyncio.Future[Daemon] = asyncio.get_running_loop().create_future()
        server.script = self._script
        self._write(store)

    def _write(self, store: str) -> None:
        lease = f'lease = "{LEASE}s"\n' if store.startswith("postgresql") else ""
        config = _CONFIG.format(store=store, lease=lease, allowance=self.pace.allowance, step=self.pace.step,
                                every=self.pace.every)
        config += "".join(_SENDER.format(name=name, port=self.server.port) for name in CAMPAIGNS)
        for machine in MACHINES:
            folder = self.folder / machine
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
            (folder / "dispatcher.toml").write_text(config)
            for name in CAMPAIGNS:
                place = folder / "campaigns" / name
                place.mkdir(parents=True)
                (place / "campaign.toml").write_text(_CAMPAIGN.format(name=name))

    def _script(self, step: Step) -> Act | None:
        if step.phase == "rcpt":
            self.tries.append(Try(_name(step.sender, step.recipient), self._instant(asyncio.get_running_loop().time())))
        struck = self.strike(step)
        if struck is not None or step.phase not in {"rcpt", "dot"} or self.chance.random() >= self.flaws:
            return struck
        if step.phase == "rcpt":
            return say("450 4.2.0 later")
        return self.chance.choice([CLOSE, say("what?")])      # it has the letter, and does not say so

    @asynccontextmanager
    async def life(self, *before: str, machine: str = MACHINES[0]) -> AsyncIterator[Daemon]:
        """A daemon from its start to its end, whatever that is; `before`: a program that runs it, and may kill it.

        The producer speaks to that of the first machine.
        """
        async with daemon(self.folder / machine, before=before) as one:
            if machine != MACHINES[0]:
                await one.until_told("READY=1")
                yield one
                return
            try:
                await one.until_told("READY=1")
                self._living.set_result(one)
            except AssertionError:
                if await one.ended() != -signal.SIGKILL:
                    raise
            self.lives += 1
            self._born.set()
            try:
                yield one
            finally:
                if self._living.done():     # else somebody waits for it, and this life never came to it
                    self._living = asyncio.get_running_loop().create_future()

    async def people(self, one: Daemon, count: int, first: int = 0) -> None:
        """So many active customers, whose number is in their address."""
        now = await since(one)
        async with one.client() as client:
            for start in range(first, first + count, FILE):
                people = [{"id": f"c{number}", "email": f"c{number}@mail.example", "name": f"N{number}",
                           "last_active_at": now} for number in range(start, min(start + FILE, first + count))]
                status, body = await client.call("customers.import", {"rows": rows(*people)})
                assert (status, body["result"]["faults"]) == (200, [])

    async def produce(self, count: int, lives: int) -> None:
        """Send both campaigns to so many, each request again until somebody says that it is accepted.

        Evenly over so many lives from now on, so that there is always something new on its way in.
        """
        asked = [(campaign, [f"c{number}" for number in range(start, min(start + CHUNK, count))])
                 for start in range(0, count, CHUNK) for campaign in CAMPAIGNS]
        before = self.lives
        for number, (campaign, ids) in enumerate(asked):
            while (self.lives - before) * len(asked) < number * lives:
                self._born.clear()
                await self._born.wait()
            await self.say(campaign, ids)

    async def say(self, campaign: str, ids: Sequence[str]) -> None:
        """One request, again until somebody says that it is accepted."""
        while not await self._accepted(campaign, ids):  # noqa: ASYNC110 -- as said below
            await asyncio.sleep(0.02)       # it is ending, and nobody says when the next one lives
        self.told |= {(campaign, one) for one in ids}

    async def _accepted(self, campaign: str, ids: Sequence[str]) -> bool:
        one = await asyncio.shield(self._living)
        asking = {"campaign": campaign, "rows": rows(*({"customer": one} for one in ids))}
        with suppress(ClientError, OSError, json.JSONDecodeError):
            async with one.client() as client:
                answer = asyncio.ensure_future(client.call("send.requests", asking))
                await asyncio.sleep(0)
                self.asked()
                status, body = await answer
                if status == HTTPStatus.OK:
                    assert body["result"]["queued"] + body["result"]["duplicate"] == len(ids), body
                    return True
        return False

    async def finish(self) -> None:
        """A last life, undisturbed, until nothing is left to do; it ends as it is told to.

        AssertionError where it stands still while something is left: every step lets more out.
        """
        self.strike, self.flaws = (lambda _: None), 0.0
        async with self.life() as one:
            async with one.client() as client:
                before, since = {}, time.monotonic()
                while True:
                    left = (await client.call("status"))[1]["result"]["messages"]
                    if len(self.told) and not left["queued"] and not left["sending"]:
                        break
                    if left != before:
                        before, since = left, time.monotonic()
                    assert time.monotonic() < since + STILL, left
                    await asyncio.sleep(0.05)      # the queue empties by the clock; nobody is told
            one.process.send_signal(signal.SIGTERM)
            assert await one.ended() == 0

    async def record(self, database: Database) -> Record:
        """What there is to judge by, when all is over."""
        m, a = messages.c, attempts.c
        slots: dict[int, list[int]] = {}
        async with database.transaction() as tx:
            for message, slot in await tx.execute(select(a.message, a.slot).order_by(a.message, a.number)):
                slots.setdefault(message, []).append(slot)
            kept = {(campaign, customer): Kept(state, doubts, slots.get(number, ())) for number, campaign, customer,
                    state, doubts in await tx.execute(select(m.id, m.campaign, m.customer, m.state, m.doubts))}
            lies = await untrue(tx)
        return Record(frozenset(self.told), self.tries, self._copies(), kept,
                      {name: f"{name}/other" for name in CAMPAIGNS}, self.pace.allowance, self.pace.step, lies)

    def _copies(self) -> Sequence[Copy]:
        return [Copy(_name(mail.sender, mail.recipient), self._instant(mail.at), hashlib.sha256(mail.data).digest())
                for mail in self.server.mails]

    def _instant(self, at: float) -> int:
        """A time of the loop's clock as an instant."""
        return round(1000 * (self._epoch + at))


def _name(sender: str, recipient: str) -> Name:
    """The campaign and the customer that the addresses of an envelope stand for."""
    return sender.partition("@")[0], recipient.partition("@")[0]
