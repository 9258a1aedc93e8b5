"""What must hold in any store at any moment, by counting everything: nobody but a test or a drill counts a queue."""

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store.truth import untrue, untrue_ledger, untrue_tallies


async def assert_tallies_true(tx: AsyncConnection) -> None:
    """The tallies equal a real count of the messages; none is below nothing."""
    assert await untrue_tallies(tx) == []


async def assert_ledger_true(tx: AsyncConnection) -> None:
    """Steps are the sums of their batches, no batch went above its allowance, and attempts are within batches (P3)."""
    assert await untrue_ledger(tx) == []


async def assert_true(tx: AsyncConnection) -> None:
    """Tallies and ledger."""
    assert await untrue(tx) == []
