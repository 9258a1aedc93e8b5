"""What a lane makes of a server that cannot be reached, while the daemon runs: it waits, twice as long each time.

What a server that answers asks for is the lane's reputation (reputation.py).
"""

from dataclasses import dataclass, replace
from typing import Final

from config.units import MILLISECONDS

FIRST_WAIT: Final = 5 * MILLISECONDS["s"]
LONGEST_WAIT: Final = 5 * MILLISECONDS["m"]


@dataclass(frozen=True, slots=True)
class LaneHealth:
    """Whether a lane's server can be reached."""

    waits: int = 0            # times in a row that the server could not be reached
    until: int = 0            # the lane waits until then
    why: str = ""

    @property
    def waiting(self) -> bool:
        """Whether its server was not reached when it was last tried."""
        return self.waits > 0


HEALTHY: Final = LaneHealth()


def unreachable(health: LaneHealth, why: str, now: int) -> LaneHealth:
    """The server could not be reached: wait, twice as long each time, before the next slot tries."""
    if now < health.until:
        return health   # another hand-over of the same batch met the same trouble
    wait = min(FIRST_WAIT * 2 ** min(health.waits, 10), LONGEST_WAIT)
    return replace(health, waits=health.waits + 1, until=now + wait, why=why)


def reached(health: LaneHealth) -> LaneHealth:
    """The server answered an attempt."""
    return HEALTHY if health.waits else health
