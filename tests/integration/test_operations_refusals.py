"""Arguments that cannot be are refused in plain words, without their values."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.offices import Desk
from support.world import World, world


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as it:
        yield it


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "args", "line"), [
    ("hold", {"reason": ""}, "reason: is empty; it needs a word"),
    ("hold", {}, "reason: is missing"),
    ("hold", {"reason": "x" * 501}, "reason: has more than 500 characters"),
    ("hold", {"reason": 7}, "reason: must be text"),
    ("hold", {"reason": "x", "for_ms": 0}, "for_ms: must be at least 1"),
    ("hold", {"reason": "x", "for_ms": "1"}, "for_ms: must be a whole number"),
    ("hold", {"reason": "x", "kind": "lame"},
     'kind: must be "auto", "everything", "sender", "lane", "campaign" or "category"'),
    ("hold", {"reason": "x", "who": "Eve"}, "who: is not known here"),
    ("hold", {"reason": "two\nlines"}, "reason: holds a control character or line break; leave it out"),
    ("plan", {"most": 10**9}, "most: must be at most 20000"),
    ("messages.show", {"id": 2**63}, "id: must be below 9223372036854775808"),
    ("providers.explain", {"names": []}, "names: is empty; it needs an entry"),
    ("providers.explain", {"names": "a"}, "names: must be a list"),
    ("providers.explain", {"names": ["a"] * 51}, "names: has more than 50 entries"),
    ("send.requests", {"rows": [7]}, "rows.0: must be an object with a line and values"),
    ("send.requests", {"rows": [{"line": 1, "values": 7}]}, "rows.0.values: must be an object"),
    ("send.requests", {"rows": [{"line": True, "values": {}}]}, "rows.0.line: must be a whole number from 0"),
    ("send.requests", {"rows": [{"line": 1, "values": {}, "more": 1}]},
     "rows.0: must be an object with a line and values"),
    ("send.requests", {"rows": 7}, "rows: must be a list of at most 8000 rows"),
])
async def test_each_fault_is_a_line_with_its_place(one: World, name: str, args: dict[str, Any], line: str) -> None:
    refusal = await Desk(one).refused(name, **args)
    assert (refusal.kind, refusal.details) == ("usage", [line])
