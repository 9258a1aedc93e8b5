"""A whole daemon without its command line: the drill's stage, and all that a test does to what stands on it.

The outside is a Post (scripted, in virtual time) unless a test brings real channels; then the store too is the real one
with its thread, and else one in place, where every statement gives others a turn (store/in_place.py): the same file and
the same SQL, in half the time.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from structlog.testing import capture_logs
from support.fresh import new_store
from support.postgresql import cut_off, emptied
from support.timetables import at
from support.truth import assert_true

from config.load import load_settings
from dispatcher.core.plan import Plan
from dispatcher.core.times import format_instant
from dispatcher.drill.provider import Post
from dispatcher.drill.stage import Stage
from dispatcher.engine import evidence, expand, outlook
from dispatcher.engine.keeper import close_campaign
from dispatcher.engine.standing import read_standing
from dispatcher.engine.taking import take
from dispatcher.engine.underway import Item, held_by, to_address
from dispatcher.intake.accept import Receipt
from dispatcher.intake.campaign_file import read_campaign
from dispatcher.intake.customers import parse_customer
from dispatcher.intake.facts import update_customers
from dispatcher.intake.requests import parse_request
from dispatcher.policy import policy_of
from dispatcher.store import campaigns, controls
from dispatcher.store.campaigns import Heading
from dispatcher.store.controls import ALL_CATEGORIES, Hold, Suppression
from dispatcher.store.database import Database
from dispatcher.store.in_place import SharedEngine, in_place
from dispatcher.store.postgresql import Address, PostgresqlStore
from dispatcher.store.sqlite import Keeping, SqliteStore
from dispatcher.store.tables import messages
from dispatcher.store.tallies import totals

_FREE: list[SharedEngine] = []      # what was put into SQL by one world is not put into it again by the next
KEPT_IN = "sqlite"
"""What kind of store worlds have now: a test that uses the fixture `both_stores` runs with each."""
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


class World(Stage):
    """A stage with a Post outside it, and with all that a test does to a daemon."""

    def __init__(self, folder: Path, settings: str, now: int) -> None:
        super().__init__(folder, now)
        new_store(self.path)
        self._shared: SharedEngine | None = None
        self.address: Address | None = None     # of a store in PostgreSQL
        self.post = Post(self.clock)
        self.build = self.post.channel
        self.logs: Sequence[Mapping[str, Any]] = ()
        self.write(settings)

    def write(self, settings: str) -> None:
        """Write the configuration, and read it."""
        file = self.folder / "dispatcher.toml"
        file.write_text(settings)
        self.policy = policy_of(load_settings(file, {}))

    async def reload(self, settings: str) -> None:
        """Go by another configuration."""
        self.write(settings)
        self.policy = policy_of(self.policy.settings, self.works.policy.providers)
        self.engine.use(self.policy)
        await self.settle()

    async def open_store(self) -> Database:
        """The store, opened."""
        if KEPT_IN == "postgresql":
            if self.address is None:
                self.address = await emptied()
            return await PostgresqlStore.open(self.address, "run")
        if self.real:
            return await super().open_store()
        if self._shared is None:
            self._shared = _FREE.pop() if _FREE else SharedEngine()
        return await SqliteStore.open(self.path, "run", Keeping(in_place(lambda: 1), "OFF", self._shared))

    async def crash(self) -> None:
        """End as by kill -9."""
        if KEPT_IN == "sqlite":
            await super().crash()
            return
        self.crashes += 1
        cut_off(self.database)
        await self.abandon()
        if self.engine.failed.done() and not self.engine.failed.cancelled():
            self.engine.failed.exception()      # of the kill: some loop met it before it was cut short
        await self._ended()

    async def _ended(self) -> None:
        await super()._ended()
        if self._shared is not None:
            _FREE.append(self._shared)
            self._shared = None

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
            heading = Heading(one.id, one.category, one.incident, one.sequence, one.closes)
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
        receipts = await take(self.works, parsed, self.now)
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
            if kind == "lane":
                self.works.reputation[name] = await evidence.resume(tx, name, self.now, "ops")
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
            return (await outlook.look(tx, self.works, standing, self.now)).plan(until)

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

