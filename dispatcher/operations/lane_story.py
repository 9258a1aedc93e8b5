"""`lanes`: what the evidence about a lane has come to and why, its days, and the history that it brought along."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from config.providers import load_providers
from config.ramps import Ramp
from config.units import DAY
from dispatcher.core.calendar import step_at
from dispatcher.core.evidence import Rate, rates
from dispatcher.core.lanes import wrong_lane
from dispatcher.core.past import day_of
from dispatcher.core.ramp import allowance
from dispatcher.core.reputation import bound_at, is_held
from dispatcher.engine import evidence
from dispatcher.engine.outlook import lane_names
from dispatcher.engine.standing import read_standing
from dispatcher.engine.works import Works
from dispatcher.intake.history import parse_day
from dispatcher.operations.customers import parsed
from dispatcher.operations.lanes import LaneNow, lanes_now
from dispatcher.operations.office import Args, Given, NoArgs, Office, OperationError, Result, RowsArgs, said
from dispatcher.store import events, history, lane_days, lanes, life
from dispatcher.store.events import Event
from dispatcher.store.history import Day
from dispatcher.store.lane_days import StepRow

NEWEST: Final = 20          # events shown with a lane
MOST_STEPS: Final = 2_000   # of a history: steps may be seconds long
_EVERY: Final = 300_000     # slots of a lane whose sender is not configured


class LaneArgs(Args):
    """One lane."""

    lane: Given


class HistoryArgs(Args):
    """A lane's last days."""

    lane: Given
    days: int = Field(default=30, ge=1, le=3_650)


async def listed(office: Office, _: NoArgs) -> Result:
    """Every lane that has sent, has something queued, or has a history."""
    works, now = office.works, office.works.clock.now()
    async with works.database.transaction() as tx:
        standing = await read_standing(tx, works.policy, works.book, now)
        found = await lanes_now(tx, works, standing, now, sorted(await _known(tx)))
    return {"lanes": [
        {"lane": one.lane, "state": one.state, "share": _share(one), "allowance": one.allowance, "spent": one.spent,
         "queued": one.queued, "why": one.why}
        for one in found
    ]}


async def show(office: Office, args: LaneArgs) -> Result:
    """A lane's state, share and cause, its rates beside their lines, its allowance and why, its newest events."""
    works, lane, now = office.works, args.lane, office.works.clock.now()
    async with works.database.transaction() as tx:
        await _expect(tx, lane)
        standing = await read_standing(tx, works.policy, works.book, now)
        [one] = await lanes_now(tx, works, standing, now, [lane])
        known = await lanes.read(tx, lane)
        every = one.view.ramp.every if one.view is not None else _EVERY
        found = await evidence.read(tx, lane, known, every, now)
        newest = await events.latest(tx, lane, NEWEST)
    held = is_held(known, now)
    hold = standing.lane_hold(lane)
    bound = bound_at(known, now)
    return {
        "lane": lane, "state": one.state, "share": _share(one), "why": one.why,
        "since": said(known.since or None), "until": said(hold.until if hold is not None else None),
        "held_by": ("dispatcher" if held else hold.by or "a person") if hold is not None else None,
        "per_minute": bound, "per_minute_until": said(known.per_minute_until if bound is not None else None),
        "allowance": _allowance(one, now), "spent": one.spent, "queued": one.queued,
        "answers": {"accepted": found.week.accepted, "deferred": found.week.deferred, "rejected": found.week.rejected,
                    "complaints": found.week.complaints, "minimum": works.policy.lines.minimum},
        "rates": [_rate(rate) for rate in rates(found, works.policy.lines)],
        "events": [_event(event) for event in newest],
    }


async def days(office: Office, args: HistoryArgs) -> Result:
    """A lane's steps of the last days, and the days that were imported, in the order of time."""
    works, lane, now = office.works, args.lane, office.works.clock.now()
    ramp = works.policy.ramp_of(lane)
    since = step_at(ramp, now - args.days * DAY).end if ramp is not None else now - args.days * DAY
    async with works.database.transaction() as tx:
        await _expect(tx, lane)
        own = await lane_days.steps_since(tx, lane, since, MOST_STEPS)
        imported = await lane_days.imported_since(tx, lane, _day(since, ramp), MOST_STEPS)
    return {"lane": lane, "step": "day" if ramp is None or ramp.step >= DAY else "shorter",
            "steps": _merged(own, imported, ramp)}


async def import_days(office: Office, args: RowsArgs) -> Result:
    """Take in what lanes sent before; bad rows are named and left out, a day that is known is replaced.

    A lane that nothing stands in as yet is fine, and one that nothing could stand in has a word said about it.
    """
    works, now = office.works, office.works.clock.now()
    async with works.database.transaction() as tx:
        there = await lane_names(tx)

    def wrong(lane: str) -> str:
        return wrong_lane(lane, works.policy.settings.senders, load_providers().names) if lane not in there else ""

    good, faults = await parsed(args.rows, lambda values, at: parse_day(values, lambda lane: _today(works, lane, at)),
                                now)
    async with works.database.transaction() as tx:
        await history.put(tx, [day for _, day in good], now)
        await life.mark(tx, now)
    if good:
        office.wake()
    return {"days": len(good), "faults": faults, "warnings": _odd(good, wrong)}


async def _expect(tx: AsyncConnection, lane: str) -> None:
    """OperationError for a lane that nothing is known of."""
    if lane not in await _known(tx):
        raise OperationError("unknown", f"there is no lane {lane}: it has sent nothing, has nothing queued and no "
                                        "history; dispatcher lanes list shows those there are")


async def _known(tx: AsyncConnection) -> set[str]:
    """Every lane that anything is known of."""
    return {*await lane_names(tx), *await history.lanes(tx), *await lanes.read_all(tx)}


def _share(one: LaneNow) -> float:
    return round(one.view.reputation.share, 4) if one.view is not None else 1.0


def _allowance(one: LaneNow, now: int) -> Result | None:
    """This step's allowance and the rule that had the last word (core/ramp.py)."""
    if one.view is None:
        return None
    found = allowance(one.view.ramp, one.view.past, step_at(one.view.ramp, now).start)
    return {"value": found.value, "why": str(found.why)}


def _rate(rate: Rate) -> Result:
    return {"signal": str(rate.signal), "then": "hold" if rate.holds else "slow", "bad": rate.bad, "of": rate.of,
            "line": rate.line, "enough": rate.enough, "passed": rate.passes}


def _event(event: Event) -> Result:
    return {"at": said(event.at), "kind": str(event.kind), "cause": event.cause, "by": event.by}


def _merged(own: Sequence[StepRow], imported: Sequence[Day], ramp: Ramp | None) -> list[dict[str, Any]]:
    """Steps and imported days as rows; a day of both is one row where steps are days."""
    daily = ramp is None or ramp.step >= DAY
    brought = {one.day: one.sent for one in imported}
    rows = []
    for step in own:
        day = _day(step.start, ramp)
        rows.append({
            "day": day, "from": said(step.start), "allowance": step.allowance, "sent": step.spent - step.unsent,
            "imported": brought.pop(day, 0) if daily else 0, "accepted": step.accepted, "deferred": step.deferred,
            "rejected": step.rejected, "complaints": step.complaints, "state": step.state,
            "healthy": not step.unhealthy,
        })
    rows += [
        {"day": day, "from": None, "allowance": None, "sent": 0, "imported": sent, "accepted": 0, "deferred": 0,
         "rejected": 0, "complaints": 0, "state": "imported", "healthy": True}
        for day, sent in brought.items()
    ]
    return sorted(rows, key=lambda row: (str(row["day"]), str(row["from"] or "")))


def _day(instant: int, ramp: Ramp | None) -> str:
    """The day of an instant in the ramp's zone, or in UTC where there is none."""
    if ramp is not None:
        return day_of(instant, ramp)
    return datetime.fromtimestamp(instant // 1_000, UTC).date().isoformat()


def _today(works: Works, lane: str, now: int) -> str:
    return _day(now, works.policy.ramp_of(lane))


def _odd(good: Sequence[tuple[int, Day]], wrong: Callable[[str], str]) -> list[dict[str, Any]]:
    """A word about lanes that nothing here sends by: perhaps a slip; each is told once in a chunk."""
    told: set[str] = set()
    warnings = []
    for line, day in good:
        if day.lane not in told and (why := wrong(day.lane)):
            told.add(day.lane)
            warnings.append({"line": line, "text": f"{day.lane}: {why}; its history is kept for when it is"})
    return warnings
