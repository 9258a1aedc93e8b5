"""The daemons that share a store: who they are, and who of them lives, by the database's own clock.

An instance has a lease, which its heartbeat renews. Once it has lapsed the instance writes nothing, and whoever finds
it so may take over what it had under way: the lease is 0 from then on, for good. Where nobody has, as when nobody could
reach the database, a heartbeat renews also a lapsed one, and all goes on. Nobody's own clock is asked.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from dispatcher.store.changes import Change
from dispatcher.store.record_tables import changes, instances
from dispatcher.store.rows import among, fields, insert_into
from dispatcher.store.tables import SENDING, messages

i = instances.c


class _Now(FunctionElement[int]):
    """The database's clock, at the moment and not at the beginning of the transaction."""

    name = "database_now"
    inherit_cache = True
    type = BigInteger()


@compiles(_Now, "sqlite")
def _now_sqlite(_element: _Now, _compiler: SQLCompiler, **_how: Any) -> str:  # noqa: ANN401 -- SQLAlchemy's own
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(_Now, "postgresql")
def _now_postgresql(_element: _Now, _compiler: SQLCompiler, **_how: Any) -> str:  # noqa: ANN401 -- SQLAlchemy's own
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"


NOW: Final = _Now()


_LIVES: Final = i.lease_until > NOW


@dataclass(frozen=True, slots=True)
class Instance:
    """A daemon on the store."""

    id: int
    machine: str
    process: int
    started_at: int
    seen_at: int
    living: bool            # its lease lasts


@dataclass(frozen=True, slots=True)
class Look:
    """What an instance sees of itself and of the others, in one look."""

    ours: bool              # nobody has taken over from us
    living: int             # instances whose lease lasts, we among them
    lapsed: int             # and those whose lease does not, and nobody has taken over from
    stops: int              # the counters of changes.py
    news: int
    names: int


@dataclass(frozen=True, slots=True)
class Who:
    """A process that is to be an instance."""

    machine: str
    place: str              # within which the number of a process means that one
    process: int


async def join(tx: AsyncConnection, who: Who, lease: int) -> int:
    """A new instance, with a lease of so many milliseconds; its number, which no other will ever have."""
    now = (await tx.execute(select(NOW))).scalar_one()
    made = await tx.execute(insert_into(tx, instances).returning(i.id), {
        "machine": who.machine, "place": who.place, "process": who.process, "started_at": now, "seen_at": now,
        "lease_until": now + lease,
    })
    return int(made.scalar_one())


async def of_place(tx: AsyncConnection, place: str) -> dict[int, int]:
    """The instances of a place whose lease lasts -> their processes."""
    rows = await tx.execute(select(i.id, i.process).where(i.place == place, _LIVES))
    return {number: process for number, process in rows}  # noqa: C416 -- dict() of rows is not typed


_BEAT: Final = (
    update(instances).where(i.id == bindparam("its_id", type_=BigInteger()), i.lease_until > 0)
    .values(seen_at=NOW, lease_until=NOW + bindparam("lease", type_=BigInteger()))
)


async def beat(tx: AsyncConnection, number: int, lease: int) -> bool:
    """Renew an instance's lease; False where somebody has taken over from it, which is for good."""
    return bool((await tx.execute(_BEAT, {"its_id": number, "lease": lease})).rowcount)


async def leave(tx: AsyncConnection, number: int) -> None:
    """An instance ends in good order: what it still has under way is anybody's at once."""
    await tx.execute(update(instances).where(i.id == number).values(lease_until=0))


async def ended(tx: AsyncConnection) -> list[int]:
    """The instances whose lease has lapsed: they have ended from here on, for the caller takes over from them.

    A heartbeat that is on its way comes before us, and they live, or finds that it is too late.
    """
    rows = await tx.execute(select(i.id).where(i.lease_until <= NOW).order_by(i.id).with_for_update())
    gone = [number for (number,) in rows]
    if gone:
        await tx.execute(update(instances).where(among(i.id, gone)).values(lease_until=0))
    return gone


async def others(tx: AsyncConnection, but: Collection[int]) -> list[int]:
    """Every instance there is, without these."""
    rows = await tx.execute(select(i.id).order_by(i.id))
    return [number for (number,) in rows if number not in but]


async def living_beside(tx: AsyncConnection, number: int) -> int:
    """How many live besides one."""
    found = await tx.execute(select(func.count()).select_from(instances).where(i.id != number, _LIVES))
    return int(found.scalar_one())


async def forget(tx: AsyncConnection, gone: Sequence[int]) -> None:
    """Forget instances of whom nothing is left."""
    if gone:
        await tx.execute(delete(instances).where(among(i.id, gone)))


async def every(tx: AsyncConnection) -> list[Instance]:
    """All of them, the oldest first."""
    lives = case((i.lease_until > NOW, True), else_=False)
    rows = await tx.execute(select(i.id, i.machine, i.process, i.started_at, i.seen_at, lives).order_by(i.id))
    return [Instance(*fields(row)) for row in rows]


async def under_way(tx: AsyncConnection) -> dict[int | None, int]:
    """How many released messages without an outcome each instance has; None: they are nobody's in particular."""
    rows = await tx.execute(select(messages.c.owner, func.count()).where(SENDING).group_by(messages.c.owner))
    return {owner: int(count) for owner, count in rows}


def _number_of(name: Change) -> Any:  # noqa: ANN401 -- SQLAlchemy's own
    return func.coalesce(select(changes.c.number).where(changes.c.name == name).scalar_subquery(), 0)


_ME: Final = bindparam("its_id", type_=BigInteger())
_LOOK: Final = select(      # asked a few times a second, so put together once
    select(func.count()).select_from(instances).where(i.id == _ME, i.lease_until > 0).scalar_subquery(),
    select(func.count()).select_from(instances).where(_LIVES).scalar_subquery(),
    select(func.count()).select_from(instances).where(i.lease_until <= NOW).scalar_subquery(),
    *(_number_of(name) for name in (Change.STOPS, Change.NEWS, Change.NAMES)),
)


async def look(tx: AsyncConnection, number: int) -> Look:
    """What an instance sees."""
    ours, *counts = (await tx.execute(_LOOK, {"its_id": number})).one()
    return Look(bool(ours), *map(int, counts))
