"""Queries that are asked all the time, each with the index that it must go by."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import LANE, NOW

from dispatcher.store import campaigns, controls, due, events, pacing, plans, queue, tallies, waiting
from dispatcher.store.database import Database
from dispatcher.store.events import Kind
from dispatcher.store.tallies import Deltas

Ask = Callable[[AsyncConnection], Awaitable[object]]


async def asked(store: Database, tx: AsyncConnection, ask: Ask) -> list[tuple[str, Any]]:
    """The statements that a question is, each with its parameters."""
    found: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        found.append((statement, parameters))

    event.listen(store._engine.sync_engine, "before_cursor_execute", note)
    await ask(tx)
    event.remove(store._engine.sync_engine, "before_cursor_execute", note)
    return found


async def _head(tx: AsyncConnection) -> None:
    await queue.head(tx, LANE, ("delay", 2, 0), 0, 10)


async def _promote(tx: AsyncConnection) -> None:
    await due.promote(tx, NOW, 10, Deltas())


async def _expired(tx: AsyncConnection) -> None:
    await due.expired(tx, NOW, 10)


async def _sending(tx: AsyncConnection) -> None:
    await queue.sending(tx, 10)


async def _of_campaign(tx: AsyncConnection) -> None:
    await queue.of_campaign(tx, "delay", 0, 10)


async def _first_due(tx: AsyncConnection) -> None:
    await queue.first_due(tx, LANE, ("delay", 2, 0))


async def _next_due(tx: AsyncConnection) -> None:
    await due.next_due(tx)


async def _next_expiry(tx: AsyncConnection) -> None:
    await due.next_expiry(tx)


async def _queued_of(tx: AsyncConnection) -> None:
    await queue.queued_of(tx, ["a", "b"])


async def _contacts(tx: AsyncConnection) -> None:
    await controls.contacts(tx, ["a", "b"], "service", NOW)


async def _digests(tx: AsyncConnection) -> None:
    await queue.digests(tx, "delay", ["a", "b"], 10**12)


USED: dict[str, tuple[Ask, str]] = {
    "head": (_head, "ix_messages_due"),
    "promote": (_promote, "ix_messages_waiting"),
    "expired": (_expired, "ix_messages_expiring"),
    "sending": (_sending, "ix_messages_sending"),
    "of_campaign": (_of_campaign, "ix_messages_queued_campaign"),
    "first_due": (_first_due, "ix_messages_due"),
    "next_due": (_next_due, "ix_messages_waiting"),
    "next_expiry": (_next_expiry, "ix_messages_expiring"),
    "queued_of": (_queued_of, "ix_messages_customer"),
    "contacts": (_contacts, "ix_messages_customer"),
    "digests": (_digests, "sqlite_autoindex_messages_1"),
}


async def _waiting_page(tx: AsyncConnection) -> object:
    return await waiting.waiting_page(tx, 60_000, (NOW, 7), 100)


LIVE_ONLY: dict[str, tuple[Ask, str]] = {
    "places": (pacing.places, "ix_tallies_live_lane"),
    "queued_campaigns": (plans.queued_campaigns, "ix_tallies_live_campaign"),
    "queued_lanes": (tallies.queued_lanes, "ix_tallies_live_lane"),
    "queued": (tallies.queued, "ix_tallies_live_lane"),
    "waiting": (tallies.waiting, "ix_tallies_live"),
    "runs": (lambda tx: tallies.runs(tx, LANE, "queued"), "ix_tallies_live_lane (lane=?)"),
    "lanes_of": (lambda tx: tallies.lanes_of(tx, ["delay"]), "ix_tallies_live_campaign (campaign=?)"),
    "going": (campaigns.going, "ix_tallies_live_campaign"),
    "canceled_with_queue": (campaigns.canceled_with_queue, "ix_tallies_live_campaign"),
    "waiting_page": (_waiting_page, "ix_messages_waiting (not_before>"),
    "last_of": (lambda tx: events.last_of(tx, Kind.STARTED), "ix_events_kind (kind=?)"),
}
