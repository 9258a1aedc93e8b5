"""Outcomes as rows: attempts, new states, counts; many in one transaction."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Message
from dispatcher.core.retry import Next
from dispatcher.core.states import State, move
from dispatcher.store import ledger
from dispatcher.store.controls import ALL_CATEGORIES, Suppression, suppress
from dispatcher.store.queue import place
from dispatcher.store.rows import among_those, insert_into, listed
from dispatcher.store.tables import attempts, messages
from dispatcher.store.tallies import WAITING, Deltas, Place

CRASHED = "the daemon ended during the hand-over"
"""The detail of attempts that are in doubt as the daemon ended, and not by the server's word."""
SLICE = 75
"""Rows that are prepared for the database in one go: below a millisecond, as other lanes have messages to start."""

_AGAIN = update(messages).where(messages.c.id == bindparam("its_id")).values(
    state=move(State.SENDING, State.QUEUED), waiting=1, begun=0, not_before=bindparam("its_time"), reason="deferred",
    attempts=messages.c.attempts + 1, doubts=messages.c.doubts + bindparam("its_doubts"),
)


_FINISHED = update(messages).where(among_those(messages.c.id, "ids")).values(
    state=bindparam("its_state"), reason=bindparam("its_reason"), begun=0, attempts=messages.c.attempts + 1,
    doubts=messages.c.doubts + bindparam("its_doubts"), finished_at=bindparam("its_time"),
)


@dataclass(slots=True)   # not frozen: made once for every attempt
class Finding:
    """What one attempt came to, and what follows from it."""

    message: Message
    slot: int
    at: int
    outcome: str          # a value of channels.contract.Result
    code: str
    detail: str
    reached: bool         # the provider saw the attempt
    following: Next
    bad_address: str = "" # normalised; to be suppressed


async def write(tx: AsyncConnection, findings: Sequence[Finding], now: int, deltas: Deltas) -> None:
    """Attempts, states, the ledger's counts and the tallies of many attempts."""
    counts: Counter[tuple[str, int, str]] = Counter()
    ended: defaultdict[tuple[State, str, bool], list[int]] = defaultdict(list)
    again = []
    for number, one in enumerate(findings, 1):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        # What the provider did not see is no word of his.
        counts[one.message.lane, one.slot, one.outcome if one.reached else "unsent"] += 1
        doubtful = one.outcome == "in_doubt"
        if one.following.state is State.QUEUED:
            again.append({"its_id": one.message.id, "its_time": one.following.not_before, "its_doubts": int(doubtful)})
        else:
            ended[one.following.state, one.following.reason, doubtful].append(one.message.id)
        deltas.move(place(one.message, State.SENDING), _place_after(one))
    for start in range(0, len(findings), SLICE):
        await _tell(tx, findings[start:start + SLICE])
    await _finish(tx, ended, now)
    await _suppress(tx, findings, now)
    if again:
        await tx.execute(_AGAIN, again)
    await ledger.count(tx, counts)


async def _tell(tx: AsyncConnection, findings: Sequence[Finding]) -> None:
    await tx.execute(insert_into(tx, attempts), [
        {"message": one.message.id, "number": one.message.attempts + 1, "at": one.at, "lane": one.message.lane,
         "slot": one.slot, "outcome": one.outcome, "code": one.code, "detail": one.detail}
        for one in findings
    ])


async def _finish(tx: AsyncConnection, ended: Mapping[tuple[State, str, bool], list[int]], now: int) -> None:
    for (state, reason, doubtful), ids in ended.items():
        await tx.execute(_FINISHED, {
            "ids": listed(ids), "its_state": move(State.SENDING, state), "its_reason": reason,
            "its_doubts": int(doubtful), "its_time": now,
        })


async def _suppress(tx: AsyncConnection, findings: Sequence[Finding], now: int) -> None:
    bad = [Suppression(one.bad_address, ALL_CATEGORIES, "bounce", one.code, now) for one in findings if one.bad_address]
    if bad:
        await suppress(tx, bad)


def _place_after(one: Finding) -> Place:
    state = one.following.state
    if state is State.QUEUED:
        return place(one.message, WAITING)
    return place(one.message, state, one.following.reason if state is State.SKIPPED else "")
