"""A store of the first release becomes one of this: what it holds is found by what is new."""

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, text

from dispatcher.store import domains, migrate
from dispatcher.store.sqlite import SqliteStore


def first_release(path: Path) -> None:
    """A store as the first release left it, with two customers."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgraded(connection)
        for name, email in (("c1", "ann@acme.net"), ("c2", "")):
            connection.execute(text(
                "INSERT INTO customers VALUES "
                "(:name, :email, '', '', '', '', '', '', '', NULL, NULL, NULL, '[]', '{}', 0)"
            ), {"name": name, "email": email})
    engine.dispose()


def upgraded(connection: Connection) -> None:
    command.upgrade(migrate.configuration(connection), "0001")


@pytest.mark.asyncio
async def test_customers_are_found_by_their_domain_after_an_upgrade(tmp_path: Path) -> None:
    first_release(tmp_path / "store.db")
    database = await SqliteStore.open(tmp_path / "store.db", "run")
    async with database.transaction() as tx:
        assert await domains.people(tx, "acme.net", "", 10) == ["c1"]
    await database.close()
