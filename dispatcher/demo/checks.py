"""What the mail server really received, held against what should have come: pure, each check able to fail.

The server's record is the truth. What should have come is worked out elsewhere from the sample alone; the ledger says
only which steps there were, what they allowed and what was spent of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import floor
from statistics import median
from typing import Final

MOMENT: Final = 500
"""Milliseconds by which mails handed over side by side may overtake each other."""
LATE: Final = 3_000
"""Milliseconds from the promised end within which a plan counts as kept: three slots."""
BURST: Final = 0.45
"""Of a batch in the fullest quarter of its slot: 0.25 is even, 1 is a burst; 10 mails cannot do better than 0.3."""
JUDGED: Final = 8
"""Mails that a batch must have for its spread to be judged."""
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that the server took."""

    sender: str         # of the envelope
    recipient: str
    at: int             # arrival
    digest: str         # of the exact bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of the ledger."""

    slot: int
    slot_ends: int
    size: int
    recipients: frozenset[str]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the ledger, with its batches in order."""

    start: int
    end: int
    allowance: int
    spent: int
    batches: Sequence[Batch]


@dataclass(frozen=True, slots=True)
class LaneMeant:
    """What a lane should have brought."""

    lane: str
    envelope: str                   # the envelope's sender, by which its mails are known
    segments: Sequence[str]         # in order of release
    reached: Mapping[str, int]      # address -> position of its segment
    start: int                      # of its ramp
    growth: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the checks look at."""

    lanes: Sequence[LaneMeant]
    mails: Sequence[Mail]
    steps: Mapping[str, Sequence[Step]]     # lane -> its ledger
    left_out: Mapping[str, int]             # reason -> messages that should have been skipped
    skipped: Mapping[str, int]              # reason -> messages that the dispatcher says it skipped
    promised: int | None                    # when the plan said that the last mail would leave
    ended: int | None                       # the daemon's exit code
    standstills: Sequence[int] = ()         # milliseconds of each time that the machine itself stood still


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    name: str
    ok: bool
    figures: str
    excuse: str = ""        # why it does not hold, where that is not the dispatcher's doing: then it is ok


@dataclass(frozen=True, slots=True)
class StepSeen:
    """A step as the server saw it."""

    start: int
    allowance: int
    spent: int
    arrived: int


def check(evidence: Evidence) -> list[Check]:
    """All checks."""
    return [
        _everyone(evidence), _nobody_twice(evidence), _nobody_else(evidence), _left_out(evidence), _order(evidence),
        _allowances(evidence), _ramps(evidence), _spread(evidence), _plan(evidence), _end(evidence),
    ]


def steps_seen(mails: Sequence[Mail], steps: Sequence[Step]) -> tuple[list[StepSeen], int]:
    """A lane's steps by the arrival of its mails, and how many mails came outside of all steps.

    A mail counts for the step in which it came. Only the messages of a step's last batch may come a moment later, less
    than a slot's length.
    """
    rest = list(mails)
    seen, strays = [], 0
    for step in steps:
        last = max(step.batches, key=lambda batch: batch.slot)
        until = max(last.slot_ends + last.slot_ends - last.slot, step.end)
        arrived = [mail for mail in rest
                   if step.start <= mail.at < (until if mail.recipient in last.recipients else step.end)]
        taken = set(map(id, arrived))
        after = [mail for mail in rest if mail.at >= step.end and id(mail) not in taken]
        strays += len(rest) - len(arrived) - len(after)
        rest = after
        seen.append(StepSeen(step.start, step.allowance, step.spent, len(arrived)))
    return seen, strays + len(rest)


def lane_mails(evidence: Evidence, lane: LaneMeant) -> list[Mail]:
    """The mails of a lane, in the order of arrival."""
    return sorted((mail for mail in evidence.mails if mail.sender == lane.envelope), key=lambda mail: mail.at)


def _everyone(evidence: Evidence) -> Check:
    missing: list[str] = []
    parts = []
    for lane in evidence.lanes:
        got = {mail.recipient for mail in lane_mails(evidence, lane)}
        missing += sorted(set(lane.reached) - got)
        parts.append(f"{lane.lane} {len(got & set(lane.reached))} of {len(lane.reached)}")
    return Check("everyone eligible got it", not missing, ", ".join(parts) + _named("; missing", missing))


def _nobody_twice(evidence: Evidence) -> Check:
    copies = Counter((mail.sender, mail.recipient) for mail in evidence.mails)
    twice = sorted({recipient for (_, recipient), count in copies.items() if count > 1})
    letters = len({mail.digest for mail in evidence.mails})
    ok = not twice and letters == len(evidence.mails)
    figures = f"{len(evidence.mails)} mails, {letters} different letters, {len(copies)} recipients and campaigns"
    return Check("nobody got it twice", ok, figures + _named("; twice", twice))


def _nobody_else(evidence: Evidence) -> Check:
    meant = {(lane.envelope, address) for lane in evidence.lanes for address in lane.reached}
    wrong = sorted({mail.recipient for mail in evidence.mails if (mail.sender, mail.recipient) not in meant})
    return Check("nobody else got anything", not wrong, f"{len(wrong)} wrong" + _named(":", wrong))


def _left_out(evidence: Evidence) -> Check:
    ok = {reason: count for reason, count in evidence.skipped.items() if count} == dict(evidence.left_out)
    figures = _counted(evidence.skipped) + ("" if ok else f"; should be {_counted(evidence.left_out)}")
    return Check("everybody else was left out, for the right reason", ok, figures)


def _order(evidence: Evidence) -> Check:
    early: list[str] = []
    for lane in evidence.lanes:
        mails = lane_mails(evidence, lane)
        for rank in range(1, len(lane.segments)):
            begun = next((mail.at for mail in mails if lane.reached.get(mail.recipient) == rank), None)
            early += [mail.recipient for mail in mails if begun is not None and mail.at > begun + MOMENT
                      and lane.reached.get(mail.recipient, rank) < rank]
    orders = "; ".join(f"{lane.lane} {', '.join(lane.segments)}" for lane in evidence.lanes)
    return Check("segments in order", not early, orders + _named("; after a later segment", early))


def _allowances(evidence: Evidence) -> Check:
    ok, parts = True, []
    for lane in evidence.lanes:
        seen, strays = steps_seen(lane_mails(evidence, lane), evidence.steps.get(lane.lane, ()))
        ok = ok and not strays and all(max(step.arrived, step.spent) <= step.allowance for step in seen)
        counts = ", ".join(f"{step.arrived} of {step.allowance}" for step in seen) or "no step"
        parts.append(f"{lane.lane} {counts}" + (f", {strays} outside of every step" if strays else ""))
    return Check("no step above its allowance", ok, "; ".join(parts))


def _ramps(evidence: Evidence) -> Check:
    ok, parts = True, []
    for lane in evidence.lanes:
        allowances = [step.allowance for step in evidence.steps.get(lane.lane, ())]
        growth = Fraction(str(lane.growth))
        ok = ok and allowances[:1] in ([], [lane.start])
        ok = ok and all(after <= max(floor(before * growth), lane.start) for before, after in pairwise(allowances))
        parts.append(f"{lane.lane} {', '.join(map(str, allowances))}, each at most x {lane.growth}")
    return Check("allowances grew as the ramps say", ok, "; ".join(parts))


def _spread(evidence: Evidence) -> Check:
    fullest = [
        share for lane in evidence.lanes for step in evidence.steps.get(lane.lane, ())
        for share in _fullest_quarters(lane_mails(evidence, lane), step.batches)
    ]
    if not fullest:
        return Check("batches spread over their slots", ok=True, figures="no batch large enough to judge")
    middle = median(fullest)
    figures = (f"fullest quarter of a slot holds {middle:.0%} of its batch (median of {len(fullest)}; "
               "25% is even, 100% a burst)")
    return Check("batches spread over their slots", middle <= BURST, figures)


def _fullest_quarters(mails: Sequence[Mail], batches: Sequence[Batch]) -> list[float]:
    shares = []
    for batch in batches:
        quarters = Counter((mail.at - batch.slot) * 4 // (batch.slot_ends - batch.slot)
                           for mail in mails if batch.slot <= mail.at < batch.slot_ends)
        if batch.size >= JUDGED and quarters:
            shares.append(max(quarters.values()) / quarters.total())
    return shares


def _plan(evidence: Evidence) -> Check:
    name = "the plan was kept"
    if evidence.promised is None or not evidence.mails:
        return Check(name, ok=False, figures="no end was promised" if evidence.promised is None else "no mails")
    off = max(mail.at for mail in evidence.mails) - evidence.promised
    figures = f"last mail {off / 1000:+.1f} s from the promised end"
    still = evidence.standstills
    if off > LATE and still:
        # A slot that went by unused makes its step and those that grow from it smaller.
        times = "once" if len(still) == 1 else f"{len(still)} times"
        return Check(name, ok=True, figures=figures, excuse=f"this machine stood still {times}, for "
                     f"{sum(still) / 1000:.1f} s in all, and slots of a second went by meanwhile")
    return Check(name, abs(off) <= LATE, figures)


def _end(evidence: Evidence) -> Check:
    return Check("the daemon ended when it was told to", evidence.ended == 0, f"SIGTERM, exit code {evidence.ended}")


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()) if count) or "nobody"


def _named(label: str, recipients: Sequence[str]) -> str:
    """A few of the sample's addresses, where there are any to complain about."""
    if not recipients:
        return ""
    more = f" and {len(recipients) - _SHOWN} more" if len(recipients) > _SHOWN else ""
    return f"{label} {', '.join(recipients[:_SHOWN])}{more}"
