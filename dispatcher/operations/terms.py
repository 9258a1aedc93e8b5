"""What another policy changes, in the terms of the plan: each lane's allowance, next batch and finish time."""

import asyncio
from dataclasses import dataclass, replace

from dispatcher.core.plan import LaneView, plan
from dispatcher.engine.outlook import Outlook, look
from dispatcher.engine.standing import read_standing
from dispatcher.engine.waits import read_ahead
from dispatcher.engine.works import Works
from dispatcher.operations.lanes import allowed_now, jumps
from dispatcher.operations.office import Result, said
from dispatcher.policy import Policy

FARTHEST = 5_000
"""Batches of a lane that its finish time is looked for among."""


@dataclass(frozen=True, slots=True)
class LaneTerms:
    """A lane in the terms of the plan."""

    allowance: int | None = None
    next_batch: int | None = None
    done_at: int | None = None


async def both(works: Works, policy: Policy) -> tuple[Outlook, Outlook]:
    """The lanes as they are planned now, and as they would be by another policy."""
    ahead = await read_ahead(works.database)
    now = works.clock.now()
    found = []
    for some in (works, replace(works, policy=policy)):
        async with works.database.transaction() as tx:
            standing = await read_standing(tx, some.policy, some.book, now)
            found.append(await look(tx, some, standing, now, ahead))
    return found[0], found[1]


async def differences(before: Outlook, after: Outlook) -> list[Result]:
    """What changes for each lane; lanes for which nothing does are left out."""
    def compare() -> list[Result]:
        old, new = ({view.lane: _terms(view, some) for view in some.lanes} for some in (before, after))
        told = []
        for lane in sorted(old | new):
            one, other = old.get(lane, LaneTerms()), new.get(lane, LaneTerms())
            if one != other:
                told.append({"lane": lane, "allowance": [one.allowance, other.allowance],
                             "next_batch": [one.next_batch, other.next_batch],
                             "done_at": [said(one.done_at), said(other.done_at)]})
        return told

    return await asyncio.to_thread(compare)


def _terms(view: LaneView, outlook: Outlook) -> LaneTerms:
    planned = plan([view], outlook.now, most=FARTHEST, bounds=outlook.bounds)
    first = planned.batches[0].size if planned.batches else 0
    return LaneTerms(allowed_now(view, outlook.now), first, planned.done_at)


def too_fast(after: Outlook) -> list[str]:
    """Lanes whose allowance jumps away from what they have sent: providers notice."""
    warnings = []
    for view in after.lanes:
        jump = jumps(view, after.now)
        if jump is not None:
            warnings.append(f"lane {view.lane}: the allowance of {jump[0]} is twice or more what it has sent in any of "
                            f"its last 7 steps (at most {jump[1]}); a sudden jump can cost the sender's reputation")
    return warnings
