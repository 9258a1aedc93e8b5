"""Customers and what they did: imported, shown, forgotten."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from config.addresses import normalise
from dispatcher.core.audience import is_active, is_stale, last_activity
from dispatcher.core.model import Customer, SkipReason
from dispatcher.engine.keeper import close_queued
from dispatcher.engine.underway import of_customers
from dispatcher.intake.activity import parse_activity
from dispatcher.intake.customers import parse_customer
from dispatcher.intake.facts import update_activity, update_customers
from dispatcher.intake.strict import RowFault
from dispatcher.operations.office import Args, Given, Office, OperationError, Result, RowIn, RowsArgs, said
from dispatcher.store import customers, queue, reading
from dispatcher.store.controls import Suppression
from dispatcher.store.database import CHUNK

LATEST = 20
"""Messages that `customers show` shows."""

Parsed = TypeVar("Parsed")


class CustomerArgs(Args):
    """One customer."""

    id: Given


async def import_customers(office: Office, args: RowsArgs) -> Result:
    """Lay rows over the customers; bad rows are named and left out, the good ones stand."""
    works = office.works
    good, faults = await parsed(args.rows, parse_customer, works.clock.now())
    new = changed = 0
    stirred = False
    for start in range(0, len(good), CHUNK):
        now = works.clock.now()
        async with works.database.transaction() as tx:
            stirred |= await _was_stale(tx, office, now)
            updates = [update for _, update in good[start:start + CHUNK]]
            added, altered = await update_customers(tx, updates, works.policy, now)
        new, changed = new + added, changed + altered
    if changed or stirred:
        office.wake()
    warnings = [{"line": line, "text": text} for line, update in good for text in update.warnings]
    # Somebody twice in one chunk counts once.
    return {"new": new, "changed": changed, "unchanged": max(len(good) - new - changed, 0), "faults": faults,
            "warnings": warnings}


async def import_activity(office: Office, args: RowsArgs) -> Result:
    """Lay activity over the customers; a row about somebody unknown is a fault of that row."""
    works = office.works
    good, faults = await parsed(args.rows, parse_activity, works.clock.now())
    changed = known = 0
    stirred = False
    for start in range(0, len(good), CHUNK):
        chunk = good[start:start + CHUNK]
        now = works.clock.now()
        async with works.database.transaction() as tx:
            stirred |= await _was_stale(tx, office, now)
            altered, strangers = await update_activity(tx, [row for _, row in chunk], works.policy, now)
        unknown = set(strangers)
        faults += [fault_of(line, "customer: is not known; import customers first")
                   for line, row in chunk if row.customer in unknown]
        changed, known = changed + altered, known + sum(row.customer not in unknown for _, row in chunk)
    if stirred:
        office.wake()
    faults.sort(key=lambda fault: fault["line"])
    return {"changed": changed, "unchanged": max(known - changed, 0), "faults": faults}


async def show(office: Office, args: CustomerArgs) -> Result:
    """All that is known of a customer, and the latest messages."""
    works = office.works
    now = works.clock.now()
    async with works.database.transaction() as tx:
        customer = (await customers.get(tx, [args.id])).get(args.id)
        latest = await reading.latest_of(tx, args.id, LATEST)
        stopped = await reading.suppressions_of(tx, [normalise(customer.email)]) if customer and customer.email else []
    if customer is None:
        raise OperationError("unknown", f"no customer is called {args.id}")
    rules = works.policy.rules
    return _fields(customer) | {
        "active": is_active(customer, rules, now),
        "last_active_at": said(last_activity(customer, rules.activity, now)),
        "suppressed": [_stop(one) for one in stopped],
        "messages": [{"id": one.id, "campaign": one.campaign, "state": one.state, "reason": one.reason}
                     for one in latest],
    }


async def erase(office: Office, args: CustomerArgs) -> Result:
    """Forget a customer: what is queued is closed, what is released and not begun is stopped."""
    works = office.works
    now = works.clock.now()
    async with works.database.transaction() as tx:
        await close_queued(tx, await queue.queued_of(tx, [args.id]), SkipReason.UNKNOWN_CUSTOMER, now)
        known = await customers.erase(tx, args.id)
    await office.stop_items(of_customers([args.id]), SkipReason.UNKNOWN_CUSTOMER)
    if not known:
        raise OperationError("unknown", f"no customer is called {args.id}")
    return {"erased": True}


async def parsed(
    rows: Sequence[RowIn], parse: Callable[[Mapping[str, Any], int], Parsed], now: int
) -> tuple[list[tuple[int, Parsed]], list[dict[str, Any]]]:
    """Read rows, apart from the loop; those that can stand, each with its line, and the faults of the others."""
    def read() -> tuple[list[tuple[int, Parsed]], list[dict[str, Any]]]:
        good: list[tuple[int, Parsed]] = []
        faults: list[dict[str, Any]] = []
        for row in rows:
            try:
                good.append((row.line, parse(row.values, now)))
            except RowFault as fault:
                faults.append(fault_of(row.line, str(fault)))
        return good, faults

    return await asyncio.to_thread(read)


def fault_of(line: int, reason: str) -> dict[str, Any]:
    """A row's fault as results have it."""
    return {"line": line, "reason": reason}


async def _was_stale(tx: AsyncConnection, office: Office, now: int) -> bool:
    return is_stale(await customers.facts_at(tx), office.works.policy.stale_after, now)


def _fields(customer: Customer) -> Result:
    return {
        "id": customer.id, "email": customer.email, "phone": customer.phone, "name": customer.name,
        "locale": customer.locale, "timezone": customer.timezone, "location": customer.location,
        "plan": customer.plan, "engagement": customer.engagement, "last_product_at": said(customer.last_product_at),
        "last_order_at": said(customer.last_order_at), "last_support_at": said(customer.last_support_at),
        "consent": sorted(customer.consent), "attributes": dict(customer.attributes),
    }


def _stop(one: Suppression) -> Result:
    return {"category": one.category, "reason": one.reason, "note": one.note, "at": said(one.at)}
