"""What finished long ago loses its details: a message's data and snapshot, and its attempts. Everything else stays.

The message itself stays, with its key and digest, its customer, its state and when it ended: so the once-rule answers
as ever, the tallies count the same, and caps, incidents and a customer's history see what they saw. Batches and steps,
the ledger, know nothing of attempts. In doubt is no end: what a person may still send again is left as it is.

What there is to prune is looked for in the order of ids, which is about that of time: no index of its own, and nobody
who keeps everything pays for it. Each look is bounded.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Integer, bindparam, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.states import FINAL
from dispatcher.store.record_tables import canary_messages
from dispatcher.store.rows import among_those, insert_into, listed
from dispatcher.store.tables import attempts, messages, meta

LOOKED_AT: Final = 5_000
"""Ids that one look goes through at most."""
PRUNED_TO: Final = "pruned_to"
"""The name in `meta` of the id that the next look begins behind; 0: with the first message."""

m = messages.c
_FIRST: Final = select(m.id, m.created_at).where(m.id > bindparam("after", type_=BigInteger())).order_by(m.id).limit(1)
_DETAILED: Final = (
    select(m.id)
    .where(
        m.id >= bindparam("first", type_=BigInteger()), m.id < bindparam("end", type_=BigInteger()),
        m.state.in_(sorted(FINAL)), m.finished_at < bindparam("before", type_=BigInteger()),
        or_(m.data != "{}", m.snapshot.is_not(None), (m.attempts > 0) & exists().where(attempts.c.message == m.id)),
        m.id.not_in(select(canary_messages.c.message)),      # of a canary that is not judged yet: by its attempts
    )
    .order_by(m.id).limit(bindparam("most", type_=Integer()))
)
_FORGET: Final = delete(attempts).where(among_those(attempts.c.message, "ids"))
_SLIM: Final = update(messages).where(among_those(m.id, "ids")).values(data="{}", snapshot=None)
_PRUNED_TO: Final = select(meta.c.value).where(meta.c.name == PRUNED_TO)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one look came to."""

    messages: int
    attempts: int
    ended: bool         # there is nothing behind it that is old enough


async def prune(tx: AsyncConnection, before: int, most: int) -> Pruned:
    """Prune so many messages that finished before an instant, where the last look ended; the next goes on there."""
    told = (await tx.execute(_PRUNED_TO)).scalar()
    row = (await tx.execute(_FIRST, {"after": int(told or 0)})).first()
    if row is None or row.created_at >= before:     # what follows came in later, and finished later still
        await _go_on_behind(tx, 0)
        return Pruned(0, 0, ended=True)
    end = row.id + LOOKED_AT
    ids = list((await tx.execute(_DETAILED, {"first": row.id, "end": end, "before": before, "most": most})).scalars())
    gone = 0
    if ids:
        gone = (await tx.execute(_FORGET, {"ids": listed(ids)})).rowcount
        await tx.execute(_SLIM, {"ids": listed(ids)})
    await _go_on_behind(tx, ids[-1] if len(ids) == most else end - 1)
    return Pruned(len(ids), gone, ended=False)


async def _go_on_behind(tx: AsyncConnection, number: int) -> None:
    insert = insert_into(tx, meta)
    await tx.execute(
        insert.on_conflict_do_update(index_elements=[meta.c.name], set_={"value": insert.excluded.value}),
        {"name": PRUNED_TO, "value": str(number)},
    )
