"""The outside world of a test: the drill's scripted providers (dispatcher/drill/provider.py)."""

from dispatcher.drill.provider import (
    Act,
    Handed,
    Post,
    Script,
    accepted,
    busy,
    deferred,
    in_doubt,
    rejected,
    unreachable,
    wrong_setup,
)

__all__ = [
    "Act", "Handed", "Post", "Script", "accepted", "busy", "deferred", "in_doubt", "rejected", "unreachable",
    "wrong_setup",
]
