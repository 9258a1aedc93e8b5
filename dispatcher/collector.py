"""Python's search for cycles, told to leave alone what lives already and to look seldom.

Messages and rows hold no cycles, but there are many: a look at them after every 700 new ones, as Python has it, takes a
fifth of the time in which a file is read, and stops a daemon for milliseconds while thousands are under way.
"""

import gc
from typing import Final

DAEMON: Final = (5_000, 20, 100)
COMMAND: Final = (500_000, 20, 100)    # it reads a file and ends


def spare(thresholds: tuple[int, int, int]) -> None:
    """From here on: as often as that, among what is made from here on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*thresholds)
