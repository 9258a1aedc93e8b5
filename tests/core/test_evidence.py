"""When a rate is surely too high: the numbers page as tables, each line just below and just above its bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.evidence import Counts, Evidence, Line, Lines, Rate, Signal, percent, rates, surely_more

# line: of so many, this number is the first that is surely more (one-sided 95 %, exact)
FIRST_SURE = {
    0.03: {20: 3, 50: 5, 100: 7, 200: 11, 1_000: 40, 100_000: 3_090},
    0.05: {20: 4, 50: 6, 100: 10, 200: 16, 1_000: 63, 100_000: 5_115},
    0.001: {100: 2, 200: 2, 1_000: 4, 5_000: 10, 100_000: 118},
    0.003: {100: 2, 200: 3, 1_000: 7, 5_000: 23, 100_000: 330},
    0.2: {20: 8, 25: 9, 50: 16, 100: 28, 1_000: 222},
}


@pytest.mark.parametrize(("line", "of", "first"), [
    (line, of, first) for line, row in FIRST_SURE.items() for of, first in row.items()
])
def test_a_rate_counts_from_its_lower_bound_on(line: float, of: int, first: int) -> None:
    assert [surely_more(bad, of, line) for bad in (0, first - 1, first, of)] == [False, False, True, True]


@pytest.mark.parametrize(("bad", "of", "line", "expected"), [
    (0, 0, 0.03, False),
    (200, 200, 1.0, False),             # a line at all of them is never passed
    (5, 3, 0.003, True),                # complaints about what was sent before the sample began
    (1, 0, 0.003, True),
])
def test_the_ends_of_the_scale(bad: int, of: int, line: float, expected: bool) -> None:  # noqa: FBT001 -- a table's last column
    assert surely_more(bad, of, line) is expected


@given(st.integers(1, 3_000), st.data(), st.sampled_from([0.001, 0.003, 0.03, 0.05, 0.2]))
def test_more_of_the_same_sample_is_never_less_sure(of: int, data: st.DataObject, line: float) -> None:
    bad = data.draw(st.integers(0, of - 1))
    assert surely_more(bad, of, line) <= surely_more(bad + 1, of, line)
    if surely_more(bad, of, line):
        assert bad / of > line


def found(evidence: Evidence, lines: Lines | None = None) -> list[str]:
    return [f"{'hold' if rate.holds else 'slow'} {rate.cause}" for rate in rates(evidence, lines or Lines())
            if rate.passes]


def whole(counts: Counts) -> Evidence:
    return Evidence(counts, counts, counts)


@pytest.mark.parametrize(("counts", "expected"), [
    (Counts(accepted=190, rejected=10), []),
    (Counts(accepted=189, rejected=11), ["slow bounces: 11 of the last 200 messages, surely more than 3 %"]),
    (Counts(accepted=185, rejected=15), ["slow bounces: 15 of the last 200 messages, surely more than 3 %"]),
    (Counts(accepted=184, rejected=16), ["hold bounces: 16 of the last 200 messages, surely more than 5 %",
                                         "slow bounces: 16 of the last 200 messages, surely more than 3 %"]),
    # the minimum: 200 answers in seven days; a deferral is an answer, and no word on the address
    (Counts(accepted=100, rejected=99), []),
    (Counts(accepted=100, rejected=99, deferred=1),
     ["hold bounces: 99 of the last 199 messages, surely more than 5 %",
      "slow bounces: 99 of the last 199 messages, surely more than 3 %"]),
    (Counts(accepted=200, complaints=1), []),
    (Counts(accepted=200, complaints=2),
     ["slow complaints: 2 of the last 200 accepted messages, surely more than 0.1 %"]),
    (Counts(accepted=1_000, complaints=3), []),
    (Counts(accepted=1_000, complaints=4),
     ["slow complaints: 4 of the last 1000 accepted messages, surely more than 0.1 %"]),
    (Counts(accepted=1_000, complaints=6),
     ["slow complaints: 6 of the last 1000 accepted messages, surely more than 0.1 %"]),
    (Counts(accepted=1_000, complaints=7),
     ["hold complaints: 7 of the last 1000 accepted messages, surely more than 0.3 %",
      "slow complaints: 7 of the last 1000 accepted messages, surely more than 0.1 %"]),
    (Counts(deferred=10_000), []),      # deferrals are judged on what is recent
])
def test_the_lines_of_the_numbers_page(counts: Counts, expected: list[str]) -> None:
    assert found(whole(counts)) == expected


@pytest.mark.parametrize(("recent", "week", "expected"), [
    (Counts(accepted=13, deferred=7), 200, []),
    (Counts(accepted=12, deferred=8), 200, ["slow deferrals: 8 of the last 20 attempts, surely more than 20 %"]),
    (Counts(accepted=10, rejected=2, deferred=8), 200,
     ["slow deferrals: 8 of the last 20 attempts, surely more than 20 %"]),
    (Counts(deferred=19), 200, []),                 # fewer than 20 say nothing
    (Counts(deferred=20), 199, []),                 # nor does a lane without its minimum
    (Counts(accepted=16, deferred=9), 200, ["slow deferrals: 9 of the last 25 attempts, surely more than 20 %"]),
])
def test_deferrals_are_judged_on_the_newest_attempts(recent: Counts, week: int, expected: list[str]) -> None:
    assert found(Evidence(Counts(accepted=week), recent=recent)) == expected


@pytest.mark.parametrize(("since", "sure"), [
    (Counts(accepted=50, rejected=49), False),      # half of the minimum must be new
    (Counts(accepted=51, rejected=49), True),
])
def test_after_a_verdict_half_of_the_minimum_must_be_new(since: Counts, sure: bool) -> None:  # noqa: FBT001 -- a table's last column
    week = Counts(accepted=1_000, rejected=500)
    assert bool(found(Evidence(week, since_resumed=since, since_judged=since))) is sure
    assert len(found(Evidence(week, since_resumed=week, since_judged=since))) == (2 if sure else 1)


def test_the_lines_are_those_of_the_configuration() -> None:
    lines = Lines(minimum=20, bounces=Line(0.5, 0.9), complaints=Line(0.5, 0.5), deferrals=0.9)
    assert found(whole(Counts(accepted=40, rejected=20)), lines) == []
    assert found(whole(Counts(accepted=40, rejected=60)), lines) == \
        ["slow bounces: 60 of the last 100 messages, surely more than 50 %"]


def test_a_small_sample_never_counts() -> None:
    assert not Rate(Signal.BOUNCES, True, 10, 10, 0.05, enough=False).passes  # noqa: FBT003 -- a value's field


@pytest.mark.parametrize(("rate", "expected"), [(0.001, "0.1 %"), (0.03, "3 %"), (0.2, "20 %"), (0.0025, "0.25 %")])
def test_rates_read_as_people_write_them(rate: float, expected: str) -> None:
    assert percent(rate) == expected


def test_counts_add_up() -> None:
    assert Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40) == Counts(11, 22, 33, 44)
