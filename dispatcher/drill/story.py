"""The events of a drill in their order, and time between them.

Their times are those of an undisturbed clock: an event of day 3 comes two days after the start, also where somebody
has put the daemon's clock meanwhile.
"""

import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from config.units import DAY, MILLISECONDS
from dispatcher.core.times import local_date, local_to_instant
from dispatcher.drill import actions
from dispatcher.drill.house import to_toml
from dispatcher.drill.look import look_at_finals, look_at_plan, look_at_queue, look_at_truth
from dispatcher.drill.rehearsal import Rehearsal, Stop
from dispatcher.drill.tables import EventTable, SendTable
from dispatcher.intake.campaign_file import FILE_NAME, read_campaign
from dispatcher.operations.office import MOST_ROWS

PIECE: Final = 6 * MILLISECONDS["h"]
"""Time that passes between two looks of whoever watches."""
_BACK_AFTER: Final = 1_000     # a killed daemon is started anew by its supervisor

Deed = Callable[[], Awaitable[None]]
Watch = Callable[[Rehearsal], None]


@dataclass
class Story:
    """What is still to come."""

    rehearsal: Rehearsal
    watch: Watch
    coming: list[tuple[int, int, Deed]] = field(default_factory=list)
    _number: int = 0

    def at(self, passed: int, deed: Deed) -> None:
        """Something is to happen when so much time has passed; in order of being said, where it is the same time."""
        self._number += 1
        heapq.heappush(self.coming, (passed, self._number, deed))

    async def tell(self, end: int) -> None:
        """Let everything happen that is to, and time pass, until so much of it has."""
        while self.coming and self.coming[0][0] <= end:
            passed, _, deed = heapq.heappop(self.coming)
            await self.pass_time(passed)
            await deed()
            if self.rehearsal.stage.running:
                await self.rehearsal.stage.settle()
        await self.pass_time(end)

    async def pass_time(self, until: int) -> None:
        """Let time pass, piece by piece, for those who watch."""
        rehearsal = self.rehearsal
        while (left := until - rehearsal.passed) > 0:
            piece = min(left, PIECE)
            if rehearsal.stage.running:
                await rehearsal.stage.run_for(piece)
            else:
                rehearsal.stage.clock.set(rehearsal.now + piece)
            underway = len(rehearsal.stage.works.underway)
            rehearsal.diary.most_underway = max(rehearsal.diary.most_underway, underway)
            self.watch(rehearsal)


async def prepare(rehearsal: Rehearsal) -> None:
    """The store as it is before the drill: customers, campaigns, history."""
    await rehearsal.stage.open()
    await _import_people(rehearsal)
    await _import_history(rehearsal)
    for number, send in enumerate(rehearsal.drill.table.sends):
        await _apply(rehearsal, number, send)
        if rehearsal.stage.policy.settings.campaigns.approval:
            rehearsal.diary.stops.append(Stop("unapproved", rehearsal.drill.campaigns[number], 0))


async def play(rehearsal: Rehearsal, watch: Watch) -> None:
    """The drill from its start to its end."""
    drill, story = rehearsal.drill, Story(rehearsal, watch)
    length = drill.end - drill.start
    for number, send in enumerate(drill.table.sends):
        if send.at is not None:
            story.at(send.at.instant(drill.start, drill.table.timezone) - drill.start,
                     partial(actions.send_campaign, rehearsal, drill.campaigns[number]))
    for event in drill.table.events:
        story.at(event.at.instant(drill.start, drill.table.timezone) - drill.start, partial(_happen, story, event))
    for number, expected in enumerate(drill.table.expect.lanes):
        story.at(expected.at.instant(drill.start, drill.table.timezone) - drill.start,
                 partial(_look_at_lane, rehearsal, number, expected.lane))
    kept_from = drill.table.expect.plan_kept_from
    if kept_from is not None:
        story.at(kept_from.instant(drill.start, drill.table.timezone) - drill.start, partial(look_at_plan, rehearsal))
    _plan_facts(story, length)
    await rehearsal.stage.start()
    await story.tell(length)
    await look_at_queue(rehearsal)
    await look_at_finals(rehearsal)
    await look_at_truth(rehearsal)


async def _happen(story: Story, event: EventTable) -> None:
    rehearsal = story.rehearsal
    await actions.ACTIONS[event.kind](rehearsal, event)
    if event.kind in {"crash", "stop"}:
        await look_at_finals(rehearsal)
        story.at(rehearsal.passed + (event.for_ or _BACK_AFTER), partial(actions.start, rehearsal))
    if rehearsal.drill.table.exact:
        await look_at_finals(rehearsal)
        await look_at_truth(rehearsal)


async def _look_at_lane(rehearsal: Rehearsal, number: int, name: str) -> None:
    """Note how a lane stands that something is expected of."""
    status = await rehearsal.perform("status")
    for lane in status["lanes"]:
        if lane["lane"] == name:
            rehearsal.stood[number] = lane["state"], lane["allowance"]


def _plan_facts(story: Story, length: int) -> None:
    """Every night a part of the active customers is seen again, so that none of them turns inactive in a long drill.

    Where none could, all having been seen at its start, one is enough: facts come in, so that they are not stale.
    """
    rehearsal = story.rehearsal
    people, drill = rehearsal.people, rehearsal.drill
    parts = max(rehearsal.stage.policy.rules.active_within // DAY - 2, 1)   # nobody is seen twice before he must be
    moved = any(event.kind == "clock" for event in drill.table.events)
    again = moved or length > rehearsal.stage.policy.rules.active_within
    first = local_date(drill.start, drill.table.timezone).toordinal() + 1
    active = [number for number in range(people.table.count) if people.is_active(number)]
    for day in range(first, first + length // DAY + 2):
        at = local_to_instant(type(local_date(0, "UTC")).fromordinal(day), 30, drill.table.timezone)
        part = active[(day - first) % parts::parts] if again else active[:1]
        if at < drill.end:
            story.at(at - drill.start, partial(actions.facts, rehearsal, part or range(1)))


async def _import_people(rehearsal: Rehearsal) -> None:
    people, now = rehearsal.people, rehearsal.now
    long_ago = now - 2 * rehearsal.stage.policy.rules.active_within
    for start in range(0, people.table.count, MOST_ROWS):
        numbers = range(start, min(start + MOST_ROWS, people.table.count))
        rows = [{"line": number + 2, "values": people.row(number, now if people.is_active(number) else long_ago)}
                for number in numbers]
        await rehearsal.perform("customers.import", rows=rows)


async def _import_history(rehearsal: Rehearsal) -> None:
    for past in rehearsal.drill.table.history:
        zone = rehearsal.drill.table.timezone
        last = local_date(rehearsal.now, zone).toordinal() - 1
        first = last - len(past.sent) + 1
        day_of = type(local_date(0, "UTC")).fromordinal
        rows = [{"line": line, "values": {"date": day_of(first + line).isoformat(), "lane": past.lane, "sent": sent}}
                for line, sent in enumerate(past.sent)]
        await rehearsal.perform("lanes.import", rows=rows)


async def _apply(rehearsal: Rehearsal, number: int, send: SendTable) -> None:
    folder = send.folder
    if folder is None:
        folder = rehearsal.house.file.parent / "inline" / str(number)
        folder.mkdir(parents=True)
        (folder / FILE_NAME).write_text(to_toml(campaign_of(rehearsal.drill.senders, send)), encoding="utf-8")
    loaded = read_campaign(folder)
    await rehearsal.perform("campaign.apply", campaign=loaded.content, digest=loaded.digest, place=str(folder))


def campaign_of(senders: tuple[str, ...], send: SendTable) -> dict[str, Any]:
    """A campaign.toml, of a campaign in a few words."""
    given = send.model_dump(exclude={"folder", "at", "email", "senders", "useful_for"}, exclude_none=True,
                            exclude_defaults=True)
    whole = {"id": send.id, "category": send.category, "senders": send.senders or list(senders[:1]), **given}
    if send.useful_for is not None:
        whole["useful_for"] = f"{send.useful_for}ms"
    return whole | {"email": {"subject": send.email.subject, "text": send.email.text}}

