"""An outcome is noted, and what it says beyond its own message is acted on.

Unreachable: the lane waits; what its batches have not begun goes back to the queue, spent stays spent.
Busy (421): the lane slows, as core/lane_health.py says. Set-up (TLS, credentials): the lane is held until a person
has looked; what has not begun goes back. Bad address: it is suppressed, in the transaction that notes the outcome.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.contract import Outcome, Trouble
from config.addresses import normalise
from dispatcher.core import lane_health
from dispatcher.core.states import State
from dispatcher.engine.journal import AGAIN_AFTER
from dispatcher.engine.underway import Item, held_by
from dispatcher.engine.works import Works
from dispatcher.store import controls, ledger, queue
from dispatcher.store.controls import Hold
from dispatcher.store.database import CHUNK
from dispatcher.store.journal import Finding
from dispatcher.store.tallies import Deltas, apply

log = structlog.get_logger()
BY = "dispatcher"


async def noted(works: Works, item: Item, finding: Finding, outcome: Outcome) -> None:
    """Hand a finding to the journal, and act on what the outcome says about lane and address."""
    works.outcomes[item.lane, finding.outcome] += 1
    await works.journal.put(finding)
    lane, health = item.lane, works.health_of(item.lane)
    if outcome.reached:
        works.health[lane] = health = lane_health.reached(health)
    if outcome.trouble is Trouble.BUSY:
        works.health[lane] = lane_health.busy(health, outcome.detail)
        log.warning("lane_slowed", lane=lane, code=outcome.code, share=works.health[lane].share)
    elif outcome.trouble is Trouble.UNREACHABLE:
        await _unreachable(works, lane, outcome)
    elif outcome.trouble is Trouble.SETUP:
        await _needs_a_person(works, lane, outcome)


def suppressed_by(item: Item, outcome: Outcome) -> str:
    """The address that an outcome says is no good, "" if it does not."""
    return normalise(item.ready.route.address) if outcome.trouble is Trouble.BAD_ADDRESS else ""


async def give_back(works: Works, items: Sequence[Item]) -> None:
    """Write stopped items back to the queue: their batch stays spent, the provider has not seen them."""
    await _write(works, items, "")


async def close_stopped(works: Works, items: Sequence[Item], reason: str) -> None:
    """Close stopped items for a reason."""
    await _write(works, items, reason)


async def _write(works: Works, items: Sequence[Item], reason: str) -> None:
    for start in range(0, len(items), CHUNK):
        chunk = items[start:start + CHUNK]
        await _surely(works, partial(_write_chunk, chunk=chunk, reason=reason, now=works.clock.now()))
    if items:
        works.changed()


async def _write_chunk(tx: AsyncConnection, chunk: Sequence[Item], reason: str, now: int) -> None:
    messages = [item.ready.message for item in chunk]
    deltas = Deltas()
    if reason:
        await queue.skip(tx, messages, reason, now, deltas, before=State.SENDING)
    else:
        await queue.give_back(tx, messages, 0, deltas)
    await ledger.count(tx, Counter((item.lane, item.slot.start, "unsent") for item in chunk))
    await apply(tx, deltas)


async def _surely(works: Works, write: Callable[[AsyncConnection], Awaitable[None]]) -> None:
    """Write in a transaction; where the store does not let us, again until it does, or until the daemon ends.

    What was stopped in memory would otherwise be `sending` in the store until a restart, and forgotten here.
    """
    while True:
        try:
            async with works.database.transaction() as tx:
                await write(tx)
        except DBAPIError as error:
            if works.closing:
                log.error("stops_unwritten", why=str(error.orig), effect="the next start puts them right")  # noqa: TRY400 -- the store's trouble, not a fault to trace
                return
            log.error("stops_unwritten", why=str(error.orig), effect="tried again in a second")  # noqa: TRY400 -- as above
            await works.clock.pause(AGAIN_AFTER)
        else:
            return


async def _unreachable(works: Works, lane: str, outcome: Outcome) -> None:
    before = works.health_of(lane)
    works.health[lane] = after = lane_health.unreachable(before, outcome.detail, works.clock.now())
    if after is not before:
        log.warning("lane_waits", lane=lane, seconds=(after.until - works.clock.now()) // 1000, code=outcome.code)
    await give_back(works, works.underway.stop(held_by("lane", lane)))


async def _needs_a_person(works: Works, lane: str, outcome: Outcome) -> None:
    now = works.clock.now()
    await _surely(works, lambda tx: controls.hold(tx, Hold("lane", lane, outcome.detail, BY, now, None)))
    log.error("lane_held", lane=lane, code=outcome.code, reason="the server refused the sender's set-up",
              do="see `dispatcher status`, correct it, then `dispatcher resume`")
    await give_back(works, works.underway.stop(held_by("lane", lane)))

