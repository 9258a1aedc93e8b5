"""What is said of a transaction is said when it has been committed, once, and never of one that was undone."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dispatcher.core import reputation
from dispatcher.core.reputation import UNBLEMISHED
from dispatcher.engine import evidence
from dispatcher.store.after import after_commit
from dispatcher.store.sqlite import SqliteStore

LANE = "support/gmail"


@pytest.mark.asyncio
@pytest.mark.parametrize("end", [RuntimeError, asyncio.CancelledError])
async def test_what_an_undone_transaction_would_have_said_is_not_said_by_the_next(
        end: type[BaseException], tmp_path: Path) -> None:
    database = await SqliteStore.open(tmp_path / "store.db", "test")
    said: list[str] = []
    try:
        with pytest.raises(end):  # noqa: PT012 -- what raises is the end of the block
            async with database.transaction() as tx:
                after_commit(tx, lambda: said.append("undone"))
                raise end
        async with database.transaction() as tx:
            after_commit(tx, lambda: said.append("one"))
            after_commit(tx, lambda: said.append("two"))
            assert said == []
        assert said == ["one", "two"]
        async with database.transaction():
            pass
        assert said == ["one", "two"]
    finally:
        await database.close()


@pytest.mark.asyncio
async def test_a_lane_that_was_held_in_an_undone_transaction_is_not_in_the_log(tmp_path: Path) -> None:
    database = await SqliteStore.open(tmp_path / "store.db", "test")
    held = reputation.set_up_held(UNBLEMISHED, "credentials", 1_000)
    try:
        with capture_logs() as logs:
            with pytest.raises(RuntimeError):  # noqa: PT012 -- as above
                async with database.transaction() as tx:
                    await evidence.note(tx, LANE, UNBLEMISHED, held, 1_000)
                    raise RuntimeError
            assert logs == []
            async with database.transaction() as tx:
                await evidence.note(tx, LANE, UNBLEMISHED, held, 1_000)
                assert logs == []
        assert [(log["event"], log["lane"]) for log in logs] == [("lane_held", LANE)]
    finally:
        await database.close()
