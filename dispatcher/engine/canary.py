"""Canaries: the first messages of a campaign go alone, are waited for, and decide whether the rest follows by itself.

Counted in the transaction that releases them; judged when their wait is over, by whoever looks first: the keeper, or a
lane that is about to release. A canary passes when none of the lanes it used was slowed or held since it began, and
what its own messages met crosses no line of the configuration's reputation; else it holds the campaign until a person
resumes that, which counts as passed. What no server has seen (it was down, or the messages came back into the queue)
tells nothing: where that is more than half, the canary goes on, and as many others take those messages' place. So no
server ever sees more of a campaign than its canary before that has passed.

All of it is in the store: a crash or a restart between changes nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.contract import Result
from dispatcher.core.evidence import Counts, Lines, percent, surely_more
from dispatcher.core.quotas import NEVER, Purse
from dispatcher.engine.sorting import Ready
from dispatcher.engine.standing import Standing
from dispatcher.store import campaigns, canaries, events, parts
from dispatcher.store.after import after_commit
from dispatcher.store.canaries import CanaryRow, CanaryState
from dispatcher.store.events import Event, Kind

MOST_EVENTS: Final = 10_000
AGAIN_AFTER: Final = 60_000
"""Milliseconds after which a canary is looked at again that is on its way to a slow server still."""

log = structlog.get_logger()


async def count_out(
    tx: AsyncConnection, standing: Standing, released: Iterable[Ready], purse: Purse
) -> int:
    """Count what a slot releases of canaries; the instant at which one is to be judged, if all of it is out."""
    out: defaultdict[str, list[int]] = defaultdict(list)
    for ready in released:
        message = ready.message
        if message.campaign in standing.bounds.canaries:
            out[message.campaign].append(message.id)
    following = NEVER
    for campaign, ids in out.items():
        new = set(ids) - await canaries.members(tx, campaign, ids)      # others of it are tried again
        if new:
            following = min(following, await _count(tx, standing, campaign, new, purse))
    return following


async def _count(tx: AsyncConnection, standing: Standing, campaign: str, new: Collection[int], purse: Purse) -> int:
    trial = standing.bounds.canaries[campaign]
    row = await canaries.get(tx, campaign) or CanaryRow(campaign, CanaryState.OUT, 0, purse.at, None)
    ends, judged_at = max(trial.ends, purse.end), NEVER
    row = replace(row, released=row.released + len(new), until=ends)
    if len(new) >= trial.left:
        judged_at = ends + trial.wait
        row = replace(row, state=CanaryState.WAITING, until=judged_at)
        await events.note(tx, Event(purse.at, Kind.CANARY_OUT, campaign,
                                    data={"size": row.released, "until": judged_at}))
    await canaries.put(tx, row)
    await canaries.add_messages(tx, campaign, sorted(new))
    return judged_at


async def judge_due(tx: AsyncConnection, lines: Lines, now: int) -> Mapping[str, CanaryState]:
    """Judge the canaries whose wait is over: campaign -> what its canary is now.

    Of those that failed the caller, once it has committed, stops what is released and has not begun (promise P6).
    """
    return {row.campaign: await _judge(tx, row, lines, now) for row in await canaries.due(tx, now)}


def failed(judged: Mapping[str, CanaryState]) -> list[str]:
    """The campaigns whose canary failed."""
    return [campaign for campaign, state in judged.items() if state is CanaryState.FAILED]


async def _judge(tx: AsyncConnection, row: CanaryRow, lines: Lines, now: int) -> CanaryState:
    stored = await campaigns.get(tx, row.campaign)
    if stored is None or stored.canceled_at is not None:
        return await _passed(tx, row, now)
    seen = await canaries.seen(tx, row.campaign)
    found = await canaries.outcomes(tx, row.campaign)
    counts = Counts(found.get(Result.ACCEPTED, 0), found.get(Result.DEFERRED, 0), found.get(Result.REJECTED, 0))
    why = (await _trouble(tx, row, now) or crossed(counts, lines)) if seen else ""
    if why:
        return await _failed(tx, row, why, now)
    if seen * 2 < row.released:
        return await _go_on(tx, row, seen, now)
    return await _passed(tx, row, now)


async def _passed(tx: AsyncConnection, row: CanaryRow, now: int) -> CanaryState:
    await canaries.forget_messages(tx, row.campaign)
    await canaries.put(tx, replace(row, state=CanaryState.PASSED, until=None))
    await events.note(tx, Event(now, Kind.CANARY_PASSED, row.campaign, data={"size": row.released}))
    after_commit(tx, partial(log.info, "canary_passed", campaign=row.campaign))
    return CanaryState.PASSED


async def _failed(tx: AsyncConnection, row: CanaryRow, why: str, now: int) -> CanaryState:
    await canaries.forget_messages(tx, row.campaign)
    await canaries.put(tx, replace(row, state=CanaryState.FAILED, until=now, why=why))
    await events.note(tx, Event(now, Kind.CANARY_FAILED, row.campaign, why, data={"size": row.released}))
    after_commit(tx, partial(log.warning, "canary_failed", campaign=row.campaign, why=why,
                             do="look, then `dispatcher resume`, or cancel it"))
    return CanaryState.FAILED


async def _go_on(tx: AsyncConnection, row: CanaryRow, seen: int, now: int) -> CanaryState:
    """Fewer than half of it tell anything: others take the place of those that came back; or they are still out."""
    left = await canaries.forget_unseen(tx, row.campaign)
    if left < row.released:
        row = replace(row, state=CanaryState.OUT, released=left, until=None, began_at=row.began_at if left else now)
    else:
        row = replace(row, until=now + AGAIN_AFTER)
    await canaries.put(tx, row)
    after_commit(tx, partial(log.warning, "canary_unanswered", campaign=row.campaign, answered=seen,
                             effect="others take the place of those that came back"))
    return row.state


def crossed(counts: Counts, lines: Lines) -> str:
    """The line that a canary's own outcomes cross, in words; "" for none. There is no minimum sample."""
    if surely_more(counts.rejected, counts.settled, lines.bounces.slow):
        return _words(counts.rejected, counts.settled, "messages were rejected", lines.bounces.slow)
    if surely_more(counts.deferred, counts.answered, lines.deferrals):
        return _words(counts.deferred, counts.answered, "attempts were deferred", lines.deferrals)
    return ""


def _words(bad: int, of: int, what: str, line: float) -> str:
    return f"{bad} of its {of} {what}, surely more than {percent(line)}"


async def _trouble(tx: AsyncConnection, row: CanaryRow, now: int) -> str:
    """Which of the lanes that the canary used was slowed or held since it began; "" for none."""
    used = {part.lane for part in await parts.since(tx, row.began_at - 1, [row.campaign])}
    happened: Sequence[Event] = await events.between(
        tx, row.began_at, now + 1, MOST_EVENTS, (Kind.LANE_SLOWED, Kind.LANE_HELD)
    )
    for one in happened:
        if one.subject in used:
            return f"lane {one.subject} was {'held' if one.kind is Kind.LANE_HELD else 'slowed'}"
    return ""
