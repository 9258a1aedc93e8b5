"""Bounds over several lanes: tables of what a slot may take, and the counts behind them."""

import pytest
from support.timetables import at

from dispatcher.core.calendar import Slot
from dispatcher.core.model import Replies
from dispatcher.core.quotas import (
    HOUR,
    NEVER,
    UNBOUNDED,
    Bounds,
    Meter,
    Purse,
    Trial,
    counted_at,
    slot_bound,
)
from dispatcher.core.ramp import Limit

MINUTE = 60_000
EIGHT = at("2026-03-02 08:00")
GROUP = ("campaign news",)
LANE = "support/gmail"


def slot(start: int = EIGHT, minutes: int = 5) -> Slot:
    return Slot(EIGHT, EIGHT + 24 * HOUR, 0, 144, start, start + minutes * MINUTE)


@pytest.mark.parametrize(("agents", "per_hour", "expected", "messages"), [
    (6, 8, 0.03, 1_600),
    (1, 7, 0.03, 233),          # 233.3: what nobody could answer is not sent
    (1, 0.1, 0.3, 1),           # not exactly a third of one by binary fractions; and never none at all
    (1, 0.01, 1, 1),
    (3, 0.7, 0.7, 3),           # 3, where binary fractions make it 2.9999
])
def test_so_many_messages_an_hour_bring_what_people_can_answer(
    agents: int, per_hour: float, expected: float, messages: int
) -> None:
    assert Replies(agents, per_hour, expected).messages_per_hour == messages


@pytest.mark.parametrize(("per_hour", "minutes", "mine", "total", "left", "bound"), [
    (1_600, 5, 10_000, 10_000, 1_600, 134),     # 6 agents, 8 answers an hour each, one in 0.03 answers: 1600 / 12
    (1_600, 5, 10_000, 10_000, 126, 126),       # the hour has no more left
    (1_600, 5, 10_000, 10_000, 0, 0),
    (1_600, 5, 10_000, 10_000, -3, 0),          # a reload has lowered what an hour bears
    (1_600, 60, 10_000, 10_000, 1_600, 1_600),
    (1_600, 5, 2_500, 10_000, 1_600, 34),       # a quarter of what is due stands in this lane: 33.3, rounded up
    (1_600, 5, 2_500, 10_000, 100, 25),         # and a quarter of what is left
    (1_600, 5, 2_500, 10_000, 3, 1),            # 0.75, and at least 1
    (1_600, 5, 2_500, 10_000, 1, 1),
    (24, 5, 100, 100, 24, 2),
    (24, 5, 50, 100, 24, 1),
    (6, 5, 100, 100, 6, 1),                     # half a message for each slot: one each, until the hour is used up
    (1, 5, 1, 1_000_000, 1, 1),
    (24, 5, 0, 0, 24, 2),                       # what is due was counted before it was: alone, then
    (24, 5, 10, 4, 24, 2),
])
def test_what_a_slot_may_take_of_a_group(
    per_hour: int, minutes: int, mine: int, total: int, left: int, bound: int,
) -> None:
    assert slot_bound(per_hour, minutes * MINUTE, mine, total, left) == bound


@pytest.mark.parametrize(("released_at", "instant"), [
    (EIGHT, EIGHT), (EIGHT + 3, EIGHT), (EIGHT + 999, EIGHT), (EIGHT + 1_000, EIGHT + 1_000),
    (EIGHT + 200_000, EIGHT + 200_000),
    (EIGHT - 5, EIGHT - 5),      # by a clock that was put back
])
def test_a_release_counts_from_its_slot_unless_it_was_late(released_at: int, instant: int) -> None:
    assert counted_at(EIGHT, released_at) == instant


def test_an_hour_rolls() -> None:
    meter = Meter(Bounds({"g": 10}, released=[(EIGHT, "g", 4), (EIGHT + 5 * MINUTE, "g", 3)]))
    assert [meter.left("g", EIGHT + minutes * MINUTE) for minutes in (5, 59, 60, 64, 65)] == [3, 3, 7, 7, 10]


def test_a_group_opens_when_its_oldest_release_is_an_hour_old() -> None:
    meter = Meter(Bounds({"g": 7, "h": 9, "free": 9}, released=[
        (EIGHT, "g", 4), (EIGHT + 5 * MINUTE, "g", 3), (EIGHT + 20 * MINUTE, "h", 9),
    ]))
    now = EIGHT + 30 * MINUTE
    assert meter.opens_at(("g",), now) == EIGHT + HOUR
    assert meter.opens_at(("g", "h", "free"), now) == EIGHT + 20 * MINUTE + HOUR     # all of its groups must have room
    assert meter.opens_at(("free",), now) == now


def test_a_slot_takes_its_lanes_part() -> None:
    meter = Meter(Bounds({GROUP[0]: 120}, queued={(GROUP[0], LANE): 30, (GROUP[0], "support/other"): 10}))
    purse = Purse(meter, LANE, slot(), EIGHT)
    assert purse.most("news", GROUP) == 8          # three quarters of the 10 of five minutes
    purse.take("news", GROUP, 5)
    assert purse.most("news", GROUP) == 3
    purse.take("news", GROUP, 3)
    assert (purse.most("news", GROUP), purse.stopped_by) == (0, None)
    purse.stop(GROUP)
    assert purse.stopped_by is Limit.REPLIES
    assert purse.settle() == {}
    assert meter.left(GROUP[0], EIGHT + MINUTE) == 112
    assert Purse(meter, "support/other", slot(EIGHT + MINUTE), EIGHT + MINUTE).most("news", GROUP) == 4   # 10 of 32


def test_a_late_slot_takes_for_what_remains_of_it() -> None:
    meter = Meter(Bounds({GROUP[0]: 120}, queued={(GROUP[0], LANE): 30}))
    assert Purse(meter, LANE, slot(), EIGHT + 3).most("news", GROUP) == 10
    assert Purse(meter, LANE, slot(), EIGHT + 4 * MINUTE).most("news", GROUP) == 2


def test_messages_in_two_groups_keep_to_both_bounds() -> None:
    both = ("campaign news", "replies to a@b.example")
    meter = Meter(Bounds({both[0]: 120, both[1]: 24}, queued={(group, LANE): 30 for group in both}))
    purse = Purse(meter, LANE, slot(), EIGHT)
    assert (purse.most("news", both), purse.most("sale", both[:1]), purse.most("free", ())) == (2, 10, UNBOUNDED)


def test_nothing_stopped_opens_never() -> None:
    assert Purse(Meter(Bounds()), LANE, slot(), EIGHT).opens_at() == NEVER


def test_queues_that_somebody_else_counts_are_left_to_him() -> None:
    bounds = Bounds({"g": 120}, queued={("g", LANE): 30, ("g", "b/b"): 10})
    meter = Meter(bounds, apart={LANE})
    assert meter.bound("g", "b/b", 5 * MINUTE, EIGHT) == 10
    meter.count(LANE, ("g",), 30)
    assert meter.bound("g", "b/b", 5 * MINUTE, EIGHT) == 3


def test_a_canary_goes_out_in_parts_and_is_then_waited_for() -> None:
    meter = Meter(Bounds(canaries={"news": Trial(5, 20 * MINUTE)}))
    first = Purse(meter, LANE, slot(), EIGHT)
    assert (first.most("news", ()), first.most("sale", ())) == (5, UNBOUNDED)
    first.take("news", (), 3)
    first.take("news", (), new=False)              # a further attempt is no part of it
    first.take("sale", (), 7)
    assert (first.most("news", ()), first.out, first.settle()) == (2, {"news": 3}, {})
    second = Purse(meter, "b/b", slot(EIGHT + MINUTE), EIGHT + MINUTE)
    second.take("news", (), 2)
    assert second.most("news", ()) == 0
    second.stop(())
    assert second.stopped_by is Limit.CANARY
    assert second.settle() == {"news": EIGHT + 26 * MINUTE}       # from the end of its last slot
    assert (meter.canaries, meter.waits) == ({}, {"news": EIGHT + 26 * MINUTE})


def test_a_canary_waits_from_the_end_of_the_slot_that_ends_last() -> None:
    meter = Meter(Bounds(canaries={"news": Trial(3, 20 * MINUTE)}))
    for lane, start, minutes, number in ((LANE, EIGHT, 60, 1), ("b/b", EIGHT + MINUTE, 5, 2)):
        purse = Purse(meter, lane, slot(start, minutes), start)
        purse.take("news", (), number)
        complete = purse.settle()
    assert complete == {"news": EIGHT + HOUR + 20 * MINUTE}


def test_what_stopped_first_is_named() -> None:
    meter = Meter(Bounds({"g": 12}, queued={("g", LANE): 9}, canaries={"news": Trial(1, MINUTE)}))
    purse = Purse(meter, LANE, slot(), EIGHT)
    assert purse.most("sale", ("g",)) == 1
    purse.take("sale", ("g",))
    purse.take("news", ())
    purse.stop(())
    purse.stop(("g",))
    assert purse.stopped_by is Limit.CANARY
