"""Every store, and a transaction in it, for the suite that all stores pass."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import STORES, campaign
from support.truth import assert_true

from dispatcher.store.database import Database


@pytest_asyncio.fixture(params=sorted(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with STORES[request.param](tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def tx(store: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction in a store with a campaign; whatever a test did in it, its tallies and ledger are true."""
    async with store.transaction() as transaction:
        await campaign(transaction)
        yield transaction
        await assert_true(transaction)
