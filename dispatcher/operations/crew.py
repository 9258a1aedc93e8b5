"""The daemons that share the store, as `status` shows them."""

import os
from socket import gethostname

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.operations.office import Office, Result, said
from dispatcher.store import instances


async def crew(tx: AsyncConnection, office: Office) -> list[Result]:
    """Every daemon on the store, also one that is not heard of any more and that nobody has taken over from yet.

    A daemon that has its store for itself is told all the same.
    """
    works = office.works
    found = await instances.every(tx)
    if not found and office.engine is not None:
        return [_shown(gethostname(), os.getpid(), office.since, works.clock.now())
                | {"id": 0, "living": True, "under_way": len(works.underway), "answers": True}]
    if not found:
        return []
    under_way = await instances.under_way(tx)
    return [_shown(one.machine, one.process, one.started_at, one.seen_at)
            | {"id": one.id, "living": one.living, "under_way": under_way.get(one.id, 0),
               "answers": one.id == works.database.instance} for one in found]


def _shown(machine: str, process: int, since: int, seen_at: int) -> Result:
    return {"machine": machine, "process": process, "since": said(since), "seen_at": said(seen_at)}
