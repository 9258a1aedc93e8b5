"""What stops messages: suppressions of addresses, holds, and the history that frequency caps look at."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, bindparam, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.states import State
from dispatcher.store import changes
from dispatcher.store.changes import Change
from dispatcher.store.rows import among, among_those, insert_into, listed
from dispatcher.store.tables import campaigns, holds, messages, suppressions

ALL_CATEGORIES = "*"


@dataclass(frozen=True, slots=True)
class Suppression:
    """Nothing of a category ("*": of any) goes to an address."""

    address: str              # normalised
    category: str
    reason: str               # manual | bounce | complaint | unsubscribe
    note: str
    at: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing that it covers is released. `kind` is everything, sender, lane, campaign or category."""

    kind: str
    name: str
    reason: str
    by: str
    at: int
    until: int | None


async def suppress(tx: AsyncConnection, added: Sequence[Suppression]) -> None:
    """Add suppressions; the first reason of an address and category stands."""
    await tx.execute(
        insert_into(tx, suppressions).on_conflict_do_nothing(),
        [{"address": one.address, "category": one.category, "reason": one.reason, "note": one.note, "at": one.at}
         for one in added],
    )
    await changes.tell(tx, Change.STOPS)


async def unsuppress(tx: AsyncConnection, address: str) -> int:
    """Take every suppression of an address away; says how many there were."""
    gone = await tx.execute(delete(suppressions).where(suppressions.c.address == address))
    return gone.rowcount


_SUPPRESSED = select(suppressions.c.address, suppressions.c.category, suppressions.c.reason).where(
    among_those(suppressions.c.address, "addresses")
)


async def suppressed(tx: AsyncConnection, addresses: Sequence[str]) -> dict[tuple[str, str], str]:
    """(address, category) -> reason, of those of these addresses that are suppressed."""
    rows = await tx.execute(_SUPPRESSED, {"addresses": listed(addresses)})
    return {(address, category): reason for address, category, reason in rows}


def reason_for(found: Mapping[tuple[str, str], str], address: str, category: str) -> str:
    """Why an address gets nothing of a category, "" if it may."""
    return found.get((address, ALL_CATEGORIES)) or found.get((address, category), "")


async def suppressions_page(tx: AsyncConnection, after: str, limit: int) -> list[Suppression]:
    """Suppressions behind an address, in the order of addresses."""
    rows = await tx.execute(
        select(suppressions).where(suppressions.c.address > after)
        .order_by(suppressions.c.address, suppressions.c.category).limit(limit)
    )
    return [Suppression(*row) for row in rows]


async def hold(tx: AsyncConnection, one: Hold) -> None:
    """Set a hold; the latest word of a kind and name counts."""
    insert = insert_into(tx, holds)
    await tx.execute(
        insert.on_conflict_do_update(
            index_elements=[holds.c.kind, holds.c.name],
            set_={name: insert.excluded[name] for name in ("reason", "by", "at", "until")},
        ),
        {"kind": one.kind, "name": one.name, "reason": one.reason, "by": one.by, "at": one.at, "until": one.until},
    )
    await changes.tell(tx, Change.STOPS)


async def resume(tx: AsyncConnection, kind: str, name: str) -> bool:
    """Take a hold away; says whether there was one."""
    gone = await tx.execute(delete(holds).where(holds.c.kind == kind, holds.c.name == name))
    return bool(gone.rowcount)


# Asked at every turn of the keeper and before every release, so put together once.
_NOW = bindparam("now", type_=BigInteger())
_ENDED = select(holds).where(holds.c.until <= _NOW).order_by(holds.c.kind, holds.c.name)
_CURRENT = (
    select(holds).where(or_(holds.c.until.is_(None), holds.c.until > _NOW)).order_by(holds.c.kind, holds.c.name)
)


async def end_holds(tx: AsyncConnection, now: int) -> list[Hold]:
    """Take away the holds that have run out; says which."""
    ended = [Hold(*row) for row in await tx.execute(_ENDED, {"now": now})]
    if ended:
        await tx.execute(delete(holds).where(holds.c.until <= now))
    return ended


async def current_holds(tx: AsyncConnection, now: int) -> list[Hold]:
    """The holds in force."""
    return [Hold(*row) for row in await tx.execute(_CURRENT, {"now": now})]


async def contacts(
    tx: AsyncConnection, customers: Sequence[str], category: str, since: int
) -> dict[str, list[int]]:
    """When customers got messages of a category since an instant; what is under way or in doubt counts as well."""
    instant = func.coalesce(messages.c.finished_at, messages.c.released_at)
    rows = await tx.execute(
        select(messages.c.customer, instant)
        .join(campaigns, campaigns.c.id == messages.c.campaign)
        .where(
            among(messages.c.customer, customers), campaigns.c.category == category, instant > since,
            or_(messages.c.state.in_([State.SENDING, State.ACCEPTED, State.IN_DOUBT]), messages.c.doubts > 0),
        )
    )
    found: defaultdict[str, list[int]] = defaultdict(list)
    for customer, at in rows:
        found[customer].append(at)
    return found
