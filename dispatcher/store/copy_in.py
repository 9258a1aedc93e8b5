"""Rows into a table of PostgreSQL by COPY: half the time of the quickest INSERT, and all of them or none.

It knows no ON CONFLICT: whoever calls has seen to it, under the store's lock, that no key is there yet.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from sqlalchemy import Table
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.postgresql_session import WORKING
from dispatcher.store.postgresql_trouble import advise, hush


async def copy_in(tx: AsyncConnection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows, each with its values in the order of the columns; DBAPIError, as for any statement."""
    driver: Any = (await tx.get_raw_connection()).driver_connection
    try:
        # Each row's foreign key is looked up by a statement of the server's own, which it would plan anew for each.
        await driver.execute("SET LOCAL plan_cache_mode = auto")
        await driver.copy_records_to_table(table.name, records=rows, columns=columns)
        await driver.execute(f"SET LOCAL plan_cache_mode = {WORKING['plan_cache_mode']}")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TypeError, ValueError, OverflowError) as error:
        # The driver was asked without SQLAlchemy, whose errors everybody goes by. The last three: no such value fits.
        advise(error)
        hush(error)
        if isinstance(error, asyncpg.PostgresError):
            error.hint = None       # it would be told behind our own words
        raise OperationalError(None, None, error, hide_parameters=True) from error
