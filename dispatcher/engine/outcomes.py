"""An outcome is noted, and what it says beyond its own message is acted on.

Unreachable: the lane waits; what its batches have not begun goes back to the queue, spent stays spent. A reply that a
rule speaks of slows or holds the lane at once (core/reputation.py); else busy (a 421, words about pace) slows it, and
trouble with the set-up (TLS, credentials) holds it until a person has looked; what a hold finds not begun goes back.
Bad address: it is suppressed, in the transaction that notes the outcome.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.contract import Outcome, Trouble
from config.addresses import normalise
from config.reply_rules import rule_for
from dispatcher.core import lane_health, reputation
from dispatcher.core.reputation import Reputation
from dispatcher.core.states import State
from dispatcher.engine import evidence
from dispatcher.engine.journal import AGAIN_AFTER
from dispatcher.engine.underway import Item, held_by
from dispatcher.engine.works import Works
from dispatcher.policy import split_lane
from dispatcher.store import lanes, ledger, queue
from dispatcher.store.database import CHUNK
from dispatcher.store.journal import Finding
from dispatcher.store.tallies import Deltas, apply

log = structlog.get_logger()
BUSY = "the server asks for less"
SETUP = "the sender's set-up must be looked at"


@dataclass(frozen=True, slots=True)
class Change:
    """What an outcome makes of a reputation."""

    of: Callable[[Reputation], Reputation]
    at: int
    blamed: bool = False        # the step is unhealthy by it


async def load_reputations(works: Works) -> None:
    """At start: remember what lanes have come to in earlier runs."""
    async with works.database.transaction() as tx:
        works.reputation.update(await lanes.read_all(tx))


async def noted(works: Works, item: Item, finding: Finding, outcome: Outcome) -> None:
    """Hand a finding to the journal, and act on what the outcome says about lane and address."""
    works.outcomes[item.lane, finding.outcome] += 1
    await works.journal.put(finding)
    lane = item.lane
    if outcome.reached:
        works.health[lane] = lane_health.reached(works.health_of(lane))
    if outcome.trouble is Trouble.UNREACHABLE:
        await _unreachable(works, lane, outcome)
    change = _consequence(works, item, outcome)
    if change is not None:
        await _act(works, item, change)


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
        await _surely(works, partial(write_chunk, chunk=chunk, reason=reason, now=works.clock.now()))
    if items:
        works.changed()


async def write_chunk(tx: AsyncConnection, chunk: Sequence[Item], reason: str, now: int) -> None:
    """Write stopped items, inside the caller's transaction: back into the queue, or closed for a reason."""
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


def _consequence(works: Works, item: Item, outcome: Outcome) -> Change | None:
    """What an outcome makes of its lane's reputation; None for nothing."""
    if outcome.trouble is Trouble.NONE and not outcome.reply:
        return None
    now, slot = works.clock.now(), item.slot
    rule = rule_for(works.policy.reply_rules, split_lane(item.lane).provider, outcome.reply)
    if rule is not None:
        return Change(lambda known: reputation.ruled(known, rule, slot, outcome.reply, now), now, blamed=True)
    if outcome.trouble is Trouble.BUSY:
        cause = f"{BUSY}: {_said(outcome)}"
        return Change(lambda known: reputation.busy(known, slot, cause, now), now)
    if outcome.trouble is Trouble.SETUP:
        return Change(lambda known: reputation.set_up_held(known, f"{SETUP}: {outcome.detail}", now), now)
    return None


def _said(outcome: Outcome) -> str:
    """What the server said, with its own code and once: a 5xx may ask for less as well as a 421."""
    if outcome.reply or outcome.detail.startswith(outcome.code):
        return outcome.reply or outcome.detail
    return f"{outcome.code} {outcome.detail}"


async def _act(works: Works, item: Item, change: Change) -> None:
    """Change a lane's reputation: in memory at once, so that many answers of a slot count once, then durably."""
    lane, known = item.lane, works.reputation_of(item.lane)
    after = change.of(known)
    if after == known:
        return
    works.reputation[lane] = after

    async def write(tx: AsyncConnection) -> None:
        stored = await lanes.read(tx, lane)
        changed = change.of(stored)
        if changed != stored:
            await evidence.note(tx, lane, stored, changed, change.at)
            if change.blamed:
                await ledger.remember_state(tx, lane, item.slot.step_start, changed.state, blamed=True)
        works.reputation[lane] = changed

    await _surely(works, write)
    if reputation.is_held(works.reputation_of(lane), works.clock.now()):
        if not change.blamed:
            log.error("lane_needs_a_person", lane=lane, why="the server refused the sender's set-up",
                      do="see `dispatcher status`, correct it, then `dispatcher resume`")
        await give_back(works, works.underway.stop(held_by("lane", lane)))

