"""A whole daemon without its command line: real store, real engine, a clock that is moved by hand.

The outside is a Post (scripted, in virtual time) unless a test brings real channels. Virtual time moves from one
sleeper to the next: at each instant everything that can run does run, until all that is left waits for the clock.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from structlog.testing import capture_logs
from support.post import Post
from support.timetables import at
from support.truth import assert_true

from config.load import load_settings
from dispatcher.clock import VirtualClock
from dispatcher.core.plan import Plan, plan
from dispatcher.core.times import format_instant
from dispatcher.engine import expand, outlook
from dispatcher.engine.daemon import Engine
from dispatcher.engine.journal import Journal
from dispatcher.engine.keeper import close_campaign
from dispatcher.engine.standing import read_standing
from dispatcher.engine.underway import Item, held_by, to_address
from dispatcher.engine.ways import Ways
from dispatcher.engine.works import Works
from dispatcher.intake.accept import Receipt, accept
from dispatcher.intake.campaign_file import read_campaign
from dispatcher.intake.customers import parse_customer
from dispatcher.intake.facts import update_customers
from dispatcher.intake.requests import parse_request
from dispatcher.policy import policy_of
from dispatcher.store import campaigns, controls
from dispatcher.store.campaigns import Heading
from dispatcher.store.controls import ALL_CATEGORIES, Hold, Suppression
from dispatcher.store.database import Database
from dispatcher.store.tables import messages
from dispatcher.store.tallies import totals

MONDAY = at("2026-03-02 07:00")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

SETTINGS = """\
[ramps.careful]
timezone = "UTC"
offset = "0s"
[senders.support]
from = "Acme <support@acme.example>"
ramp = "careful"
"""
CAMPAIGN = """\
id = "delay"
category = "service"
senders = ["support"]
segment_by = "location"
segments = ["DE/Berlin", "*"]
[email]
subject = "Late, {{ customer.name }}"
text = "Dear {{ customer.name }}, {{ segment }}."
"""
MOST_TURNS = 100_000


class World:
    """A daemon, its store and what is outside it."""

    def __init__(self, folder: Path, settings: str, now: int) -> None:
        self.folder = folder
        self.clock = VirtualClock(now)
        self.post = Post(self.clock)
        self.path = folder / "store.db"
        self.running = False
        self.real = False         # channels are real, so that hand-overs take real time
        self.crashes = 0
        self.logs: Sequence[Mapping[str, Any]] = ()
        self.troubles: list[Mapping[str, Any]] = []     # of tasks that nobody waited for
        self.write(settings)

    @property
    def now(self) -> int:
        return self.clock.now()

    def write(self, settings: str) -> None:
        """Write the configuration, and read it."""
        file = self.folder / "dispatcher.toml"
        file.write_text(settings)
        self.policy = policy_of(load_settings(file, {}))

    async def open(self) -> None:
        """Open the store; nothing runs yet."""
        self.database = await Database.open(self.path, "run")
        self.works = Works(self.database, self.clock, self.policy, Journal(self.database, self.clock))
        if not self.real:
            self.works.ways = Ways(self.post.channel)

    async def start(self) -> None:
        """Start the engine."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.troubles.append(context))
        self.engine = Engine(self.works)
        self.running = True
        await self.engine.start()
        await self.settle()

    async def drain(self, within: float = 0.05) -> None:
        """End as at SIGTERM."""
        await self.engine.drain(within)
        await self._ended()

    async def crash(self) -> None:
        """End as by kill -9: what is on disk now is all that remains."""
        self.crashes += 1
        disk = self.folder / f"store{self.crashes}.db"
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{self.path}{suffix}", f"{disk}{suffix}")
        tasks = [*self.engine._tasks, *self.works.in_flight]    # what they do from now on does not reach that disk
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.settle()
        await self._ended()
        self.path = disk

    async def restart(self) -> None:
        """Open and start anew."""
        await self.open()
        await self.start()

    async def _ended(self) -> None:
        self.running = False
        if not self.engine.failed.done():
            self.engine.failed.cancel()
        await self.database.close()

    async def reload(self, settings: str) -> None:
        """Go by another configuration."""
        self.write(settings)
        self.engine.use(self.policy)
        await self.settle()

    # Time

    async def settle(self) -> None:
        """Let everything run that can; what is left waits for the clock, or for something that never comes."""
        loop = asyncio.get_running_loop()
        line = self.database._line
        while True:
            await asyncio.sleep(0)
            if line.locked():
                async with line:    # first come, first served: whoever used the store is through
                    pass
            elif self.real and self.works.in_flight and not loop._ready:    # type: ignore[attr-defined] # as below
                await asyncio.wait(set(self.works.in_flight), return_when=asyncio.FIRST_COMPLETED)
            elif not loop._ready:   # type: ignore[attr-defined] # nothing else says that no task can run
                return

    async def run_until(self, instant: int) -> None:
        """Let time pass, from one sleeper's instant to the next, as if it were real."""
        for _ in range(MOST_TURNS):
            await self.settle()
            following = self.clock.next_wake()
            if following is None or following > instant:
                self.clock.set(max(instant, self.now))
                await self.settle()
                self.check()
                return
            self.clock.set(max(following, self.now))
        raise AssertionError("time stands still: somebody looks again and again without sleeping")

    async def run_for(self, milliseconds: int) -> None:
        """Let so much time pass."""
        await self.run_until(self.now + milliseconds)

    def check(self) -> None:
        """No loop of the engine has ended, no task has failed unheard."""
        if self.engine.failed.done() and not self.engine.failed.cancelled():
            self.engine.failed.result()
        assert not self.troubles, self.troubles

    # What people and producers do

    async def apply(self, text: str = CAMPAIGN) -> int:
        """Apply a campaign; its version."""
        name = text.partition('"')[2].partition('"')[0]
        folder = self.folder / "campaigns" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "campaign.toml").write_text(text)
        loaded = read_campaign(folder)
        one = loaded.campaign
        async with self.database.transaction() as tx:
            heading = Heading(one.id, one.category, one.incident, one.sequence)
            version, _ = await campaigns.apply(tx, heading, loaded.content, loaded.digest, self.now)
        self.works.changed()
        return version

    async def customers(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Import customers."""
        updates = [parse_customer(row, self.now) for row in rows]
        async with self.database.transaction() as tx:
            await update_customers(tx, updates, self.works.policy, self.now)
        self.works.changed()

    async def people(self, count: int, first: int = 0, **changes: str) -> None:
        """Import so many active customers: c0@mail.example in Berlin, ..."""
        await self.customers(person(number, self.now) | changes for number in range(first, first + count))

    async def send(self, *requests: Mapping[str, Any]) -> list[Receipt]:
        """Take send requests, as one chunk."""
        parsed = [parse_request({"campaign": "delay"} | dict(one), self.now) for one in requests]
        async with self.database.transaction() as tx:
            known = await self.works.book.known(tx, {one.campaign for one in parsed})
            receipts = await accept(tx, parsed, known, self.works.policy, self.now)
        self.works.changed()
        return receipts

    async def send_to(self, count: int, first: int = 0, campaign: str = "delay") -> None:
        """Customers who are known, and a message for each."""
        await self.send(*({"campaign": campaign, "customer": f"c{number}"} for number in range(first, first + count)))

    async def audience(self, campaign: str = "delay") -> None:
        """A campaign to its whole audience."""
        progress = expand.Progress(await expand.begin(self.works, campaign), finished=False)
        while not progress.finished:
            progress = await expand.step(self.works, progress.expansion)

    async def hold(self, kind: str, name: str = "", until: int | None = None) -> int:
        """Hold; how many released messages were stopped."""
        async with self.database.transaction() as tx:
            await controls.hold(tx, Hold(kind, name, "a person says so", "ops", self.now, until))
        stopped = await self.engine.stop_items(held_by(kind, name))
        self.engine.wake()
        return stopped

    async def resume(self, kind: str, name: str = "") -> None:
        async with self.database.transaction() as tx:
            await controls.resume(tx, kind, name)
        self.engine.wake()

    async def suppress(self, *addresses: str, category: str = ALL_CATEGORIES, reason: str = "manual") -> int:
        """Suppress addresses; how many released messages were stopped."""
        async with self.database.transaction() as tx:
            await controls.suppress(tx, [Suppression(one, category, reason, "", self.now) for one in addresses])
        to_them = to_address(addresses)

        def covers(item: Item) -> bool:
            return to_them(item) and category in (ALL_CATEGORIES, item.ready.campaign.category)

        return await self.engine.stop_items(covers, "suppressed")

    async def cancel(self, campaign: str = "delay") -> int:
        """Cancel a campaign; how many released messages were stopped."""
        async with self.database.transaction() as tx:
            await campaigns.cancel(tx, campaign, "over", self.now)
        stopped = await self.engine.stop_items(held_by("campaign", campaign), "canceled")
        await close_campaign(self.works, campaign, self.now)
        return stopped

    # What there is to see

    async def plan(self, until: int | None = None) -> Plan:
        """What `dispatcher plan` would say."""
        async with self.database.transaction() as tx:
            standing = await read_standing(tx, self.works.policy, self.works.book, self.now)
            return plan(await outlook.views(tx, self.works, standing, self.now), self.now, until)

    async def rows(self, **wanted: object) -> list[Any]:
        """Messages in order of acceptance."""
        query = select(messages).order_by(messages.c.id)
        for name, value in wanted.items():
            query = query.where(messages.c[name] == value)
        async with self.database.transaction() as tx:
            return list(await tx.execute(query))

    async def states(self) -> dict[str, int]:
        """How many messages are in each state (of the tallies), after a look that everything is true."""
        found: dict[str, int] = {}
        async with self.database.transaction() as tx:
            await assert_true(tx)
            for _, state, _, count in await totals(tx):
                found[state] = found.get(state, 0) + count
        return found


def person(number: int, now: int) -> dict[str, Any]:
    """An active customer's row."""
    return {"id": f"c{number}", "email": f"c{number}@mail.example", "name": f"N{number}", "location": "DE/Berlin",
            "last_active_at": format_instant(now - HOUR)}


@asynccontextmanager
async def world(
    folder: Path, settings: str = SETTINGS, *, now: int = MONDAY, campaign: str = CAMPAIGN, people: int = 0,
    real: bool = False,
) -> AsyncIterator[World]:
    """A world with a campaign, so many customers, and a running daemon; everything is true at its end.

    `real`: channels are those of the settings, not the post's.
    """
    one = World(folder, settings, now)
    one.real = real
    with capture_logs() as one.logs:
        await one.open()
        await one.apply(campaign)
        await one.people(people)
        await one.start()
        try:
            yield one
            if one.running:
                one.check()
                await one.states()
        finally:
            if one.running:
                await one.crash()


def changed(settings: str, *replacements: tuple[str, str]) -> str:
    """The settings with some words replaced; each must be there."""
    for old, new in replacements:
        assert old in settings
        settings = settings.replace(old, new)
    return settings

