"""What follows from an attempt: tables."""

from dataclasses import replace

import pytest

from config.units import DAY, MILLISECONDS
from dispatcher.core.retry import Next, RetryRules, Tried, after, delay
from dispatcher.core.states import State

MINUTE, HOUR = MILLISECONDS["m"], MILLISECONDS["h"]
RULES = RetryRules((30 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR), 4 * DAY)
NOW = 1_700_000_000_000
ONCE = Tried(attempts=1, first_released_at=NOW, expires_at=None, resend_in_doubt=True)


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 30), (2, 30), (3, 60), (4, 120), (5, 180), (6, 180), (60, 180)])
def test_the_delays_and_the_last_one_repeats(attempts, minutes):
    assert delay(attempts, RULES, 0) == minutes * MINUTE


def test_jitter_is_a_tenth_either_way():
    assert (delay(1, RULES, -1), delay(1, RULES, 1)) == (27 * MINUTE, 33 * MINUTE)


@pytest.mark.parametrize(("result", "tried", "following"), [
    ("accepted", ONCE, Next(State.ACCEPTED)),
    ("rejected", ONCE, Next(State.REJECTED)),
    ("deferred", ONCE, Next(State.QUEUED, NOW + 30 * MINUTE)),
    ("in_doubt", ONCE, Next(State.QUEUED, NOW + 30 * MINUTE)),
    ("in_doubt", replace(ONCE, resend_in_doubt=False), Next(State.IN_DOUBT)),
    ("deferred", replace(ONCE, resend_in_doubt=False), Next(State.QUEUED, NOW + 30 * MINUTE)),
    # given up after four days: of a copy that may be out there nobody says that it was refused
    ("deferred", replace(ONCE, first_released_at=NOW - 4 * DAY), Next(State.REJECTED, reason="gave_up")),
    ("in_doubt", replace(ONCE, first_released_at=NOW - 4 * DAY), Next(State.IN_DOUBT)),
    ("deferred", replace(ONCE, first_released_at=NOW - 4 * DAY + 30 * MINUTE), Next(State.QUEUED, NOW + 30 * MINUTE)),
    # useful no longer by then
    ("deferred", replace(ONCE, expires_at=NOW + 30 * MINUTE), Next(State.SKIPPED, reason="expired")),
    ("in_doubt", replace(ONCE, expires_at=NOW + 30 * MINUTE), Next(State.IN_DOUBT)),
    ("deferred", replace(ONCE, expires_at=NOW + 30 * MINUTE + 1), Next(State.QUEUED, NOW + 30 * MINUTE)),
])
def test_what_follows(result, tried, following):
    assert after(result, tried, RULES, NOW, 0) == following
