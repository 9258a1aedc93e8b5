"""Looks at the store during a drill: what has ended stays as it is (P8), sums are true, the plan knows all (P7)."""

from typing import Final

from sqlalchemy import func, select

from dispatcher.core.states import FINAL
from dispatcher.drill.rehearsal import Rehearsal
from dispatcher.engine import outlook
from dispatcher.engine.standing import read_standing
from dispatcher.store.tables import messages
from dispatcher.store.truth import untrue


async def look_at_finals(rehearsal: Rehearsal) -> None:
    """What had ended when somebody last looked is still as it was."""
    diary = rehearsal.diary
    async with rehearsal.stage.database.transaction() as tx:
        now = {number: tuple(rest) for number, *rest in await tx.execute(_ENDED)}
    diary.unfinal += [f"message {number} was {before}, and is {now.get(number)}"
                      for number, before in diary.final.items() if now.get(number) != before]
    diary.final = now


async def look_at_truth(rehearsal: Rehearsal) -> None:
    """Tallies, steps and batches say the same."""
    async with rehearsal.stage.database.transaction() as tx:
        rehearsal.diary.untrue += await untrue(tx)


async def look_at_plan(rehearsal: Rehearsal) -> None:
    """Note what is planned now, to be held against what comes of it."""
    works, now = rehearsal.stage.works, rehearsal.now
    async with rehearsal.stage.database.transaction() as tx:
        standing = await read_standing(tx, works.policy, works.book, now)
        seen = await outlook.look(tx, works, standing, now)
    rehearsal.planned, rehearsal.planned_at = seen.plan().batches, now


async def look_at_queue(rehearsal: Rehearsal) -> None:
    """Every queued message has its place in the plan, or a reason why it has none."""
    planned = await rehearsal.perform("plan", most=1)
    known = sum(one["queued"] for one in planned["campaigns"])
    known += sum(one["count"] for one in planned["unplaced"] if one["why"].startswith("closed"))
    m = messages.c
    async with rehearsal.stage.database.transaction() as tx:
        queued = (await tx.execute(select(func.count()).where(m.state == "queued"))).scalar_one()
    rehearsal.unplanned = int(queued) - known


_m = messages.c
_ENDED: Final = select(_m.id, _m.state, _m.reason, _m.attempts, _m.finished_at).where(_m.state.in_(FINAL))
