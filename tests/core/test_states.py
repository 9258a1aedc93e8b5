"""The table of states is the whole truth about moves."""

import pytest

from dispatcher.core.states import FINAL, MOVES, IllegalMoveError, State, move


def test_final_states_are_those_without_a_move():
    assert {State.ACCEPTED, State.REJECTED, State.SKIPPED} == FINAL


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("following", State)
def test_a_move_is_legal_exactly_where_the_table_has_it(state, following):
    if following in MOVES[state]:
        assert move(state, following) is following
    else:
        with pytest.raises(IllegalMoveError, match=f"{state} cannot become {following}"):
            move(state, following)
