"""What a lane makes of trouble with its server, while the daemon runs: wait when it cannot be reached, slow on 421.

What a 421 means is decided here: the server asks for less, so the lane's slots release half, at once, and a tenth of
the whole comes back with every hour of slots without another one (numbers of the project's reputation rules; the
providers' own documents support the direction, not an exact factor).
"""

from dataclasses import dataclass, replace
from typing import Final

from config.units import MILLISECONDS

FIRST_WAIT: Final = 5 * MILLISECONDS["s"]
LONGEST_WAIT: Final = 5 * MILLISECONDS["m"]
LEAST_SHARE: Final = 0.05
RECOVERY_PER_HOUR: Final = 0.1


@dataclass(frozen=True, slots=True)
class LaneHealth:
    """How a lane's server takes it."""

    share: float = 1.0        # of a slot's size that is released
    halved: bool = False      # in the slot at hand: many hand-overs may meet the same 421
    waits: int = 0            # times in a row that the server could not be reached
    until: int = 0            # the lane waits until then
    why: str = ""

    @property
    def state(self) -> str:
        """One word for `status`."""
        if self.waits:
            return "waiting"
        return "slow" if self.share < 1 else "healthy"


HEALTHY: Final = LaneHealth()


def unreachable(health: LaneHealth, why: str, now: int) -> LaneHealth:
    """The server could not be reached: wait, twice as long each time, before the next slot tries."""
    if now < health.until:
        return health   # another hand-over of the same batch met the same trouble
    wait = min(FIRST_WAIT * 2 ** min(health.waits, 10), LONGEST_WAIT)
    return replace(health, waits=health.waits + 1, until=now + wait, why=why)


def busy(health: LaneHealth, why: str) -> LaneHealth:
    """The server asked for less (421)."""
    if health.halved:
        return health
    return replace(health, share=max(health.share / 2, LEAST_SHARE), halved=True, why=why)


def reached(health: LaneHealth) -> LaneHealth:
    """The server answered an attempt."""
    return replace(health, waits=0, until=0) if health.waits else health


def rested(health: LaneHealth, slot_length: int) -> LaneHealth:
    """A slot has gone by: one without a 421 gives something back."""
    if health.share >= 1:
        return health
    if health.halved:
        return replace(health, halved=False)
    share = min(health.share + RECOVERY_PER_HOUR * slot_length / MILLISECONDS["h"], 1.0)
    return replace(health, share=share, why=health.why if share < 1 else "")
