"""After a crash: what was under way is either surely not handed over, or in doubt. Its batch stays spent either way.

Where several daemons share the store, each takes over from those whose lease has lapsed, at its start and while it
runs. They write nothing any more: their lease is looked at, and locked, in the same transaction.

The mark that is written before every hand-over tells the two apart (see journal.py). What is in doubt follows the
sender's `in_doubt`: mail is sent again, the very same bytes; what may not be sent twice waits for a person.
"""

from collections import Counter

import structlog

from channels.contract import Result
from dispatcher.core import retry
from dispatcher.core.model import Message
from dispatcher.core.retry import Next, Tried
from dispatcher.core.states import State
from dispatcher.engine.works import Works
from dispatcher.policy import split_lane
from dispatcher.store import instances, journal, ledger, queue
from dispatcher.store.database import CHUNK
from dispatcher.store.journal import Finding
from dispatcher.store.tallies import Deltas, apply

log = structlog.get_logger()


async def recover(works: Works, *, free: bool = True) -> tuple[int, int]:
    """Bring everything to rest that nobody living has left as `sending`; how many went back, and are in doubt.

    Also, where nobody else lives, what is nobody's in particular; unless it is not to be (`free`), as we will take it.
    """
    back = doubt = 0
    while True:
        now = works.clock.now()
        async with works.database.transaction() as tx:
            gone = await instances.ended(tx)
            living = await instances.others(tx, gone)
            alone = living in ([], [works.database.instance])
            found = await queue.sending(tx, CHUNK, living, free=free and alone)
            if len(found) < CHUNK:
                await instances.forget(tx, gone)
            deltas = Deltas()
            not_begun = [(message, slot) for message, slot, begun in found if not begun]
            if not_begun:
                await queue.give_back(tx, [message for message, _ in not_begun], 0, deltas)
                await ledger.count(tx, Counter((message.lane, slot, "unsent") for message, slot in not_begun))
            doubtful = [_finding(works, message, slot, now) for message, slot, begun in found if begun]
            if doubtful:
                await journal.write(tx, doubtful, now, deltas)
            await apply(tx, deltas)
        back, doubt = back + len(not_begun), doubt + len(doubtful)
        if len(found) < CHUNK:
            break
    if back or doubt:
        log.warning("recovered", back_in_queue=back, in_doubt=doubt)
    return back, doubt


def _finding(works: Works, message: Message, slot: int, now: int) -> Finding:
    sender = works.policy.settings.senders.get(split_lane(message.lane).sender)
    resend = sender is not None and sender.in_doubt == "resend"
    tried = Tried(message.attempts + 1, message.released_at or now, message.expires_at, resend)
    following = retry.after(Result.IN_DOUBT, tried, works.policy.retry, now, works.clock.chance())
    if following.state is State.QUEUED:
        following = Next(State.QUEUED, now)   # it was our crash, not the server's word: the next slot may have it
    return Finding(message, slot, now, Result.IN_DOUBT, "", journal.CRASHED, reached=True, following=following)
