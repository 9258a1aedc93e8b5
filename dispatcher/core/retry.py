"""What follows from an attempt: the message's next state, and when it is looked at again.

Deferred mail waits at least half an hour and is given up after four to five days (RFC 5321, 4.5.4.1); the schedule
and the end are `[retry]` in the configuration. A retry is a message of the queue like any other: it waits for a slot
and counts against its lane's allowance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dispatcher.core.model import SkipReason
from dispatcher.core.states import State

JITTER: Final = 0.1
"""Retries are spread by plus or minus a tenth, so that a batch that was deferred together does not return together."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """`[retry]`: the delays (the last one repeats) and the time after the first release at which we give up."""

    delays: Sequence[int]
    give_up_after: int


@dataclass(frozen=True, slots=True)
class Tried:
    """A message after one more attempt."""

    attempts: int                 # made so far, this one included
    first_released_at: int
    expires_at: int | None
    resend_in_doubt: bool         # the sender's `in_doubt = "resend"`


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of it: `not_before` only for queued, `reason` for a skip or a rejection that was ours."""

    state: State
    not_before: int = 0
    reason: str = ""


def delay(attempts: int, rules: RetryRules, jitter: float) -> int:
    """Milliseconds to wait after so many attempts; `jitter` lies within -1 and 1."""
    planned = rules.delays[min(attempts, len(rules.delays)) - 1]
    return round(planned * (1 + JITTER * jitter))


def after(result: str, tried: Tried, rules: RetryRules, now: int, jitter: float) -> Next:
    """The next state after an attempt with this result (a value of channels.contract.Result)."""
    if result in ("accepted", "rejected"):
        return Next(State(result))
    if result == "in_doubt" and not tried.resend_in_doubt:
        return Next(State.IN_DOUBT)
    not_before = now + delay(tried.attempts, rules, jitter)
    if tried.expires_at is not None and not_before >= tried.expires_at:
        # A copy may be out there: what is in doubt stays in doubt rather than being called skipped.
        ended = Next(State.SKIPPED, reason=SkipReason.EXPIRED)
        return Next(State.IN_DOUBT) if result == "in_doubt" else ended
    if not_before > tried.first_released_at + rules.give_up_after:
        return Next(State.IN_DOUBT) if result == "in_doubt" else Next(State.REJECTED, reason="gave_up")
    return Next(State.QUEUED, not_before)
