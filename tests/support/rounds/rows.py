"""The rows of the table: what is done to a daemon, and on which stores.

Each row plays a whole round: everybody is sent to, something is broken so many times, then one more life brings it to
its end. What comes by chance comes from a seed, which a failure names.
"""

from typing import Final

from support.rounds.databases import by_ended_sessions, by_restarts, by_turns
from support.rounds.kills import at_failpoints, at_random, at_requests, at_syncs, by_sigterm
from support.rounds.round import Row

ROWS: Final = (
    Row("kill -9 at random", at_random, breaks=200, messages=20_000),
    Row("kill -9 at failpoints", at_failpoints),
    Row("kill -9 while accepting", at_requests),
    Row("kill -9 in a sync", at_syncs, ("sqlite",)),
    Row("SIGTERM in a batch", by_sigterm, flaws=0.0, clean=True),
    Row("sessions ended", by_ended_sessions, ("postgresql",)),
    Row("one of four daemons killed or stopped", by_turns, ("postgresql",)),
    Row("PostgreSQL killed and restarted", by_restarts, ("postgresql",), server="own", breaks=20),
    Row("PostgreSQL failed over to its standby", by_restarts, ("postgresql",), server="pair", most=1),
)
