"""How a batch is divided among daemons: each takes a portion at a time, whoever has room, in the order of their starts.

Small, so that none has much on its hands that others could send sooner; not too small, for each costs a transaction. A
message keeps its planned start, whoever takes it: its number in the batch says it (ramp.start_time).
"""

from typing import Final

SPAN: Final = 1_000
"""Milliseconds of planned starts that a portion is for, as far as its bounds allow."""
SMALLEST: Final = 20
LARGEST: Final = 250


def portion_size(size: int, begin: int, end: int) -> int:
    """How many messages one daemon takes at a time of a batch of `size` that leaves evenly over [begin, end)."""
    per_span = size * SPAN // max(end - begin, 1)
    return min(max(per_span, SMALLEST), LARGEST, size)


def room_for(portion: int) -> int:
    """How many messages a daemon may still have to begin when it takes the next portion: so it is never idle."""
    return portion // 2
