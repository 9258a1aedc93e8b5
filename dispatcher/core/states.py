"""The life of a message, as a table: every legal move stands here, and nowhere else.

    queued -> sending -> accepted | rejected | in_doubt
    queued -> skipped | in_doubt

A deferred message is queued again. One that was perhaps sent, waited for its next attempt and will have none ends in
doubt rather than being called skipped. accepted, rejected and skipped are final (promise P8). A message that was
released but surely never handed over goes back to the queue, or is skipped where a person stopped it meanwhile.
"""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a message stands (product.md, section 2)."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    IN_DOUBT = "in_doubt"
    SKIPPED = "skipped"


MOVES: Final = {
    State.QUEUED: frozenset({State.SENDING, State.SKIPPED, State.IN_DOUBT}),
    State.SENDING: frozenset({State.ACCEPTED, State.REJECTED, State.IN_DOUBT, State.QUEUED, State.SKIPPED}),
    State.IN_DOUBT: frozenset({State.ACCEPTED, State.REJECTED, State.QUEUED}),  # a person has looked
    State.ACCEPTED: frozenset[State](),
    State.REJECTED: frozenset[State](),
    State.SKIPPED: frozenset[State](),
}
FINAL: Final = frozenset(state for state, following in MOVES.items() if not following)


class IllegalMoveError(Exception):
    """A message was to make a move that the table does not have: a fault in this program, never in its input."""


def move(state: State, following: State) -> State:
    """The following state, if a message in this state may go there."""
    if following not in MOVES[state]:
        raise IllegalMoveError(f"a message that is {state} cannot become {following}")
    return following
