"""Single messages: listed, shown with their whole story, settled by a person where they are in doubt."""

from typing import Literal

from pydantic import Field

from dispatcher.core.states import State
from dispatcher.operations.office import Args, Limit, Office, OperationError, Result, Text, said
from dispatcher.store import reading, settling, tallies
from dispatcher.store.reading import BatchRow, Listed, Stored, Wanted
from dispatcher.store.tallies import Deltas

STRIDE = 50_000
"""Messages that one look goes through, some 20 ms: the store is free for others in between."""

_EVERY_STATE = Literal["", "queued", "sending", "accepted", "rejected", "in_doubt", "skipped"]


class ListArgs(Args):
    """Which messages; behind one of them."""

    campaign: Text = ""
    state: _EVERY_STATE = ""
    reason: Text = ""
    customer: Text = ""
    lane: Text = ""
    after: int = Field(default=0, ge=0)
    limit: Limit = 100


class ShowArgs(Args):
    """One message."""

    id: int = Field(ge=1, lt=2**63)


class SettleArgs(Args):
    """What became of a message in doubt, as a person found out; queued: send it again."""

    id: int = Field(ge=1, lt=2**63)
    as_: Literal["accepted", "rejected", "queued"] = Field(alias="as")


async def listed(office: Office, args: ListArgs) -> Result:
    """Messages in the order in which they came; `next` is where the following page begins, null at the end."""
    database = office.works.database
    wanted = Wanted(args.campaign, args.state, args.reason, args.customer, args.lane)
    found: list[Listed] = []
    after = args.after
    async with database.transaction() as tx:
        last = await reading.last_message(tx)
    while len(found) < args.limit and after < last:
        upto = last if args.customer else min(after + STRIDE, last)   # a customer's have an index
        async with database.transaction() as tx:
            some = await reading.listed(tx, wanted, after, upto, args.limit - len(found))
        found += some
        after = upto
    full = len(found) == args.limit
    return {
        "messages": [{"id": one.id, "campaign": one.campaign, "customer": one.customer, "segment": one.segment,
                      "lane": one.lane, "state": one.state, "reason": one.reason} for one in found],
        "next": found[-1].id if full and found[-1].id < last else None,
    }


async def show(office: Office, args: ShowArgs) -> Result:
    """One message's whole story."""
    async with office.works.database.transaction() as tx:
        stored = await reading.message(tx, args.id)
        if stored is None:
            raise OperationError("unknown", f"there is no message {args.id}")
        attempts = await reading.attempts_of(tx, args.id)
        lane = stored.message.lane
        batch = await reading.batch(tx, lane, stored.slot) if stored.slot is not None else None
    return _fields(stored) | {
        "batch": _batch(batch),
        "attempts": [{"at": said(one.at), "outcome": one.outcome, "code": one.code, "detail": one.detail}
                     for one in attempts],
    } | ({"pruned": True} if stored.message.attempts > len(attempts) else {})


async def settle(office: Office, args: SettleArgs) -> Result:
    """Bring a message in doubt to rest."""
    works = office.works
    async with works.database.transaction() as tx:
        stored = await reading.message(tx, args.id)
        if stored is None:
            raise OperationError("unknown", f"there is no message {args.id}")
        if stored.state != State.IN_DOUBT:
            raise OperationError("conflict", f"message {args.id} is {stored.state}; only one in doubt can be settled")
        deltas = Deltas()
        await settling.settle(tx, stored.message, State(args.as_), works.clock.now(), deltas)
        await tallies.apply(tx, deltas)
    if args.as_ == "queued":
        office.wake()
    return {"id": args.id, "state": args.as_}


def _fields(stored: Stored) -> Result:
    message = stored.message
    return {
        "id": message.id, "campaign": message.campaign, "version": message.version, "key": message.key,
        "customer": message.customer, "segment": message.segment, "lane": message.lane, "state": stored.state,
        "reason": stored.reason, "priority": message.priority, "data": dict(message.data),
        "created_at": said(stored.created_at), "not_before": said(stored.not_before or None),
        "expires_at": said(message.expires_at), "released_at": said(message.released_at),
        "finished_at": said(stored.finished_at),
    }


def _batch(batch: BatchRow | None) -> Result | None:
    if batch is None:
        return None
    return {"at": said(batch.slot), "until": said(batch.slot_ends), "size": batch.size,
            "allowance": batch.allowance, "released_at": said(batch.released_at)}
