"""Facts about customers come in: who they are, what they did. What is queued for them follows.

A customer who moves, or gets another address, falls into another segment or lane: their queued messages go there in
the same transaction. A message that was released before keeps the customer as he was, so that another attempt has
the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.lanes import route
from dispatcher.core.model import Campaign, Customer
from dispatcher.intake.activity import Activity
from dispatcher.intake.campaign_file import campaign_from_json
from dispatcher.intake.customers import CustomerUpdate, merge
from dispatcher.policy import Policy
from dispatcher.store import campaigns, customers, queue
from dispatcher.store.tallies import Deltas, apply


async def update_customers(
    tx: AsyncConnection, updates: Sequence[CustomerUpdate], policy: Policy, now: int
) -> tuple[int, int]:
    """Lay a chunk of updates over what is stored; how many customers are new, and how many changed."""
    before = await customers.get(tx, [update.customer.id for update in updates])
    after = dict(before)
    for update in updates:
        after[update.customer.id] = merge(after.get(update.customer.id), update)
    return await _put(tx, before, after, policy, now)


async def update_activity(
    tx: AsyncConnection, rows: Sequence[Activity], policy: Policy, now: int
) -> tuple[int, list[str]]:
    """Lay activity over the customers; how many changed, and which customers nobody knows."""
    before = await customers.get(tx, [row.customer for row in rows])
    after = dict(before)
    unknown = []
    for row in rows:
        customer = after.get(row.customer)
        if customer is None:
            unknown.append(row.customer)
            continue
        after[row.customer] = _with_activity(customer, row)
    _, changed = await _put(tx, before, after, policy, now)
    return changed, unknown


def _with_activity(customer: Customer, row: Activity) -> Customer:
    """An activity time never moves backwards."""
    if row.kind == "order":
        return replace(customer, last_order_at=max(customer.last_order_at or row.at, row.at))
    if row.kind == "support":
        return replace(customer, last_support_at=max(customer.last_support_at or row.at, row.at))
    return replace(customer, last_product_at=max(customer.last_product_at or row.at, row.at))


async def _put(
    tx: AsyncConnection, before: Mapping[str, Customer], after: Mapping[str, Customer], policy: Policy, now: int
) -> tuple[int, int]:
    changed = [customer for key, customer in after.items() if before.get(key) != customer]
    known = [before[customer.id] for customer in changed if customer.id in before]
    out = await customers.released_of(tx, [customer.id for customer in known]) if known else set()
    await customers.keep_snapshots(tx, [customer for customer in known if customer.id in out])
    await customers.put(tx, changed, now)
    moved = [after[customer.id] for customer in known if _where(customer) != _where(after[customer.id])]
    if moved:
        await _reroute(tx, {customer.id: customer for customer in moved}, policy)
    return len(changed) - len(known), len(known)


def _where(customer: Customer) -> tuple[object, ...]:
    """All that a route may depend on."""
    return (customer.email, customer.location, customer.plan, customer.engagement, customer.locale,
            customer.attributes)


async def _reroute(tx: AsyncConnection, moved: Mapping[str, Customer], policy: Policy) -> None:
    """Queued messages of customers who moved go to their new segment and lane.

    One that has no place any more stays where it is: the release closes it with its reason.
    """
    queued = await queue.queued_of(tx, list(moved))
    meant: dict[str, Campaign] = {}
    deltas = Deltas()
    for message, state in queued:
        if message.campaign not in meant:
            meant[message.campaign] = await _current(tx, message.campaign)
        way = route(meant[message.campaign], moved[message.customer], policy.channels, policy.provider_of)
        if way.lane and (way.segment, way.rank, way.lane) != (message.segment, message.rank, message.lane):
            await queue.reroute(tx, [(message, state, way.segment, way.rank, way.lane)], deltas)
    await apply(tx, deltas)


async def _current(tx: AsyncConnection, name: str) -> Campaign:
    stored = await campaigns.get(tx, name)
    content = await campaigns.content(tx, name, stored.version) if stored is not None else None
    if stored is None or content is None:
        raise LookupError(f"the store has messages of a campaign {name} that it does not have")
    return campaign_from_json(content, stored.version)
