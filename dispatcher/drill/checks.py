"""The promises, counted from what the servers saw and from what the store says; each check able to fail. Pure.

The servers' record is the truth about what was sent. Which message a letter is of follows from its Message-ID, which
attempt and batch a hand-over belongs to from the order of a message's attempts.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

from dispatcher.core.model import SkipReason
from dispatcher.core.ramp import first_allowance
from dispatcher.drill.evidence import Evidence, StepRow
from dispatcher.drill.placing import clock_was_put, placed
from dispatcher.drill.rehearsal import Stop
from dispatcher.drill.rules import faults as against_rules
from dispatcher.drill.servers import Seen

_SHOWN: Final = 3
_REMEMBERED: Final = 7       # sending steps that the guard looks at


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    promise: str
    name: str
    ok: bool
    figures: str
    judged: bool = True         # false: there was nothing that it could have failed by


def check(evidence: Evidence) -> list[Check]:
    """All checks."""
    return [
        _durable(evidence), _once(evidence), _ledger(evidence), _allowances(evidence), _growth(evidence),
        _reserved(evidence), _copies(evidence), _stopped(evidence), _active(evidence), _ruled(evidence),
        _remembered(evidence),
        _final(evidence), _private(evidence), _envelopes(evidence), _punctual(evidence),
    ]


def _made(promise: str, name: str, faults: Iterable[str], figures: str, of: int) -> Check:
    """A check; `of` so many things: none of them is nothing to be proud of."""
    found = list(faults)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    told = figures + (f"; {'; '.join(found[:_SHOWN])}{more}" if found else "")
    return Check(promise, name, not found, told, judged=bool(found) or of > 0)


def _durable(evidence: Evidence) -> Check:
    """P1."""
    kept = len(evidence.told)
    lost = [f"{evidence.accepted - kept} are gone"] if kept < evidence.accepted else []
    return _made("P1", "what was accepted is there", lost, f"{kept:,} messages through {evidence.crashes} crashes",
                 evidence.accepted)


def _once(evidence: Evidence) -> Check:
    """P2, from both sides: the store has a message once, and every letter is of one that it has."""
    places = Counter((one.campaign, one.key) for one in evidence.told)
    faults = [f"{place} {count} times" for place, count in places.items() if count > 1]
    faults += [f"a letter {one.message!r} that nobody sent" for one in evidence.seen
               if one.message not in evidence.named]
    return _made("P2", "one message for each campaign and customer", faults, f"{len(places):,} of them",
                 len(places) + len(evidence.seen))


def _ledger(evidence: Evidence) -> Check:
    """P3, from the store: batches within allowances, steps and tallies the sums of what they sum up."""
    return _made("P3", "no batch above its allowance, every sum true", evidence.untrue,
                 f"{len(evidence.batches):,} batches", len(evidence.batches))


def _allowances(evidence: Evidence) -> Check:
    """P3, from the servers: no batch had more hand-overs than were reserved for it, no step more than it allowed."""
    sizes = {(row.lane, row.slot): row.size for row in evidence.batches}
    handed = Counter((lane, slot) for _, lane, slot in placed(evidence))
    faults = [f"{lane}: {count} hand-overs of the batch of {slot}, whose size is {sizes.get((lane, slot), 0)}"
              for (lane, slot), count in handed.items() if count > sizes.get((lane, slot), 0)]
    steps = {(row.lane, row.slot): row.step for row in evidence.batches}
    allowed: dict[tuple[str, int], int] = {}
    for row in evidence.batches:
        allowed[row.lane, row.step] = max(row.allowance, allowed.get((row.lane, row.step), 0))
    of_steps: Counter[tuple[str, int]] = Counter()
    for (lane, slot), count in handed.items():
        of_steps[lane, steps.get((lane, slot), 0)] += count
    faults += [f"{lane}: {count} hand-overs in a step that allowed {allowed.get((lane, step), 0)}"
               for (lane, step), count in of_steps.items() if count > allowed.get((lane, step), 0)]
    return _made("P3", "no step above its allowance, as the servers saw it", faults,
                 f"{len(evidence.seen):,} hand-overs in {len(of_steps)} steps", len(evidence.seen))


def _growth(evidence: Evidence) -> Check:
    """P3 and the growth guard: no step allows what the steps behind, counted anew, do not bear."""
    by_lane: defaultdict[str, list[StepRow]] = defaultdict(list)
    for row in evidence.steps:
        by_lane[row.lane].append(row)
    faults = [fault for lane, rows in by_lane.items() for fault in _too_fast(evidence, lane, rows)]
    return _made("P3", "no step grew beyond the guard", faults,
                 f"at most {max((row.allowance for row in evidence.steps), default=0):,} in a step",
                 len(evidence.steps))


def _too_fast(evidence: Evidence, lane: str, rows: Sequence[StepRow]) -> Iterator[str]:
    ramps = evidence.ramps(lane)
    start = max((first_allowance(ramp) for ramp in ramps), default=0)
    ceiling = max((ramp.ceiling for ramp in ramps), default=0)
    guard = max((Fraction(str(ramp.guard)) for ramp in ramps), default=Fraction(2))
    if any(ramp.steps for ramp in ramps):
        guard, start = Fraction(ceiling), max(start, *(max(ramp.steps, default=0) for ramp in ramps))
    past = [sent for sent in evidence.history.get(lane, ()) if sent > 0]
    for number, row in enumerate(rows):
        behind = [*past, *(one.sent for one in rows[:number] if one.sent > 0)][-_REMEMBERED:]
        most = ceil(guard * max(behind, default=0)) - 1
        if row.allowance > max(start, most) or row.allowance > ceiling:
            yield f"{lane}: {row.allowance} allowed after at most {max(behind, default=0)} sent"


def _reserved(evidence: Evidence) -> Check:
    """P4: every hand-over has a batch, which was released before it began."""
    faults = []
    released = {(row.lane, row.slot): row.released_at for row in evidence.batches}
    count = 0
    for one, lane, slot in placed(evidence):
        count += 1
        if one.at < released.get((lane, slot), one.at + 1) and not clock_was_put(evidence):
            faults.append(f"{lane}: a hand-over at {one.at} of a batch that was not released")
    unplaced = len(evidence.seen) - count
    faults += [f"{unplaced} hand-overs that no attempt and no batch is written down for"] if unplaced > 0 else []
    return _made("P4", "nothing left before its batch was reserved", faults, f"{count:,} hand-overs",
                 len(evidence.seen))


def _copies(evidence: Evidence) -> Check:
    """P5: copies within doubts, byte for byte the same."""
    copies: Counter[bytes] = Counter()
    letters: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for one in evidence.seen:
        letters[one.message].add(one.digest)
        copies[one.message] += one.took
    faults = [f"{len(found)} different letters of one message" for found in letters.values() if len(found) > 1]
    beyond = 0
    for name, told in evidence.named.items():
        count = copies.get(name, 0)
        beyond += max(count - 1, 0)
        if count > (told.state == "accepted") + told.doubts + (told.state == "sending"):
            faults.append(f"{count} copies of a message that is {told.state}, with {told.doubts} doubts")
        if told.state == "accepted" and not count and not _settled(evidence, told.id):
            faults.append("a message is accepted, and no server has it")
    return _made("P5", "one copy each, beyond it one for a doubt, the same to the byte", faults,
                 f"{copies.total():,} copies, {beyond} of them beyond the first",
                 len(evidence.named))


def _stopped(evidence: Evidence) -> Check:
    """P6: nothing left that a stop covers."""
    faults = []
    addresses = [one for one in evidence.stops if one.what == "address"]
    since = {}
    for one in reversed(addresses):
        since[one.name] = one.begun
    for number, seen in enumerate(evidence.seen):
        if number >= since.get(seen.recipient, len(evidence.seen)):
            faults.append("something went to a suppressed address")
    for stop in evidence.stops:
        if stop.what != "address":
            faults += [f"{seen.lane}: something left although {stop.name or 'everything'} was stopped"
                       for seen in evidence.seen[stop.begun:stop.until]
                       if (stop.ends_at is None or seen.at < stop.ends_at) and _covers(evidence, stop, seen)]
    others = len(evidence.stops) - len(addresses)
    return _made("P6", "nothing left that was stopped", faults, f"{len(since):,} addresses, {others} other stops",
                 len(evidence.stops))


def _covers(evidence: Evidence, stop: Stop, seen: Seen) -> bool:
    told = evidence.named.get(seen.message)
    campaign = told.campaign if told is not None else ""
    return stop.name == {
        "everything": "", "lane": seen.lane, "sender": seen.lane.partition("/")[0], "campaign": campaign,
        "canceled": campaign, "unapproved": campaign,
        "category": str(evidence.campaigns[campaign].category) if campaign in evidence.campaigns else "",
    }[stop.what]


def _active(evidence: Evidence) -> Check:
    """P6: nobody who is not active got anything, but from campaigns for everyone."""
    wrong = [seen for seen in evidence.seen if (told := evidence.named.get(seen.message)) is not None
             and told.customer in evidence.inactive and told.campaign not in evidence.everyone]
    faults = [f"{len(wrong)} messages to inactive customers"] if wrong else []
    return _made("P6", "nobody who is not active", faults, f"{len(evidence.inactive):,} customers are not",
                 len(evidence.inactive))


def _ruled(evidence: Evidence) -> Check:
    """P6: the rules that campaigns and configuration set for who gets what, and when."""
    put = clock_was_put(evidence)
    return _made("P6", "nothing too late, too often, at night or out of order", () if put else against_rules(evidence),
                 "the clock was put" if put else f"{len(evidence.campaigns)} campaigns",
                 0 if put else len(evidence.seen))


def _remembered(evidence: Evidence) -> Check:
    """P7: what has not ended has a time, or a lane that looks at it; every skip and rejection has its reason."""
    known = {str(reason) for reason in SkipReason}
    states = Counter(one.state for one in evidence.told)
    faults = [f"{one.state} without a lane" for one in evidence.told if one.state == "queued" and not one.lane]
    faults += [f'skipped for "{one.reason}"' for one in evidence.told
               if one.state == "skipped" and one.reason not in known]
    faults += [f"waits until {one.not_before}, which has passed" for one in evidence.told
               if one.state == "queued" and one.waiting and one.not_before < evidence.end - 60_000
               and not clock_was_put(evidence)]
    faults += [f"the plan misses {evidence.unplanned} queued messages"] if evidence.unplanned else []
    figures = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items())) or "no messages"
    return _made("P7", "nothing forgotten", faults, figures, len(evidence.told))


def _final(evidence: Evidence) -> Check:
    """P8."""
    ended = sum(one.state in {"accepted", "rejected", "skipped"} for one in evidence.told)
    return _made("P8", "what has ended stays as it is", evidence.unfinal, f"{ended:,} messages have ended", ended)


def _private(evidence: Evidence) -> Check:
    """P12."""
    return _made("P12", "no customer's data in the log", evidence.told_in_logs, "every line at info and above was read",
                 len(evidence.told))


def _envelopes(evidence: Evidence) -> Check:
    """P13: every letter says To whom it went, and went by its own provider's lane."""
    faults = [one.faulty for one in evidence.seen if one.faulty]
    return _made("P13", "every letter to whom its envelope says", faults, f"{len(evidence.seen):,} letters",
                 len(evidence.seen))


def _punctual(evidence: Evidence) -> Check:
    """P14: of lanes whose own servers were well, nothing left after its slot."""
    ends = {(row.lane, row.slot): row.ends for row in evidence.batches}
    late: Counter[str] = Counter()
    for one, lane, slot in placed(evidence):
        if one.at > ends.get((lane, slot), one.at) and lane not in evidence.disturbed:
            late[lane] += 1
    lanes = {row.lane for row in evidence.batches}
    others = lanes - evidence.disturbed
    name = "other lanes undisturbed"
    if clock_was_put(evidence):
        return _made("P14", name, (), "the clock was put", 0)
    faults = (f"{lane}: {count} hand-overs after the end of their slot" for lane, count in late.items())
    return _made("P14", name, faults,
                 f"{len(others)} of {len(lanes)} lanes had nothing to do with a slow server", len(others))


def _settled(evidence: Evidence, message: int) -> bool:
    """Whether a person said of a message in doubt that it was sent."""
    return any(outcome == "in_doubt" for _, _, outcome in evidence.tried.get(message, ()))
