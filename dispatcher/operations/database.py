"""The store itself: whether it is whole; and all of it copied to another place."""

from config.model import Store
from dispatcher.operations.office import NoArgs, Office, Result
from dispatcher.store import copying, instances, integrity, migrate, tallies
from dispatcher.store.copying import Tell
from dispatcher.store.database import Database, StoreError
from dispatcher.store.opening import open_database


async def check(office: Office, _: NoArgs) -> Result:
    """Go through the whole store, beside all work: the file, and what must hold between its tables."""
    async with office.works.database.snapshot() as tx:
        found = await integrity.faults(tx)
        return {
            "kind": tx.dialect.name,
            "schema": migrate.NEWEST,       # a store of another is not open
            "messages": sum(row[-1] for row in await tallies.totals(tx)) if not found else None,
            "faults": found,
        }


async def copy(source: Store, target: Store, role: str, tell: Tell) -> Result:
    """Copy a store that nobody uses to a place that is empty, or that an earlier call has begun to fill.

    No operation of an office: both stores are opened here, a file locked until the end. StoreLockedError, StoreError
    and DBAPIError say why it could not be, or how it was cut short.
    """
    opened = await open_database(source, role, admit=copying.to_copy_from)
    try:
        made = await open_database(target, role, admit=copying.to_copy_to(source.url))
        try:
            await _must_be_unused(opened, source.url)
            copied = await copying.copy(opened, made, source.url, tell)
            await _must_be_unused(opened, source.url)
        finally:
            await made.close()
    finally:
        await opened.close()
    return {
        "source": source.url,
        "target": target.url,
        "start": copied.start,
        "finished": copied.whole,
        "tables": [{
            "table": one.table, "rows": one.source.rows, "checksum": one.source.digest,
            "copy_rows": one.target.rows, "copy_checksum": one.target.digest, "same": one.same,
        } for one in copied.tables],
    }


async def _must_be_unused(opened: Database, url: str) -> None:
    """StoreError where a daemon is at work in a store that several may share: what it does would not be in the copy."""
    async with opened.transaction() as tx:
        living = [one for one in await instances.every(tx) if one.living]
    if living:
        who = ", ".join(f"process {one.process} on {one.machine}" for one in living)
        raise StoreError(f"{url} is used by a daemon ({who}); end it, and begin with a target that is empty")
