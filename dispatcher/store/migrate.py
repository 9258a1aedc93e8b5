"""The schema is made and migrated by itself when a store is opened; a newer one than ours is refused.

Alembic is imported only where there is something to do, so that a command does not pay for it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST: Final = "0003"
MIGRATIONS: Final = Path(__file__).parent / "migrations"


class SchemaError(Exception):
    """The store's schema is not one that this program can bring to its own."""


async def to_newest(connection: AsyncConnection, admit: Callable[[Connection], None]) -> None:
    """Bring a store that is admitted to this program's schema, in one transaction: whole or not at all."""
    async with connection.begin():
        await connection.run_sync(admit)
        await connection.run_sync(upgrade)


def has_instances(connection: Connection) -> bool:
    """Whether the schema knows of daemons that share the store."""
    return inspect(connection).has_table("instances")


def current(connection: Connection) -> str | None:
    """The schema's version, None for an empty store."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def configuration(connection: Connection) -> "Config":
    """Alembic's configuration for the migrations of this package on an open connection."""
    from alembic.config import Config  # noqa: PLC0415 -- heavy, and seldom needed

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Bring the store to this program's schema, in the transaction that there is; SchemaError where it cannot."""
    version = current(connection)
    if version == NEWEST:
        return
    if version is None and inspect(connection).get_table_names():
        raise SchemaError("it is a database of another program; name an empty or a new one in [store] url")
    if version is not None and version > NEWEST:
        raise SchemaError(f"its schema is {version}, newer than this program's {NEWEST}; install the newer dispatcher")
    from alembic import command  # noqa: PLC0415 -- heavy, and seldom needed

    command.upgrade(configuration(connection), "head")
