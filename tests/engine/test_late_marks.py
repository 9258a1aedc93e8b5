"""Marks that come late for their hand-overs are made together, and those that come in time are not."""

from collections import deque
from typing import Any

import pytest

from dispatcher.engine.deliver import AHEAD, GROUP, Group, _with_late

ITEM: Any = object()


def group(count: int, start: int, *, marked: bool = False) -> Group:
    """Messages that start together."""
    return Group([(ITEM, start)] * count, marked=marked)


@pytest.mark.parametrize(("now", "to_come", "whole"), [
    (1_000 - AHEAD, [(3, 1_250)], 2),                       # in time
    (1_250 - AHEAD, [(3, 1_250), (4, 1_500)], 5),           # late for one more
    (9_000, [(3, 1_250), (4, 1_500)], 9),
    (9_000, [(GROUP - 2, 1_250), (1, 1_500)], GROUP),       # and no more than a mark may be
    (9_000, [(GROUP - 1, 1_250), (1, 1_500)], 2),
    (9_000, [], 2),
])
def test_what_is_late_joins_the_mark_before(now: int, to_come: list[tuple[int, int]], whole: int) -> None:
    groups = deque(group(count, start) for count, start in to_come)
    made = _with_late(group(2, 1_000), groups, now)
    assert len(made.starts) == whole
    assert whole + sum(len(one.starts) for one in groups) == 2 + sum(count for count, _ in to_come)


def test_what_its_release_has_marked_waits_for_no_other_mark() -> None:
    groups = deque([group(3, 1_250)])
    assert _with_late(group(2, 1_000, marked=True), groups, 9_000) == group(2, 1_000, marked=True)
    assert len(groups) == 1
