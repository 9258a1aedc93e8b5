"""Holds: what stops sending within a second, until it is resumed."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from dispatcher.core.model import Category
from dispatcher.engine.underway import held_by
from dispatcher.operations.office import Args, Given, Office, OperationError, Result, Text, said
from dispatcher.policy import split_lane
from dispatcher.store import campaigns, controls
from dispatcher.store.controls import Hold

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


async def hold(office: Office, args: HoldArgs) -> Result:
    """Hold it; what is released and has not begun goes back into the queue."""
    works = office.works
    now = works.clock.now()
    until = None if args.for_ms is None else now + args.for_ms
    async with works.database.transaction() as tx:
        known = [one.id for one in await campaigns.every(tx)]
        kind, name = _meant(office, args.kind, args.name, known)
        await controls.hold(tx, Hold(kind, name, args.reason, args.by, now, until))
    stopped = await office.stop_items(held_by(kind, name))
    office.wake()
    return {"held": {"kind": kind, "name": name, "until": said(until)}, "stopped": stopped}


async def resume(office: Office, args: ResumeArgs) -> Result:
    """Let it go on with its next slot; what the held time would have sent is not made up for."""
    works = office.works
    async with works.database.transaction() as tx:
        holds = await controls.current_holds(tx, works.clock.now())
        ended = _to_end(args, holds)
        for one in ended:
            await controls.resume(tx, one.kind, one.name)
    if ended:
        office.wake()
    still = [one for one in holds if one not in ended]
    return {"resumed": bool(ended), "holds": [shown(one) for one in ended], "still_held": [shown(one) for one in still]}


def shown(one: Hold) -> Result:
    """A hold as results have it."""
    return {"kind": one.kind, "name": one.name, "reason": one.reason, "by": one.by, "at": said(one.at),
            "until": said(one.until)}


def _meant(office: Office, kind: HoldKind, name: str, known: Sequence[str]) -> tuple[str, str]:
    """The kind and name of a hold, or OperationError."""
    senders = office.works.policy.settings.senders
    if kind == "everything" or (kind == "auto" and not name):
        if name:
            raise OperationError("usage", "a hold of everything takes no name")
        return "everything", ""
    if kind == "lane" or (kind == "auto" and "/" in name):
        lane = split_lane(name)
        if lane.sender not in senders or not lane.provider:
            raise OperationError("unknown", f"{name} is no lane: write SENDER/PROVIDER; the senders are "
                                            f"{', '.join(senders)}")
        return "lane", name
    there = {"campaign": known, "sender": list(senders), "category": [str(category) for category in Category]}
    if kind == "auto":
        fitting = [word for word in ("campaign", "sender") if name in there[word]]
        if len(fitting) > 1:
            raise OperationError("usage", f"{name} is a campaign and a sender; say --campaign or --sender")
        kind = "campaign" if "campaign" in fitting else "sender" if fitting else "category"
    elif name in there[kind]:
        return kind, name
    if name in there[kind]:
        return kind, name
    raise OperationError("unknown", f"{name} is no lane, campaign, sender or category; the senders are "
                                    f"{', '.join(senders)}, the categories {', '.join(there['category'])}")


def _to_end(args: ResumeArgs, holds: Sequence[Hold]) -> list[Hold]:
    """The holds that a resume means; OperationError where that cannot be told."""
    if not args.name:
        if args.kind not in {"auto", "everything"}:
            raise OperationError("usage", f"say which {args.kind} is to go on")
        return list(holds)
    found = [one for one in holds if one.name == args.name and args.kind in {"auto", one.kind}]
    if len(found) > 1:
        kinds = " and ".join(one.kind for one in found)
        raise OperationError("usage", f"{args.name} is held as {kinds}; say which, by --{found[0].kind} "
                                      f"or --{found[1].kind}")
    return found
