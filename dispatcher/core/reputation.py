"""How a provider takes a lane, as far as the evidence says: healthy, slow or held, and back by slow steps.

Slow: half of the share at once, never below a twentieth. What slows: a line that is surely passed (evidence.py), a
reply rule (config/reply_rules.py), a plain 421. Held: nothing, until a person resumes or the rule's time has passed;
afterwards the lane is slow with half of its share. Back: a tenth of the allowance for each hour of slots that
released something and brought no bad evidence, never a jump. The providers' own documents support the direction
(reduce on errors, rise slowly afterwards), not an exact factor.

The same evidence never slows twice: what a slot answered slows once (`slowed_slot`), and slow lines look only at what
came after the lane was last slowed (`judged_from`). Hold lines look at all seven days, but at nothing from before a
person resumed the lane (`resumed_at`): that person has seen it.

A step in which a line or a reply rule slowed or held the lane is unhealthy, and its ramp rests (ramp.py). A plain 421
and trouble with the sender's own set-up do not make it so.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from config.reply_rules import Action, ReplyRule
from config.units import MILLISECONDS
from dispatcher.core.calendar import Slot
from dispatcher.core.evidence import Evidence, Lines, Signal, rates

RECOVERY_PER_HOUR: Final = 0.1
LEAST_SHARE: Final = 0.05
_WHOLE: Final = 1 - 1e-9           # what sums of tenths come to


class LaneState(StrEnum):
    """One word for how a lane fares."""

    HEALTHY = "healthy"
    SLOW = "slow"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Reputation:
    """What the evidence about a lane has come to. Instants are milliseconds; 0: never."""

    state: LaneState = LaneState.HEALTHY
    share: float = 1.0                  # of a slot's size that is released
    per_minute: int | None = None       # a reply rule's bound
    per_minute_until: int | None = None     # a reply rule's time: until then nothing of the share comes back either
    held_until: int | None = None       # of a held lane; None: until a person resumes it
    cause: str = ""
    since: int = 0                      # when the state became what it is
    judged_from: int = 0                # what was released before has had its say
    resumed_at: int = 0                 # when a person last ended a hold
    slowed_slot: int = 0                # which slowed it last: many replies of one slot count once


UNBLEMISHED: Final = Reputation()


def is_held(reputation: Reputation, now: int) -> bool:
    """Whether the lane releases nothing at `now`."""
    return reputation.state is LaneState.HELD and (reputation.held_until is None or now < reputation.held_until)


def bound_at(reputation: Reputation, now: int) -> int | None:
    """The messages a minute that a reply rule allows at `now`; None where there is no such bound."""
    until = reputation.per_minute_until
    return reputation.per_minute if until is not None and now < until else None


def climbed(reputation: Reputation, slot: Slot) -> Reputation:
    """After a slot that released something: where it brought no bad evidence, a little of the share comes back."""
    if reputation.share >= 1 or slot.start <= reputation.slowed_slot or slot.start < (reputation.per_minute_until or 0):
        return reputation
    share = reputation.share + RECOVERY_PER_HOUR * (slot.end - slot.start) / MILLISECONDS["h"]
    if share < _WHOLE:
        return replace(reputation, share=share)
    return replace(reputation, state=LaneState.HEALTHY, share=1.0, per_minute=None, per_minute_until=None, cause="",
                   since=slot.start)


def busy(reputation: Reputation, slot: Slot, cause: str, now: int) -> Reputation:
    """A message of this slot met a plain 421: the server asks for less."""
    if slot.start <= reputation.slowed_slot or reputation.state is LaneState.HELD:
        return reputation
    return _slowed(replace(reputation, slowed_slot=slot.start), cause, now)


def ruled(reputation: Reputation, rule: ReplyRule, slot: Slot, reply: str, now: int) -> Reputation:
    """A message of this slot met a reply that a rule speaks of: many of one rule and slot count once."""
    name = f"reply rule {rule.name}:"
    again = slot.start <= reputation.slowed_slot and reputation.cause.startswith(name)
    if again or (rule.action is Action.SLOW and reputation.state is LaneState.HELD):
        return reputation
    cause = f"{name} {reply}"
    marked = replace(reputation, judged_from=now, slowed_slot=max(slot.start, reputation.slowed_slot))
    if rule.action is Action.HOLD:
        return _held(marked, cause, None if rule.time is None else now + rule.time, now)
    until = max(now + (rule.time or 0), reputation.per_minute_until or 0)
    bounds = [bound for bound in (bound_at(reputation, now), rule.per_minute) if bound is not None]
    bounded = replace(marked, per_minute=min(bounds, default=None), per_minute_until=until)
    if now < (reputation.per_minute_until or 0) or slot.start <= reputation.slowed_slot:
        # Within a rule's time more of the same only lengthens it; nor does one slot halve twice.
        return replace(bounded, share=min(reputation.share, 0.5), cause=cause, state=LaneState.SLOW,
                       since=reputation.since if reputation.state is LaneState.SLOW else now)
    return _slowed(bounded, cause, now)


def judged(reputation: Reputation, evidence: Evidence, lines: Lines, slot_start: int, now: int) -> Reputation:
    """What the evidence before a slot's release makes of a lane; the reputation itself where no line is passed."""
    passed = next((rate for rate in rates(evidence, lines) if rate.passes), None)
    if passed is None or reputation.state is LaneState.HELD:
        return reputation
    marked = replace(reputation, judged_from=now, slowed_slot=slot_start)
    if passed.holds:
        return _held(marked, passed.cause, None, now)
    if passed.signal is Signal.DEFERRALS and reputation.slowed_slot >= evidence.recent_from > 0:
        # A 421 among them has halved the share already.
        return replace(marked, cause=passed.cause, state=LaneState.SLOW)
    return _slowed(marked, passed.cause, now)


def set_up_held(reputation: Reputation, cause: str, now: int) -> Reputation:
    """The sender's own set-up is wrong: held until a person has looked, and no worse for it afterwards."""
    if is_held(reputation, now) and reputation.held_until is None:
        return reputation
    return replace(reputation, state=LaneState.HELD, held_until=None, cause=cause, since=now)


def resumed(reputation: Reputation, now: int, *, by_person: bool) -> Reputation:
    """After a hold: ended by a person, or its time has passed. What a person has seen holds the lane no more."""
    state = LaneState.SLOW if reputation.share < 1 else LaneState.HEALTHY
    resumed_at = now if by_person else reputation.resumed_at
    return replace(reputation, state=state, held_until=None, since=now, judged_from=now, resumed_at=resumed_at,
                   cause="" if state is LaneState.HEALTHY else f"climbs back after: {_first_cause(reputation.cause)}")


def _first_cause(cause: str) -> str:
    return cause.removeprefix("climbs back after: ")


def _slowed(reputation: Reputation, cause: str, now: int) -> Reputation:
    since = reputation.since if reputation.state is LaneState.SLOW else now
    return replace(reputation, state=LaneState.SLOW, share=max(reputation.share / 2, LEAST_SHARE), cause=cause,
                   since=since)


def _held(reputation: Reputation, cause: str, until: int | None, now: int) -> Reputation:
    """Held, and half of the share for afterwards; of two holds the longer counts."""
    if is_held(reputation, now):
        if reputation.held_until is None or (until is not None and until <= reputation.held_until):
            return reputation
        return replace(reputation, held_until=until, cause=cause)
    return replace(reputation, state=LaneState.HELD, held_until=until, share=min(reputation.share, 0.5), cause=cause,
                   since=now)
