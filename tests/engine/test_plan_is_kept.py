"""The plan is a promise: in a world that nobody disturbs, what the engine releases is the plan, batch for batch.

Random ramps, lanes, campaigns, priorities, lifetimes, bounds by answers and canaries. And in a world that is disturbed
in every way (servers that cannot be reached or defer, reloads, holds, crashes, clocks that jump), no step goes above
its allowance, no slot is released twice, and no allowance grows by the guard.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import select
from support.kept import promised, released
from support.post import Act, accepted, busy, deferred, rejected, unreachable
from support.world import CAMPAIGN, DAY, HOUR, MINUTE, MONDAY, World, changed, person, world

from dispatcher.core.times import format_instant
from dispatcher.store.tables import batches, steps

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]


@dataclass(frozen=True)
class Block:
    """Some customers get a campaign, in one go."""

    campaign: str
    first: int
    count: int
    priority: str


@dataclass(frozen=True)
class Plot:
    """All that a world is made of."""

    settings: str
    campaigns: dict[str, str]
    blocks: Sequence[Block]


@st.composite
def ramp_tables(draw: st.DrawFn) -> str:
    """A ramp, as ops would write it."""
    short = 'step = "4h"\nevery = "20m"\nhours = "00:00-24:00"'
    times = draw(st.sampled_from([
        'every = "15m"\nhours = "08:00-12:00"', 'every = "1h"\nhours = "00:00-24:00"',
        'every = "30m"\nhours = "09:00-17:00"\nweekdays = "tue,thu,fri"', short,
    ]))
    return (f'[ramps.careful]\ntimezone = "{draw(st.sampled_from(["UTC", "Europe/Berlin"]))}"\n{times}\n'
            f'start = {draw(st.integers(2, 40))}\ngrowth = {draw(st.sampled_from(["1.0", "1.2", "1.9"]))}\n'
            f'ceiling = {draw(st.integers(40, 90))}\nlargest_batch = {draw(st.integers(1, 12))}\n')


def replies(draw: st.DrawFn, form: str) -> str:
    """What people can answer: messages an hour, or nothing."""
    most = draw(st.one_of(st.none(), st.integers(1, 25)))
    return "" if most is None else form.format(f"agents = 1{{0}}per_hour = {most}.0{{0}}expected = 1.0")


@st.composite
def plots(draw: st.DrawFn) -> Plot:
    """Two senders with one reply address, two campaigns of two segments, some blocks of messages."""
    table = replies(draw, '[replies."support@acme.example"]\n{}\n').format("\n")
    text = draw(ramp_tables()) + (
        '[senders.support]\nfrom = "Acme <support@acme.example>"\nramp = "careful"\n'
        '[senders.news]\nfrom = "Acme <news@acme.example>"\nreply_to = "support@acme.example"\nramp = "careful"\n'
    ) + table
    campaigns = {}
    for name, sender in (("delay", "support"), ("news", draw(st.sampled_from(["news", "support"])))):
        keys = replies(draw, "replies = {{{{ {} }}}}\n").format(", ") if draw(st.booleans()) else ""
        keys = keys.replace("{{", "{").replace("}}", "}")
        if draw(st.booleans()):
            keys += f'canary = {{ size = {draw(st.integers(1, 12))}, wait = "{draw(st.integers(5, 300))}m" }}\n'
        if draw(st.booleans()):
            keys += f'useful_for = "{draw(st.integers(5, 60))}h"\n'
        campaigns[name] = changed(CAMPAIGN, ('"delay"', f'"{name}"'), ('["support"]', f'["{sender}"]'),
                                  ("[email]", f"{keys}[email]"))
    places = draw(st.lists(st.tuples(st.sampled_from(["delay", "news"]), st.sampled_from(["high", "normal"])),
                           min_size=1, max_size=3, unique=True))
    return Plot(text, campaigns, [
        Block(campaign, draw(st.integers(0, 20)), draw(st.integers(1, 40)), priority) for campaign, priority in places
    ])


async def furnish(one: World, plot: Plot) -> None:
    """Customers of two providers and two places, campaigns, and the messages."""
    for text in plot.campaigns.values():
        await one.apply(text)
    await one.customers(
        person(number, one.now) | {"email": f"c{number}@{'gmail.com' if number % 3 else 'mail.example'}",
                                   "location": "DE/Berlin" if number % 2 else "DE/Hamburg"} for number in range(60)
    )
    for block in plot.blocks:
        await one.send(*({"campaign": block.campaign, "customer": f"c{number}", "priority": block.priority,
                          "key": f"{block.priority}{number}"}
                         for number in range(block.first, block.first + block.count)))


@settings(max_examples=8, deadline=None, suppress_health_check=CHECKS)
@given(plots())
def test_in_an_undisturbed_world_the_engine_does_what_the_plan_says(plot: Plot) -> None:
    async def story(folder: Path) -> None:
        async with world(folder, plot.settings, campaign=plot.campaigns["delay"]) as one:
            await furnish(one, plot)
            end = one.now + 3 * DAY
            plan = await one.plan(end)
            await one.run_until(end - 1)
            found = await released(one)
            note(f"planned {promised(plan)}")
            note(f"released {found}")
            assert found == promised(plan)

    note(plot.settings)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))


@dataclass(frozen=True)
class Trouble:
    """Something that happens after some minutes."""

    minutes: int
    what: str
    number: int


WHATS = ("unreachable", "deferring", "refusing", "busy", "well", "reload", "hold", "resume", "crash", "restart",
         "forward", "back", "more")


async def befall(one: World, trouble: Trouble, ramps: Sequence[str], plot: Plot) -> None:
    """Let it happen."""
    outcomes: dict[str, Act] = {"unreachable": unreachable(), "deferring": deferred(), "refusing": rejected(),
                                "busy": busy(), "well": accepted()}
    act = outcomes.get(trouble.what)
    if act is not None:
        one.post.script = lambda _recipient, _attempt: act
    elif trouble.what == "reload":
        _, _, senders = plot.settings.partition("[senders.support]")
        await one.reload(f"{ramps[trouble.number % len(ramps)]}[senders.support]{senders}")
    elif trouble.what == "hold":
        await one.hold("lane", "support/gmail", until=one.now + trouble.number * MINUTE)
    elif trouble.what == "resume":
        await one.resume("lane", "support/gmail")
    elif trouble.what == "crash":
        await one.crash()
        await one.restart()
    elif trouble.what == "restart":
        await one.drain()
        await one.restart()
    elif trouble.what in {"forward", "back"}:
        one.clock.jump(one.now + (trouble.number * MINUTE if trouble.what == "forward" else -trouble.number * MINUTE))
        await one.settle()
    else:
        await one.send(*({"campaign": "news", "customer": f"c{number}", "key": f"{one.now}-{number}"}
                         for number in range(trouble.number % 60)))


async def assert_kept(one: World) -> None:
    """No step above its allowance, by the ledger and by what the world outside saw; no growth by the guard."""
    async with one.database.transaction() as tx:
        made = list(await tx.execute(select(batches).order_by(batches.c.lane, batches.c.slot)))
        stepped = list(await tx.execute(select(steps).order_by(steps.c.lane, steps.c.step)))
    for before, after in pairwise(made):
        assert before.lane != after.lane or before.slot_ends <= after.slot
    spent: Counter[tuple[str, int]] = Counter()
    for batch in made:
        spent[batch.lane, batch.step] += batch.size
        assert spent[batch.lane, batch.step] <= batch.allowance or batch.size == 0
        assert batch.size <= 12
    seen = Counter((f"{one_.sender.partition('@')[0]}/{one_.provider}") for one_ in one.post.handed)
    for lane, count in seen.items():
        assert count <= sum(number for (name, _), number in spent.items() if name == lane)
    sent: dict[str, list[int]] = {}
    for step in stepped:
        before_it = [number for number in sent.setdefault(step.lane, []) if number > 0][-7:]
        if before_it:
            assert step.spent < max(2 * max(before_it), 41)      # the guard; a ramp's start is 40 at most
        sent[step.lane].append(step.spent - step.unsent)


@settings(max_examples=8, deadline=None, suppress_health_check=CHECKS)
@given(plots(), st.lists(ramp_tables(), min_size=1, max_size=2), st.lists(
    st.builds(Trouble, st.integers(1, 700), st.sampled_from(WHATS), st.integers(1, 400)), max_size=8,
))
def test_in_a_disturbed_world_no_step_is_exceeded_and_no_slot_comes_twice(
    plot: Plot, ramps: Sequence[str], troubles: Sequence[Trouble],
) -> None:
    async def story(folder: Path) -> None:
        async with world(folder, plot.settings, campaign=plot.campaigns["delay"]) as one:
            await furnish(one, plot)
            for trouble in troubles:
                await one.run_for(trouble.minutes * MINUTE)
                note(f"{format_instant(one.now)} {trouble}")
                await befall(one, trouble, ramps, plot)
            await one.run_for(DAY + HOUR)
            assert one.now > MONDAY
            await assert_kept(one)

    note(plot.settings)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))
