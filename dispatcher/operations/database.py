"""The store itself: whether it is whole."""

from dispatcher.operations.office import NoArgs, Office, Result
from dispatcher.store import integrity, migrate, tallies


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
