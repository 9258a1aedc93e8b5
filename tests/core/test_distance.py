"""Whether the store is far away: said after some slow answers in a row, taken back after some quick ones."""

from collections.abc import Sequence

import pytest

from dispatcher.core.distance import BACK, LIMIT, LOOKS, MARK_TRIPS, in_words, is_far
from dispatcher.engine.deliver import AHEAD

FAR, BETWEEN, NEAR = LIMIT + 1, BACK, BACK - 1


def test_the_limit_is_where_a_mark_comes_later_than_its_hand_over() -> None:
    assert LIMIT * MARK_TRIPS == AHEAD


@pytest.mark.parametrize(("trips", "before", "after"), [
    ([], False, False),
    ([FAR] * (LOOKS - 1), False, False),
    ([FAR] * LOOKS, False, True),
    ([NEAR, *[FAR] * LOOKS], False, True),
    ([*[FAR] * (LOOKS - 1), NEAR], False, False),
    ([LIMIT] * LOOKS, False, False),
    ([BETWEEN] * LOOKS, True, True),
    ([*[NEAR] * (LOOKS - 1), FAR], True, True),
    ([NEAR] * (LOOKS - 1), True, True),
    ([NEAR] * LOOKS, True, False),
    ([FAR, *[NEAR] * LOOKS], True, False),
])
def test_answers_have_to_agree_and_those_in_between_change_nothing(
        trips: Sequence[int], before: bool, after: bool) -> None:  # noqa: FBT001 -- a row of the table
    assert is_far(trips, before=before) is after


def test_what_is_wrong_and_what_to_do_is_said() -> None:
    assert in_words([9, 390, 400, 400, 410, 900]) == (
        "the store answers after 0.4 s, so a release waits some 13 s for it, and hand-overs 2 s: "
        "bring the database nearer, or give slots more time than that")
