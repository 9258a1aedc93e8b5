"""A lane's server that cannot be reached: what the lane makes of it."""

from config.units import MILLISECONDS
from dispatcher.core.lane_health import HEALTHY, LaneHealth, reached, unreachable

NOW = 1_700_000_000_000
MINUTE, HOUR = MILLISECONDS["m"], MILLISECONDS["h"]


def test_an_unreachable_server_is_waited_for_twice_as_long_each_time():
    health, now, waits = LaneHealth(), NOW, []
    for _ in range(9):
        health = unreachable(health, "refused", now)
        waits.append((health.until - now) // 1000)
        now = health.until
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert (health.waiting, health.why) == (True, "refused")


def test_many_failures_of_one_batch_are_one():
    once = unreachable(LaneHealth(), "refused", NOW)
    assert unreachable(once, "refused", NOW + 1) is once


def test_an_answer_ends_the_wait():
    assert reached(unreachable(LaneHealth(), "refused", NOW)) == HEALTHY
    assert reached(HEALTHY) is HEALTHY
    assert not HEALTHY.waiting
