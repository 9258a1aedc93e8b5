"""A plan is a promise: it agrees with a daemon that goes slot by slot, and with itself when asked again on the way."""

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.timetables import at, days, ramp

from config.ramps import Ramp
from config.units import DAY
from dispatcher.core.calendar import Slot, coming_slot, next_slot, step_at
from dispatcher.core.plan import LaneView, PlannedBatch, Run, plan
from dispatcher.core.quotas import HOUR, Bounds, Trial
from dispatcher.core.ramp import PastStep, allowance, late_size, slot_size

LANE = "support/gmail"
NOW = at("2026-03-27 09:17")
MINUTE = 60_000


@st.composite
def ramps(draw: st.DrawFn) -> Ramp:
    """Ramps of few slots, so that going through all of them is quick."""
    short: dict[str, Any] = {"step": "4h", "every": "20m", "hours": "00:00-24:00"}
    long: dict[str, Any] = {"step": "1d", "every": "1h", "hours": draw(st.sampled_from(["08:00-20:00", "00:00-24:00"]))}
    return ramp(
        start=draw(st.integers(1, 40)), growth=draw(st.sampled_from([1.0, 1.2, 1.5, 1.9])),
        ceiling=draw(st.integers(40, 80)), largest_batch=draw(st.integers(1, 6)),
        offset=draw(st.sampled_from(["0s", "auto", "7m"])), weekdays=draw(st.sampled_from(["mon-sun", "mon-fri"])),
        **draw(st.sampled_from([short, long])),
    )


RUNS = st.lists(st.builds(
    Run, priority=st.integers(0, 3), rank=st.integers(0, 2), segment=st.sampled_from(["DE", "FR"]),
    campaign=st.sampled_from(["news", "sale"]), count=st.integers(0, 60),
    not_before=st.one_of(st.just(0), st.integers(NOW, NOW + 3 * DAY)),
    expires_at=st.one_of(st.none(), st.integers(NOW - DAY, NOW + 5 * DAY)),
), max_size=5)


@st.composite
def views(draw: st.DrawFn) -> LaneView:
    which = draw(ramps())
    today = step_at(which, NOW).start
    past = [
        replace(step, start=today - (3 - number) * DAY, end=today - (2 - number) * DAY)
        for number, step in enumerate(days(*draw(st.lists(st.integers(0, 60), max_size=3))))
    ]
    return LaneView(
        LANE, which, past, step_spent=draw(st.integers(0, 20)), step_healthy=draw(st.booleans()),
        last_slot_end=draw(st.sampled_from([0, NOW - 5 * MINUTE, NOW + 5 * MINUTE])), backlog=draw(RUNS),
    )


@dataclass
class Daemon:
    """A lane's life, slot after slot and message by message, with none of the plan's shortcuts."""

    view: LaneView
    queue: list[Run]                                     # one entry for each message, in order
    steps: dict[int, PastStep] = field(default_factory=dict)
    rows: list[tuple[int, int, list[str]]] = field(default_factory=list)

    def allowed(self, slot: Slot) -> int:
        past = [step for start, step in sorted(self.steps.items()) if start < slot.step_start]
        return allowance(self.view.ramp, [*self.view.past, *past], slot.step_start).value

    def due(self, moment: int) -> list[Run]:
        return [run for run in self.queue
                if run.not_before <= moment and (run.expires_at is None or run.expires_at > moment)]

    def release(self, slot: Slot, moment: int) -> None:
        step = self.steps.get(slot.step_start) or PastStep(slot.step_start, slot.step_end, 0, 0)
        allowed = self.allowed(slot)
        size = late_size(slot_size(allowed, slot, step.spent, self.view.ramp.largest_batch), slot, moment)
        taken = self.due(moment)[:size]
        if taken:
            self.rows.append((moment, slot.end, [run.segment for run in taken]))
            self.steps[slot.step_start] = replace(step, allowance=allowed, spent=step.spent + len(taken))
            for run in taken:
                self.queue.remove(run)


def daemon(view: LaneView, now: int, until: int) -> list[tuple[int, int, list[str]]]:
    """What a lane releases: instant, end of the slot, segments of the messages."""
    ordered = sorted(enumerate(view.backlog), key=lambda one: (one[1].priority, one[1].rank, one[0]))
    life = Daemon(view, [run for _, run in ordered for _ in range(run.count)])
    running = step_at(view.ramp, now)
    life.steps[running.start] = PastStep(
        running.start, running.end, allowance(view.ramp, view.past, running.start).value, view.step_spent,
        healthy=view.step_healthy)
    slot = coming_slot(view.ramp, LANE, now, view.last_slot_end)
    while slot.start < until:
        begin = max(slot.start, now)
        moments = {begin, *(run.not_before for run in life.queue if begin < run.not_before < min(slot.end, until))}
        first = next((moment for moment in sorted(moments) if life.due(moment)), None)
        if first is not None:
            life.release(slot, first)
        slot = next_slot(view.ramp, LANE, slot.end)
    return life.rows


@settings(max_examples=60, deadline=None)
@given(views())
def test_a_plan_is_what_a_daemon_does_slot_by_slot(view: LaneView) -> None:
    until = NOW + 6 * DAY
    found = plan([view], NOW, until)
    assert [(one.at, one.until, dict(one.segments)) for one in found.batches] == [
        (moment, end, {name: segments.count(name) for name in segments})
        for moment, end, segments in daemon(view, NOW, until)
    ]
    assert sum(one.size for one in found.batches) + found.late + found.left == sum(run.count for run in view.backlog)


@settings(max_examples=60, deadline=None)
@given(views())
def test_no_step_of_a_plan_goes_above_its_allowance(view: LaneView) -> None:
    which, running = view.ramp, step_at(view.ramp, NOW).start
    past = [*view.past]
    spent = {running: view.step_spent}
    planned = groupby(plan([view], NOW).batches, lambda one: step_at(which, one.at))
    for step, group in planned:
        if step.start != running and running in spent:
            current = step_at(which, running)
            past.append(PastStep(running, current.end, allowance(which, view.past, running).value, spent.pop(running),
                                 healthy=view.step_healthy))
        batches = list(group)
        allowed = allowance(which, past, step.start).value
        size = sum(one.size for one in batches)
        assert all(0 < one.size <= which.largest_batch for one in batches)
        assert spent.get(step.start, 0) + size <= max(allowed, spent.get(step.start, 0))
        if step.start == running:
            spent[running] += size
        else:
            past.append(PastStep(step.start, step.end, allowed, size))


def later_view(view: LaneView, batches: list[PlannedBatch], now: int) -> LaneView:
    """The lane as it stands at `now`, once these batches have been released."""
    ledger = {step_at(view.ramp, NOW).start: view.step_spent}
    past, running = list(view.past), step_at(view.ramp, now)
    for one in batches:
        step = step_at(view.ramp, one.at).start
        ledger[step] = ledger.get(step, 0) + one.size
    for start, spent in ledger.items():
        if start < running.start:
            allowed = allowance(view.ramp, past, start).value
            healthy = view.step_healthy or start != step_at(view.ramp, NOW).start
            past.append(PastStep(start, step_at(view.ramp, start).end, allowed, spent, healthy=healthy))
    return replace(view, past=past, step_spent=ledger.get(running.start, 0),
                   last_slot_end=batches[-1].until, step_healthy=view.step_healthy or bool(past[len(view.past):]))


@settings(max_examples=60, deadline=None)
@given(views(), st.integers(0, 400), st.integers(1, 30))
def test_a_plan_asked_again_on_the_way_says_the_same(view: LaneView, count: int, done: int) -> None:
    view = replace(view, backlog=[Run(2, 0, "*", "news", count)])
    first = plan([view], NOW)
    batches = list(first.batches)[:done]
    if not batches:
        assert first.left == 0
        return
    now = batches[-1].at
    rest = [Run(2, 0, "*", "news", count - sum(one.size for one in batches))]
    again = plan([replace(later_view(view, batches, now), backlog=rest)], now, until=NOW + 400 * DAY)
    assert again.batches == list(first.batches)[done:]
    assert again.done_at == first.done_at or not again.batches


GROUPS: tuple[tuple[str, ...], ...] = ((), ("a",), ("b",), ("a", "b"))


@st.composite
def lanes_that_share(draw: st.DrawFn) -> tuple[list[LaneView], Bounds]:
    """Some lanes whose campaigns share bounds, and those bounds."""
    groups = {campaign: draw(st.sampled_from(GROUPS)) for campaign in ("news", "sale")}
    lanes = [
        LaneView(f"support/{name}", draw(ramps()), backlog=[replace(run, groups=groups[run.campaign])
                                                            for run in draw(RUNS)])
        for name in draw(st.sampled_from(["x", "xy", "xyz"]))
    ]
    trials = st.builds(Trial, st.integers(1, 30), st.integers(60_000, 12 * HOUR))
    before = draw(st.lists(st.tuples(st.integers(NOW - HOUR + 1, NOW), st.sampled_from("ab"), st.integers(1, 6)),
                           max_size=4))
    return lanes, Bounds(
        per_hour={"a": draw(st.integers(1, 20)), "b": draw(st.integers(1, 40))}, released=sorted(before),
        canaries=draw(st.dictionaries(st.just("sale"), trials)),
    )


@settings(max_examples=60, deadline=None)
@given(lanes_that_share())
def test_no_hour_of_a_plan_goes_above_what_people_can_answer(shared: tuple[list[LaneView], Bounds]) -> None:
    lanes, bounds = shared
    groups = {(run.campaign): run.groups for lane in lanes for run in lane.backlog}
    found = plan(lanes, NOW, NOW + 6 * DAY, bounds=bounds)
    for group, most in bounds.per_hour.items():
        releases = [(at_, count) for at_, name, count in bounds.released if name == group]
        for one in found.batches:
            count = sum(number for campaign, number in one.campaigns.items() if group in groups[campaign])
            releases.append((one.at, count))
            gone = sum(number for at_, number in releases if one.at - HOUR + 1_000 < at_ <= one.at)
            assert count == 0 or gone <= most
    assert sum(one.size for one in found.batches) + found.late + found.left == \
        sum(run.count for lane in lanes for run in lane.backlog)


@settings(max_examples=60, deadline=None)
@given(lanes_that_share())
def test_a_canary_is_alone_until_its_wait_is_over(shared: tuple[list[LaneView], Bounds]) -> None:
    lanes, bounds = shared
    trial = bounds.canaries.get("sale")
    gone, last = 0, 0
    for one in plan(lanes, NOW, NOW + 6 * DAY, bounds=bounds).batches:
        count = one.campaigns.get("sale", 0)
        if trial is None or not count:
            continue
        if gone < trial.left:
            gone, last = gone + count, one.at
            assert gone <= trial.left
        else:
            assert one.at >= last + trial.wait - 1_000


@settings(max_examples=40, deadline=None)
@given(lanes_that_share(), st.integers(1, 10))
def test_a_plan_of_the_first_batches_is_the_beginning_of_the_whole(
    shared: tuple[list[LaneView], Bounds], most: int,
) -> None:
    lanes, bounds = shared
    whole = plan(lanes, NOW, NOW + 3 * DAY, bounds=bounds)
    assert plan(lanes, NOW, NOW + 3 * DAY, most, bounds).batches == whole.batches[:most]
