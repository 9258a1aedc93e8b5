"""What an established sender sent before it came to this dispatcher, laid beside what the dispatcher sent itself.

An imported day counts as a step that was filled and healthy: its allowance is what was sent. Where the dispatcher
itself sent on that day, both sums add up, and the greater allowance is the step's. For ramps with steps shorter than a
day each of them gets the day's share for one step; a day without steps of the dispatcher's own counts as one such
step, its last.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from config.ramps import Ramp
from config.units import DAY
from dispatcher.core.calendar import step_at
from dispatcher.core.ramp import PastStep
from dispatcher.core.times import local_date, local_to_instant


def with_history(own: Sequence[PastStep], days: Mapping[str, int], ramp: Ramp) -> tuple[PastStep, ...]:
    """The steps behind, oldest first: the dispatcher's own, and what was sent on imported days ("2026-03-01")."""
    if not days:
        return tuple(own)
    found = list(own)
    starts = [step.start for step in own]
    for day, sent in days.items():
        one = imported_step(day, sent, ramp)
        begin, end = _span(day, ramp)
        first, last = bisect_right(starts, begin - 1), bisect_right(starts, end - 1)
        for place in range(first, last):
            step = found[place]
            found[place] = replace(step, spent=step.spent + one.spent, allowance=max(step.allowance, one.allowance))
        if first == last and one.spent:
            found.append(one)
    return tuple(sorted(found, key=lambda step: step.start))


def imported_step(day: str, sent: int, ramp: Ramp) -> PastStep:
    """What an imported day comes to as a step of a ramp."""
    begin, end = _span(day, ramp)
    if ramp.step < DAY:
        sent = sent * ramp.step // DAY
        last = step_at(ramp, end - 1)
        begin, end = last.start, last.end
    return PastStep(begin, end, allowance=sent, spent=sent)


def day_of(instant: int, ramp: Ramp) -> str:
    """The day of the ramp's zone that contains an instant."""
    return local_date(instant, ramp.timezone).isoformat()


def _span(day: str, ramp: Ramp) -> tuple[int, int]:
    when = date.fromisoformat(day)
    return local_to_instant(when, 0, ramp.timezone), local_to_instant(when, 1440, ramp.timezone)
