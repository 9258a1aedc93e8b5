"""A lane's server in trouble: what the lane makes of it."""

from config.units import MILLISECONDS
from dispatcher.core.lane_health import LaneHealth, busy, reached, rested, unreachable

NOW = 1_700_000_000_000
MINUTE, HOUR = MILLISECONDS["m"], MILLISECONDS["h"]


def test_an_unreachable_server_is_waited_for_twice_as_long_each_time():
    health, now, waits = LaneHealth(), NOW, []
    for _ in range(9):
        health = unreachable(health, "refused", now)
        waits.append((health.until - now) // 1000)
        now = health.until
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert (health.state, health.why) == ("waiting", "refused")


def test_many_failures_of_one_batch_are_one():
    once = unreachable(LaneHealth(), "refused", NOW)
    assert unreachable(once, "refused", NOW + 1) is once


def test_an_answer_ends_the_wait():
    assert reached(unreachable(LaneHealth(), "refused", NOW)) == LaneHealth(why="refused")
    assert reached(LaneHealth()) == LaneHealth()


def test_a_421_halves_a_slot_once():
    health = busy(LaneHealth(), "421 slow down")
    assert (health.share, health.state) == (0.5, "slow")
    assert busy(health, "421 slow down").share == 0.5
    assert busy(rested(health, 5 * MINUTE), "421").share == 0.25


def test_it_never_stops_a_lane_altogether():
    health = LaneHealth()
    for _ in range(10):
        health = rested(busy(health, "421"), 5 * MINUTE)
    assert health.share == 0.05


def test_a_tenth_comes_back_with_every_hour_of_healthy_slots():
    health = rested(busy(LaneHealth(), "421"), 30 * MINUTE)
    shares = []
    for _ in range(11):
        health = rested(health, 30 * MINUTE)
        shares.append(round(health.share, 2))
    assert shares == [0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.0]
    assert health == LaneHealth()
    assert rested(health, HOUR) == health
