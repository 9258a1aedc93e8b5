"""What each kind of event does. Operators' and producers' deeds go through the operations, as the command line's do."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import func, select, update

from config.faults import ConfigFaults
from config.units import MILLISECONDS, format_duration
from dispatcher.drill.rehearsal import Rehearsal, Stop, drilled
from dispatcher.drill.servers import Weather
from dispatcher.drill.tables import EventTable
from dispatcher.operations.office import MOST_ROWS
from dispatcher.store.tables import steps

Action = Callable[[Rehearsal, EventTable], Awaitable[None]]
T = TypeVar("T")


async def weather(rehearsal: Rehearsal, event: EventTable) -> None:
    """The servers do something for a time."""
    lasts = event.for_ or 0
    until = rehearsal.stage.clock.monotonic() + lasts / 1000
    rehearsal.servers.weather.append(Weather(
        event.kind, until, event.share if event.share is not None else 1.0, event.provider, event.sender,
        event.reply or "", event.takes or 0,
    ))
    share = "" if event.share is None else f" of {event.share:.0%}"
    where = "/".join(filter(None, (event.sender, event.provider))) or "every provider"
    takes = f", {format_duration(event.takes)} each" if event.takes else ""
    rehearsal.note(f"{event.kind.replace('_', ' ')}{share} at {where} for {format_duration(lasts)}{takes}",
                   event.reply or "")


async def crash(rehearsal: Rehearsal, event: EventTable) -> None:
    """As by kill -9, so many turns of the loop after the next thing begins."""
    stage = rehearsal.stage
    if not stage.running:
        return
    if event.during is not None:
        before = len(rehearsal.servers.seen)
        await stage.run_into(event.turns or 0, lambda: len(rehearsal.servers.seen) > before)
    elif event.turns:
        await stage.run_into(event.turns)
    await stage.crash()
    rehearsal.diary.crashes += 1
    rehearsal.note("the daemon is killed", f"and comes back after {format_duration(event.for_)}" if event.for_ else "")
    await stage.open()


async def stop(rehearsal: Rehearsal, _: EventTable) -> None:
    """In good order, as by SIGTERM."""
    stage = rehearsal.stage
    if not stage.running:
        return
    await stage.drain()
    rehearsal.note("the daemon is stopped")
    await stage.open()


async def start(rehearsal: Rehearsal) -> None:
    """The daemon comes back, with the configuration that its file has now."""
    if rehearsal.stage.running:
        return
    policy = drilled(rehearsal.house.settings())
    rehearsal.use(policy)
    rehearsal.stage.works.policy = policy
    await rehearsal.stage.start()
    rehearsal.note("the daemon starts")


async def reload(rehearsal: Rehearsal, event: EventTable) -> None:
    """The file is changed, and read anew; a stopped daemon reads it when it starts."""
    before = rehearsal.stage.works.policy
    rehearsal.house.change(event.set or {})
    if not rehearsal.stage.running:
        try:
            rehearsal.house.settings()
        except ConfigFaults as error:
            rehearsal.house.undo()      # it would not start, so that whoever wrote it notices
            rehearsal.note("the configuration is changed, and changed back", str(error.faults[0].problem))
        else:
            rehearsal.note("the configuration is changed")
        return
    result = await rehearsal.tried("reload")
    if result is None:
        if rehearsal.stage.works.policy is not before:
            rehearsal.diary.untrue.append("a reload that was refused changed the settings in force (P9)")
        rehearsal.house.undo()      # as whoever wrote it does, once told
        return
    rehearsal.use(rehearsal.stage.works.policy)
    rehearsal.note("the configuration is reloaded", "; ".join(result["changes"]) or "nothing changed")


async def clock(rehearsal: Rehearsal, event: EventTable) -> None:
    """Somebody puts the wall clock."""
    by = event.jump or 0
    rehearsal.note(f"the clock is put {'forward' if by > 0 else 'back'} by {format_duration(abs(by))}")
    await rehearsal.stage.jump(by)


async def hold(rehearsal: Rehearsal, event: EventTable) -> None:
    """An operator holds something."""
    kind, name = kind_of(rehearsal, event.name or "")
    result = await rehearsal.tried("hold", **_named(kind, name), reason=event.reason or "a drill", by="drill",
                                   **({"for_ms": event.for_} if event.for_ else {}))
    if result is None:
        return
    begun = len(rehearsal.servers.seen)
    _let_go(rehearsal, lambda one: (one.what, one.name) == (kind, name))     # the later hold takes its place
    ends_at = None if event.for_ is None else rehearsal.now + event.for_
    rehearsal.diary.stops.append(Stop(kind, name, begun, ends_at=ends_at))
    rehearsal.note(f"{name or 'everything'} is held", event.reason or "")


async def resume(rehearsal: Rehearsal, event: EventTable) -> None:
    """An operator lets it go on; without a name all holds end."""
    name = event.name or ""
    _let_go(rehearsal, lambda one: one.name == name or not name)
    result = await rehearsal.tried("resume", **({} if not name else _named(*kind_of(rehearsal, name))))
    if result is not None:
        rehearsal.note(f"{name or 'everything'} is resumed")


async def suppress(rehearsal: Rehearsal, event: EventTable) -> None:
    """Addresses are suppressed."""
    numbers = list(rehearsal.people.of_provider(event.provider))
    chosen = [rehearsal.people.address(number) for number in some(numbers, event)]
    if await _suppressed(rehearsal, chosen, "manual"):
        rehearsal.note(f"{len(chosen)} addresses are suppressed")


async def complaints(rehearsal: Rehearsal, event: EventTable) -> None:
    """Some of those who were sent to within a day complain: counted for their lanes, and not written to again."""
    day_ago = rehearsal.stage.clock.monotonic() - MILLISECONDS["d"] / 1000
    reached = {one.recipient: one.lane for one in rehearsal.servers.seen if one.took and one.passed >= day_ago
               and event.provider in {None, one.lane.partition("/")[2]}}
    chosen = some(list(reached), event)
    async with rehearsal.stage.database.transaction() as tx:
        for lane, number in Counter(reached[address] for address in chosen).items():
            last = select(func.max(steps.c.step)).where(steps.c.lane == lane, steps.c.spent > 0).scalar_subquery()
            await tx.execute(update(steps).where(steps.c.lane == lane, steps.c.step == last)
                             .values(complaints=steps.c.complaints + number))
    if await _suppressed(rehearsal, chosen, "complaint"):
        rehearsal.note(f"{len(chosen)} complaints come in")


async def _suppressed(rehearsal: Rehearsal, addresses: Sequence[str], reason: str) -> bool:
    for start in range(0, len(addresses), MOST_ROWS):
        chunk = list(addresses[start:start + MOST_ROWS])
        if await rehearsal.tried("suppress.add", addresses=chunk, reason=reason, note="a drill") is None:
            return False
    begun = len(rehearsal.servers.seen)
    rehearsal.diary.stops += [Stop("address", address, begun) for address in addresses]
    return True


async def cancel(rehearsal: Rehearsal, event: EventTable) -> None:
    """A campaign is ended for good."""
    result = await rehearsal.tried("campaign.cancel", id=event.campaign, reason=event.reason or "a drill")
    if result is not None:
        name = event.campaign or ""
        rehearsal.diary.stops.append(Stop("canceled", name, len(rehearsal.servers.seen)))
        rehearsal.note(f"{name} is canceled", event.reason or "")


async def approve(rehearsal: Rehearsal, event: EventTable) -> None:
    """Somebody approves a campaign."""
    begun = len(rehearsal.servers.seen)
    if await rehearsal.tried("campaign.approve", id=event.campaign, by=event.by) is not None:
        for one in rehearsal.diary.stops:
            if (one.what, one.name) == ("unapproved", event.campaign):
                one.until = min(one.until or begun, begun)
        rehearsal.note(f"{event.campaign} is approved")


async def send(rehearsal: Rehearsal, event: EventTable) -> None:
    """A campaign is sent to its whole audience."""
    await send_campaign(rehearsal, event.campaign or "")


async def send_campaign(rehearsal: Rehearsal, name: str) -> None:
    """Put a campaign's audience on the queue, as `dispatcher send` does."""
    result = await rehearsal.tried("send.audience", campaign=name)
    if result is None:
        return
    progress: dict[str, Any] = {"finished": False}
    while not progress["finished"]:
        progress = await rehearsal.perform("send.step", expansion=result["expansion"])
    rehearsal.diary.accepted += progress["accepted"]
    skipped = sum(progress.get("skipped", {}).values())
    rehearsal.note(f"{name} is sent: {progress['accepted']} messages, {skipped} of them left out at once")


async def facts(rehearsal: Rehearsal, numbers: Iterable[int]) -> None:
    """What customers did comes in, as it does every day: without it the daemon would hold, and they turn inactive."""
    people, now = rehearsal.people, rehearsal.now
    rows = (people.activity(number, now) for number in numbers)
    while chunk := list(islice(rows, MOST_ROWS)):
        await rehearsal.tried("activity.import",
                              rows=[{"line": line, "values": row} for line, row in enumerate(chunk, 1)])


def kind_of(rehearsal: Rehearsal, name: str) -> tuple[str, str]:
    """What a name means to a hold."""
    if not name:
        return "everything", ""
    if "/" in name:
        return "lane", name
    if name in rehearsal.drill.campaigns.values():
        return "campaign", name
    return ("sender", name) if name in rehearsal.drill.senders else ("category", name)


def _let_go(rehearsal: Rehearsal, which: Callable[[Stop], bool]) -> None:
    """Note that holds end here."""
    for one in rehearsal.diary.stops:
        if one.until is None and one.what not in {"address", "canceled", "unapproved"} and which(one):
            one.until = len(rehearsal.servers.seen)


def _named(kind: str, name: str) -> dict[str, str]:
    return {"kind": kind} | ({"name": name} if name else {})


def some(of: Sequence[T], event: EventTable) -> list[T]:
    """A part of a list, evenly from all of it: so many, or such a share."""
    count = event.count if event.count is not None else round(len(of) * (event.share or 0))
    stride = max(len(of) // max(count, 1), 1)
    return list(of[::stride][:count])


ACTIONS: Final[dict[str, Action]] = {
    **dict.fromkeys(("deferrals", "bounces", "unreachable", "slow", "doubt"), weather),
    "crash": crash, "stop": stop, "reload": reload, "clock": clock, "hold": hold, "resume": resume,
    "suppress": suppress, "complaints": complaints, "cancel": cancel, "approve": approve, "send": send,
}
