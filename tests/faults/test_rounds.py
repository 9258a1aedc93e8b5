"""A short round of every row of faults on both stores; `make faults` plays the long ones and prints their figures.

Real daemons, a real mail server that outlives them, real kills. What was told to the producer, what the server saw and
what the store says in the end are held against each other by support/rounds/judge.py.
"""

import pytest
from support.postgresql import need_postgresql
from support.rounds.allowance import SHARED, SharedRow, play_shared
from support.rounds.play import Size, play
from support.rounds.round import Row
from support.rounds.rows import ROWS

pytestmark = pytest.mark.timeout(400)       # mostly waiting for steps; a slow machine may need much more than this one
SHORT = Size(messages=240, breaks=3, allowance=200)
SEED = 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("row", "store"), [(row, store) for row in ROWS for store in row.stores],
                         ids=lambda value: value if isinstance(value, str) else value.name.replace(" ", "_"))
async def test_a_short_round_of(row: Row, store: str) -> None:
    if store == "postgresql":
        need_postgresql()
    figures = await play(row, store, SHORT, SEED)
    assert row.faults(figures) == []
    assert figures.kills == min(SHORT.breaks, row.most)
    assert figures.messages == SHORT.messages


@pytest.mark.asyncio
@pytest.mark.parametrize("row", [
    # With kills it takes most of a minute; the short rounds above kill four daemons, and PostgreSQL, too.
    pytest.param(row, marks=[pytest.mark.long] if "killed" in row.name else [], id=row.name.replace(" ", "_"))
    for row in SHARED
])
async def test_a_run_of(row: SharedRow) -> None:
    need_postgresql()
    assert row.faults(await play_shared(row, 1, SEED), 1) == []
