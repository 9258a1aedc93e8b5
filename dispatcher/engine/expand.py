"""A campaign on its way to its whole audience: in chunks, each durable, so that a crash only delays it.

Nothing of the campaign is released before all of it is on the queue: otherwise its first segments might be served
after others, only because their customers came later in the alphabet. Nor is anything of earlier updates of its
incident: otherwise somebody would get one of them seconds before the later one.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from dispatcher.engine.taking import give_back_earlier, stop_overtaken
from dispatcher.engine.works import Works
from dispatcher.intake.accept import NOTHING, Answer, accept_page
from dispatcher.store import campaigns, groups, reading
from dispatcher.store.campaigns import Expansion

PAGE: Final = 2_000
"""Customers of one chunk: a few hundredths of a second, in which nobody else has the store."""
_REMEMBERED: Final = 100    # expansions whose answers are kept in memory


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an expansion is."""

    expansion: Expansion
    finished: bool


async def begin(works: Works, campaign: str) -> Expansion:
    """Begin an expansion, or find the unfinished one of this campaign."""
    async with works.database.transaction() as tx:
        begun = await campaigns.start_expansion(tx, campaign, works.clock.now())
        stored = await campaigns.get(tx, campaign)
    if stored is not None:
        await give_back_earlier(works, stored.incident, stored.sequence)
    return begun


async def step(works: Works, one: Expansion) -> Progress:
    """Put the next page of customers on the queue; what it came to is committed with it.

    How far the expansion is, is read anew: two may take turns at one, as a daemon and the command that began it do.
    """
    now = works.clock.now()
    async with works.database.transaction() as tx:
        current = await reading.expansion(tx, one.id)
        if current is not None:
            one, finished = current
            if finished:
                return Progress(one, finished)
        page = await groups.page(tx, one.cursor, PAGE)
        known = await works.book.known(tx, {one.campaign})
        mine = known[one.campaign]
        canceled = mine.stored.canceled_at is not None
        came = NOTHING if canceled else await accept_page(tx, page, mine, works.policy, now)
        duplicate = sum(number for (answer, _), number in came.answers.items() if answer == Answer.DUPLICATE)
        one = replace(
            one, cursor=page.upto, duplicate=one.duplicate + duplicate,
            accepted=one.accepted + came.answers.total() - duplicate,
        )
        finished = canceled or page.size < PAGE
        await campaigns.expanded(tx, one, now if finished else None)
    _remember(works, one.id, came.answers)
    await stop_overtaken(works, {one.campaign: came.reached}, known)
    if finished:
        works.changed()
    return Progress(one, finished)


async def finish_all(works: Works) -> None:
    """Finish what an earlier run left unfinished."""
    async with works.database.transaction() as tx:
        unfinished = await campaigns.unfinished_expansions(tx)
    for one in unfinished:
        progress = Progress(one, finished=False)
        while not progress.finished and not works.closing:
            progress = await step(works, progress.expansion)


def came_to(works: Works, one: Expansion) -> Counter[tuple[str, str]] | None:
    """What its requests came to: (answer, reason of the skip or state of the earlier message) -> how many.

    None where an earlier run of this program took some of them: that is not written down.
    """
    found = works.came.get(one.id, Counter())
    return found if found.total() == one.accepted + one.duplicate else None


def _remember(works: Works, number: int, answers: Counter[tuple[str, str]]) -> None:
    """Of the last expansions alone, so that this does not grow."""
    works.came.setdefault(number, Counter()).update(answers)
    if len(works.came) > _REMEMBERED:
        del works.came[min(works.came)]
