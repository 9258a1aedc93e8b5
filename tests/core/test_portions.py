"""How a batch is divided among daemons."""

import pytest

from dispatcher.core.portions import portion_size, room_for

SECOND, MINUTE = 1_000, 60_000


@pytest.mark.parametrize(("size", "length", "portion"), [
    (1, MINUTE, 1),                 # never more than there is
    (19, MINUTE, 19),
    (60, 5 * MINUTE, 20),           # one each five seconds: a minute and more at a time
    (10_000, 5 * MINUTE, 33),       # a second's worth
    (10_000, MINUTE, 166),
    (1_000, SECOND, 250),           # a quarter of a second's
    (50, 250, 50),
    (1_000, 0, 250),                # released at the very end of its slot
    (1_000, -5, 250),
])
def test_a_portion_is_about_a_second_of_a_batch_within_its_bounds(size: int, length: int, portion: int) -> None:
    assert portion_size(size, MINUTE, MINUTE + length) == portion


@pytest.mark.parametrize(("portion", "room"), [(1, 0), (20, 10), (250, 125)])
def test_the_next_is_taken_when_half_of_one_is_left(portion: int, room: int) -> None:
    assert room_for(portion) == room
