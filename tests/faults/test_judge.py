"""The judge of the rounds: each of its figures counts what it says, and nothing else."""

from dataclasses import replace

import pytest
from support.rounds.allowance import ALLOWANCE, LANE, PACE, SHARED, Shares, share_out
from support.rounds.judge import BAD, COLUMNS, Copy, Figures, Kept, Record, Try, judge

STEP = 5_000
ONE, TWO, THREE = ("delay", "c1"), ("delay", "c2"), ("spring", "c1")


def good() -> Record:
    """Two messages accepted at once; one in doubt, and sent again in the next step."""
    return Record(
        told=frozenset({ONE, TWO, THREE}), tries=(),
        copies=[Copy(ONE, 100, b"1"), Copy(TWO, 200, b"2"), Copy(THREE, 300, b"3"), Copy(THREE, 5_100, b"3")],
        kept={ONE: Kept("accepted", 0, (0,)), TWO: Kept("accepted", 0, (0,)), THREE: Kept("accepted", 1, (0, 5_000))},
        lanes={"delay": "delay/other", "spring": "spring/other"}, allowance=2, step=STEP, untrue=(),
    )


def test_a_good_round_has_nothing_bad() -> None:
    figures = judge(good(), 7)
    assert figures.faults() == []
    assert (figures.kills, figures.messages, figures.copies, figures.doubts) == (7, 3, 1, 1)


@pytest.mark.parametrize(("change", "faults"), [
    ({"kept": {**good().kept, ONE: Kept("queued", 0, (0,))}}, ["lost 1", "excess 1"]),
    ({"kept": {**good().kept, ONE: Kept("sending", 1, (0,))}}, ["lost 1"]),
    ({"copies": good().copies[1:]}, ["lost 1"]),
    ({"kept": {ONE: good().kept[ONE], TWO: good().kept[TWO]}}, ["lost 1", "unknown 1"]),
    ({"allowance": 1}, ["over 1"]),
    # A copy of the second step that came early counts for the first.
    ({"allowance": 1, "copies": [*good().copies[1:3], Copy(THREE, 4_999, b"3")], "told": frozenset({TWO, THREE})},
     ["over 1"]),
    ({"kept": {**good().kept, THREE: Kept("accepted", 0, (0, 5_000))}}, ["excess 1"]),
    ({"kept": {**good().kept, ONE: Kept("rejected", 0, (0,))}}, ["excess 1"]),
    ({"copies": [*good().copies[:3], Copy(THREE, 5_100, b"4")]}, ["unequal 1"]),
    ({"kept": {**good().kept, ONE: Kept("accepted", 0, ())}}, ["unreserved 1"]),
    ({"kept": {**good().kept, ONE: Kept("accepted", 0, (5_000,))}}, ["unreserved 1"]),
    ({"copies": [*good().copies, Copy(("delay", "c9"), 100, b"9")]}, ["unknown 1"]),
    ({"untrue": ["a sum"]}, ["untrue 1"]),
], ids=",".join)      # not the values: sets are written in another order by each process
def test_every_fault_is_counted(change: dict[str, object], faults: list[str]) -> None:
    assert judge(replace(good(), **change), 0).faults() == faults  # type: ignore[arg-type] # the table's values are of their fields


def test_two_bad_ones_do_not_make_up_for_each_other() -> None:
    """One message with two doubts and no second copy does not excuse another's second copy."""
    kept = {**good().kept, ONE: Kept("accepted", 2, (0,)), THREE: Kept("accepted", 0, (0, 5_000))}
    record = replace(good(), kept=kept)
    figures = judge(record, 0)
    assert (figures.copies, figures.doubts) == (1, 2)
    assert figures.faults() == ["excess 1"]


def test_what_is_bad_is_among_the_columns() -> None:
    assert set(BAD) < set(COLUMNS)
    assert Figures(*[0] * len(COLUMNS)).faults() == []


def whole(count: int) -> Record:
    """So many messages of one step, each tried once and accepted."""
    names = [("delay", f"c{number}") for number in range(count)]
    return Record(frozenset(names), [Try(name, 100) for name in names], [Copy(name, 101, b"1") for name in names],
                  dict.fromkeys(names, Kept("accepted", 0, (0,))), {"delay": LANE}, ALLOWANCE, PACE.step, ())


def test_an_attempt_more_or_less_than_an_allowance_is_seen() -> None:
    exactly, killed = SHARED
    good = share_out(whole(ALLOWANCE), [0], 1, 0)
    assert good == Shares(1, 0, ALLOWANCE, ALLOWANCE, ALLOWANCE, 0, 0, 0, 0)
    assert exactly.faults(good, 1) == []
    assert exactly.faults(good, 2) == ["only 1 runs, as the machine was too slow for more"]
    assert killed.faults(good, 1) == ["only 0 kills"]
    assert exactly.faults(share_out(whole(ALLOWANCE - 1), [0], 1, 0), 1) == ["999 attempts"]
    assert killed.faults(share_out(whole(ALLOWANCE + 1), [0], 1, 2), 1) == ["over 1", "1 attempts above the allowance"]


def test_an_attempt_that_left_no_letter_counts_and_one_before_every_slot_is_told() -> None:
    one = whole(ALLOWANCE)
    again = replace(one, tries=[*one.tries, Try(("delay", "c0"), 150)])
    assert SHARED[1].faults(share_out(again, [0], 1, 2), 1) == ["1 attempts above the allowance"]
    early = replace(one, tries=[*one.tries, Try(("delay", "c0"), -1)])
    assert SHARED[1].faults(share_out(early, [0], 1, 2), 1) == ["1 attempts of which no slot had begun"]


def test_two_whole_steps_are_a_run_where_a_run_has_two() -> None:
    assert share_out(whole(ALLOWANCE), [0, PACE.step], 2, 2).runs == 1
    assert share_out(whole(ALLOWANCE), [0, PACE.step], 2, 2).least == 0
