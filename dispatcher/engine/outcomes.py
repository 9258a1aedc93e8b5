"""An outcome is noted, and what it says beyond its own message is acted on.

Unreachable: the lane waits; what its batches have not begun goes back to the queue, spent stays spent.
Busy (421): the lane slows, as core/lane_health.py says. Set-up (TLS, credentials): the lane is held until a person
has looked; what has not begun goes back. Bad address: it is suppressed, in the transaction that notes the outcome.
"""

from collections import Counter
from collections.abc import Sequence

import structlog

from channels.contract import Outcome, Trouble
from config.addresses import normalise
from dispatcher.core import lane_health
from dispatcher.core.states import State
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
        messages = [item.ready.message for item in chunk]
        deltas = Deltas()
        async with works.database.transaction() as tx:
            if reason:
                await queue.skip(tx, messages, reason, works.clock.now(), deltas, before=State.SENDING)
            else:
                await queue.give_back(tx, messages, 0, deltas)
            await ledger.count(tx, Counter((item.lane, item.slot.start, "unsent") for item in chunk))
            await apply(tx, deltas)
    if items:
        works.changed()


async def _unreachable(works: Works, lane: str, outcome: Outcome) -> None:
    before = works.health_of(lane)
    works.health[lane] = after = lane_health.unreachable(before, outcome.detail, works.clock.now())
    if after is not before:
        log.warning("lane_waits", lane=lane, seconds=(after.until - works.clock.now()) // 1000, code=outcome.code)
    await give_back(works, works.underway.stop(held_by("lane", lane)))


async def _needs_a_person(works: Works, lane: str, outcome: Outcome) -> None:
    now = works.clock.now()
    async with works.database.transaction() as tx:
        await controls.hold(tx, Hold("lane", lane, outcome.detail, BY, now, None))
    log.error("lane_held", lane=lane, code=outcome.code, reason="the server refused the sender's set-up",
              do="see `dispatcher status`, correct it, then `dispatcher resume`")
    await give_back(works, works.underway.stop(held_by("lane", lane)))

