"""A campaign to its whole audience, and what comes of a queue. Single requests: requests.py."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from config.units import format_duration
from dispatcher.core.plan import grown
from dispatcher.engine import expand
from dispatcher.intake.accept import Answer
from dispatcher.operations.campaigns import sendable
from dispatcher.operations.office import Args, Given, Office, OperationError, Result
from dispatcher.operations.outlook import PlanArgs, planned
from dispatcher.store import campaigns, plans, reading, tallies

_COMING = ("done_at", "assumed", "late", "late_campaigns", "left", "blocked", "unplaced")


class AudienceArgs(Args):
    """A campaign that is to go to its whole audience."""

    campaign: Given


class ComingArgs(AudienceArgs):
    """A campaign that was sent; of others, how many would have heard too late without it."""

    late_before: dict[str, int] | None = None


class StepArgs(Args):
    """An expansion that send.audience began."""

    expansion: int


async def audience(office: Office, args: AudienceArgs) -> Result:
    """Begin, or go on, to put a campaign's whole audience on the queue. A daemon then finishes it by itself.

    Without the command, too, and if it ends in the middle any other daemon on the store does.
    """
    await sendable(office, args.campaign)
    begun = await expand.begin(office.works, args.campaign)
    if office.engine is not None:
        office.engine.finish_audiences()
    return {"expansion": begun.id}


async def step(office: Office, args: StepArgs) -> Result:
    """Put the next chunk on the queue; how far the whole is. To be asked for again until it has finished."""
    works = office.works
    async with works.database.transaction() as tx:
        found = await reading.expansion(tx, args.expansion)
    if found is None:
        raise OperationError("unknown", f"there is no expansion {args.expansion}")
    one, finished = found
    if not finished:
        progress = await expand.step(works, one)
        one, finished = progress.expansion, progress.finished
    result: dict[str, Any] = {"accepted": one.accepted, "duplicate": one.duplicate, "finished": finished}
    if finished:
        async with works.database.transaction() as tx:
            result |= _standing_of(await tallies.totals(tx, one.campaign))
        result |= _new_and_before(expand.came_to(works, one))
    return result


async def lateness(office: Office, args: AudienceArgs) -> Result:
    """Of which other campaigns how many would hear too late, asked before one is sent.

    None where no other campaign with `useful_for` has anything queued: then nobody can, and no plan is made.
    """
    works = office.works
    async with works.database.transaction() as tx:
        names = [one.campaign for one in await plans.queued_campaigns(tx) if one.campaign != args.campaign]
        briefs = [await works.book.brief(tx, name, version)
                  for name, version in (await campaigns.versions(tx, names)).items()]
        known = await campaigns.get(tx, args.campaign)
    if known is None or all(one.useful_for is None for one in briefs):
        return {"late_others": None}
    return {"late_others": (await planned(office, PlanArgs(campaign=args.campaign, most=1)))["late_others"]}


async def coming(office: Office, args: ComingArgs) -> Result:
    """What is to come of a campaign's queue, by one plan: when it ends, and how many would hear too late.

    With what `lateness` said before it was sent: of which other campaigns how many more would hear too late by it.
    """
    works = office.works
    plan = await planned(office, PlanArgs(campaign=args.campaign, most=1))
    async with works.database.transaction() as tx:
        stored = await campaigns.get(tx, args.campaign)
        useful_for = None
        if stored is not None:
            useful_for = (await works.book.version(tx, args.campaign, stored.version)).useful_for
        queued = _standing_of(await tallies.totals(tx, args.campaign))["queued"]
    told = {name: plan[name] for name in _COMING}
    told["pushed_late"] = {} if args.late_before is None else grown(args.late_before, plan["late_others"])
    return told | {"queued": queued, "useful_for": None if useful_for is None else format_duration(useful_for)}


def _new_and_before(came: Counter[tuple[str, str]] | None) -> Result:
    """What an audience's requests came to, apart from what stood before; None where that is not known any more."""
    if came is None:
        return {"skipped_now": None, "before": None}
    before: Counter[str] = Counter()
    for (answer, state), count in came.items():
        if answer in {Answer.DUPLICATE, Answer.CONFLICT}:
            before[state] += count
    return {"skipped_now": {reason: count for (answer, reason), count in came.items() if answer == Answer.SKIPPED},
            "before": dict(before)}


def _standing_of(totals: Sequence[tuple[str, str, str, int]]) -> Result:
    queued = sum(count for _, state, _, count in totals if state in {"queued", tallies.WAITING})
    skipped: Counter[str] = Counter()
    for _, state, reason, count in totals:
        if state == "skipped":
            skipped[reason] += count
    return {"queued": queued, "skipped": dict(skipped)}
