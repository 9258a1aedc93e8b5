"""One ramp, complete: what a lane's settings come to once preset, ramp and provider keys are laid over each other.

A plain frozen value without defaults: the defaults stand in presets/ramps.toml and model.py, the rules that use the
value in dispatcher/core/ramp.py. Durations are milliseconds, hours minutes since local midnight.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ramp:
    """How many messages a lane may send per step, and in which batches (product.md, section 4)."""

    start: int                    # allowance of the first step, and the floor of a healthy lane; at least 1
    growth: float                 # 1.0 <= growth < 2.0
    ceiling: int                  # never more in a step; at least start
    steps: tuple[int, ...]        # explicit allowances instead of start and growth; empty when not used
    step: int                     # milliseconds; a day, or a divisor of a day
    every: int                    # milliseconds between two slots; at most the window
    hours: tuple[int, int]        # (480, 1200) is 08:00-20:00; (0, 1440) is the whole day
    weekdays: frozenset[int]      # Monday is 0; never empty
    timezone: str                 # IANA name
    largest_batch: int            # at least 1
    offset: int | None            # milliseconds from the slot grid's start; None is "auto": from the lane's name
    guard: float                  # product.md section 4, rule 2; above 1.0
    cold_after: int               # milliseconds without sending after which a lane starts over
