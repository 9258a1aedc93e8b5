"""Holds: what stops sending within a second, until it is resumed.

A clock that cannot be true holds everything too; resuming everything is a person's word that it is right after all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from config.faults import nearest
from config.providers import load_providers
from dispatcher.core import clocks
from dispatcher.core.lanes import wrong_lane
from dispatcher.core.model import Category
from dispatcher.engine import evidence
from dispatcher.engine.outlook import lane_names
from dispatcher.engine.underway import Item, held_by
from dispatcher.operations.office import Args, Given, Office, OperationError, Result, Text, said
from dispatcher.store import campaigns, canaries, controls, events, lanes, ledger, life
from dispatcher.store.campaigns import StoredCampaign
from dispatcher.store.controls import Hold
from dispatcher.store.events import Event, Kind

HoldKind = Literal["auto", "everything", "sender", "lane", "campaign", "category"]
_LONGEST = 10 * 365 * 86_400_000


class HoldArgs(Args):
    """What is to be held. `auto` finds out what a name means."""

    kind: HoldKind = "auto"
    name: Text = ""
    reason: Given
    by: Text = ""
    for_ms: int | None = Field(default=None, ge=1, le=_LONGEST)


class ResumeArgs(Args):
    """What is to go on; no name: everything."""

    kind: HoldKind = "auto"
    name: Text = ""
    by: Text = ""


async def hold(office: Office, args: HoldArgs) -> Result:
    """Hold it; what is released and has not begun goes back into the queue."""
    works = office.works
    now = works.clock.now()
    until = None if args.for_ms is None else now + args.for_ms
    async with works.database.transaction() as tx:
        stored = await campaigns.every(tx)
        there = _There(list(office.works.policy.settings.senders), [one.id for one in stored], await lane_names(tx))
        kind, name = _meant(args.kind, args.name, there)
        await controls.hold(tx, Hold(kind, name, args.reason, args.by, now, until))
        await events.note(tx, Event(now, Kind.HELD, name, args.reason, args.by, {"kind": kind, "until": until}))
        elsewhere = await office.elsewhere(tx)
    stopped = await office.stop_items(_covers(kind, name, stored))
    office.wake()
    return {"held": {"kind": kind, "name": name, "until": said(until)}, "stopped": stopped, "elsewhere": elsewhere}


async def resume(office: Office, args: ResumeArgs) -> Result:
    """Let it go on with its next slot; what the held time would have sent is not made up for."""
    works = office.works
    now = works.clock.now()
    async with works.database.transaction() as tx:
        own = await lanes.held(tx, now)     # those that the dispatcher has set by the evidence
        tested = await canaries.held(tx)
        holds = [*await controls.current_holds(tx, now), *own, *tested]
        ended = _to_end(args, holds, tested)
        for one in ended:
            if one in own:
                await evidence.resume(tx, one.name, now, args.by)
            elif one in tested:
                await canaries.resume(tx, one.name)
                await events.note(tx, Event(now, Kind.CANARY_PASSED, one.name, one.reason, args.by))
            else:
                await controls.resume(tx, one.kind, one.name)
        known = {one.name: await lanes.read(tx, one.name) for one in ended if one in own}
        trusted = await _trust_the_clock(tx, now) if not args.name else None
        ahead = await _ahead(tx, office, now) if not args.name else []
        await events.note(tx, *(Event(now, Kind.RESUMED, one.name, one.reason, args.by, {"kind": one.kind})
                                for one in (*ended, *([trusted] if trusted is not None else ()))))
    works.reputation.update(known)
    if trusted is not None:
        ended = [trusted, *ended]
        if office.engine is not None:
            await office.engine.timekeeper.look()
    if ended:
        office.wake()
    still = [one for one in holds if one not in ended]
    return {"resumed": bool(ended), "holds": [shown(one) for one in ended], "still_held": [shown(one) for one in still],
            "ahead": ahead,
            "clock": {"now": said(now), "seen_at": said(trusted.until)} if trusted is not None else None}


def shown(one: Hold) -> Result:
    """A hold as results have it."""
    return {"kind": one.kind, "name": one.name, "reason": one.reason, "by": one.by, "at": said(one.at),
            "until": said(one.until)}


def _covers(kind: str, name: str, stored: Sequence[StoredCampaign]) -> Callable[[Item], bool]:
    """What of the released a hold covers; a category goes by what the campaigns are now, as at the release."""
    if kind != "category":
        return held_by(kind, name)
    named = frozenset(one.id for one in stored if one.category == name)
    return lambda item: item.ready.campaign.id in named


async def _trust_the_clock(tx: AsyncConnection, now: int) -> Hold | None:
    """Take the present clock as right, where it says less than the store has seen; the hold that this was."""
    seen_at = await life.seen_at(tx)
    why = clocks.behind(seen_at, now)
    if not why:
        return None
    await life.trust(tx, now)
    return Hold("clock", "", why, "dispatcher", now, seen_at)


async def _ahead(tx: AsyncConnection, office: Office, now: int) -> list[Result]:
    """Lanes that go on later than others: their slots were released by a clock that ran ahead."""
    found = []
    for lane in await lane_names(tx):
        ramp = office.works.policy.ramp_of(lane)
        until = await ledger.last_slot_end(tx, lane)
        if ramp is not None and clocks.ran_ahead(until, ramp.every, now):
            found.append({"lane": lane, "until": said(until)})
    return found


@dataclass(frozen=True, slots=True)
class _There:
    """What a hold may be of."""

    senders: Sequence[str]
    campaigns: Sequence[str]
    lanes: Sequence[str]        # that have sent or have something queued, also by a sender that is not configured now

    def names(self, kind: str) -> Sequence[str]:
        """Those of one kind, but lanes."""
        return {"sender": self.senders, "campaign": self.campaigns}.get(kind) or [str(one) for one in Category]


def _meant(kind: HoldKind, name: str, there: _There) -> tuple[str, str]:
    """The kind and name of a hold, or OperationError: a hold of what nothing knows would stop nothing."""
    if kind == "everything" or (kind == "auto" and not name):
        if name:
            raise OperationError("usage", "a hold of everything takes no name")
        return "everything", ""
    if kind == "lane" or (kind == "auto" and "/" in name):
        wrong = wrong_lane(name, there.senders, load_providers().names) if name not in there.lanes else ""
        if wrong:
            raise OperationError("unknown", f"nothing is held: {name} is no lane: {wrong.removeprefix('is no lane; ')}")
        return "lane", name
    kinds = ("campaign", "sender", "category") if kind == "auto" else (kind,)
    fitting = [word for word in kinds if name in there.names(word)]
    if fitting[:2] == ["campaign", "sender"]:
        raise OperationError("usage", f"{name} is a campaign and a sender; say --campaign or --sender")
    if fitting:
        return fitting[0], name
    raise OperationError("unknown", _unknown(name, kind, kinds, there))


def _unknown(name: str, kind: HoldKind, kinds: Sequence[str], there: _There) -> str:
    """What to say of a name that is nothing's, with the nearest that is something's."""
    what = "lane, campaign, sender or category" if kind == "auto" else kind
    near = [*(there.lanes if kind == "auto" else ()), *(one for word in kinds for one in there.names(word))]
    listed = {"sender": f"the senders are {', '.join(there.senders)}",
              "category": f"the categories are {', '.join(there.names('category'))}",
              "campaign": "dispatcher campaign list shows the campaigns"}
    return (f"nothing is held: {name} is no {what}{nearest(name, near)}; "
            f"{', '.join(listed[word] for word in reversed(kinds))}")


def _to_end(args: ResumeArgs, holds: Sequence[Hold], tested: Mapping[Hold, str]) -> list[Hold]:
    """The holds that a resume means; OperationError where that cannot be told.

    `tested`: those by canaries that failed -> the category that lets them go on, too.
    """
    if not args.name:
        if args.kind not in {"auto", "everything"}:
            raise OperationError("usage", f"say which {args.kind} is to go on")
        return list(holds)
    found = [one for one in holds if one.name == args.name and args.kind in {"auto", one.kind}]
    kinds = list(dict.fromkeys(one.kind for one in found))
    if len(kinds) > 1:
        raise OperationError("usage", f"{args.name} is held as {' and '.join(kinds)}; say which, by --{kinds[0]} "
                                      f"or --{kinds[1]}")
    if args.kind in {"auto", "category"} and kinds in ([], ["category"]):
        found += [one for one, category in tested.items() if category == args.name]
    return found
