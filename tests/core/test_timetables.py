"""Whole warm-ups as timetables: what a cold lane with a large backlog sends, day by day.

The vendors' own tables stand here as they print them, and come out again.
"""

from itertools import groupby
from typing import Any

import pytest
from support.timetables import at, ramp

from config.ramp_table import load_presets
from dispatcher.core.plan import LaneView, Plan, Run, plan
from dispatcher.core.times import local_date

COLD = at("2026-03-01 23:00")        # midnight in Berlin
LANE = "support/gmail"


def planned(backlog: int, **keys: Any) -> Plan:
    """What a cold lane makes of a backlog."""
    lane = LaneView(LANE, ramp(**keys), backlog=[Run(2, 0, "*", "news", backlog)])
    return plan([lane], COLD)


def timetable(found: Plan, zone: str = "Europe/Berlin") -> list[str]:
    """A line for each day: date, messages, batches, and how large these are."""
    lines = []
    for day, batches in groupby(found.batches, lambda one: local_date(one.at, zone)):
        sizes = [one.size for one in batches]
        between = f"{min(sizes)} or {max(sizes)}" if min(sizes) < max(sizes) else f"{min(sizes)}"
        lines.append(f"{day:%a %d %b}: {sum(sizes)} in {len(sizes)} batches of {between}")
    return lines


def by_day(found: Plan) -> list[int]:
    return [sum(one.size for one in day) for _, day in groupby(found.batches, lambda one: one.at // 86_400_000)]


def test_a_careful_lane_day_by_day() -> None:
    assert timetable(planned(56_611)) == [
        "Mon 02 Mar: 100 in 100 batches of 1",
        "Tue 03 Mar: 120 in 120 batches of 1",
        "Wed 04 Mar: 144 in 144 batches of 1",
        "Thu 05 Mar: 172 in 144 batches of 1 or 2",
        "Fri 06 Mar: 206 in 144 batches of 1 or 2",
        "Sat 07 Mar: 247 in 144 batches of 1 or 2",
        "Sun 08 Mar: 296 in 144 batches of 2 or 3",
        "Mon 09 Mar: 355 in 144 batches of 2 or 3",
        "Tue 10 Mar: 426 in 144 batches of 2 or 3",
        "Wed 11 Mar: 511 in 144 batches of 3 or 4",
        "Thu 12 Mar: 613 in 144 batches of 4 or 5",
        "Fri 13 Mar: 735 in 144 batches of 5 or 6",
        "Sat 14 Mar: 882 in 144 batches of 6 or 7",
        "Sun 15 Mar: 1058 in 144 batches of 7 or 8",
        "Mon 16 Mar: 1269 in 144 batches of 8 or 9",
        "Tue 17 Mar: 1522 in 144 batches of 10 or 11",
        "Wed 18 Mar: 1826 in 144 batches of 12 or 13",
        "Thu 19 Mar: 2191 in 144 batches of 15 or 16",
        "Fri 20 Mar: 2629 in 144 batches of 18 or 19",
        "Sat 21 Mar: 3154 in 144 batches of 21 or 22",
        "Sun 22 Mar: 3784 in 144 batches of 26 or 27",
        "Mon 23 Mar: 4540 in 144 batches of 31 or 32",
        "Tue 24 Mar: 5448 in 144 batches of 37 or 38",
        "Wed 25 Mar: 6537 in 144 batches of 45 or 46",
        "Thu 26 Mar: 7844 in 144 batches of 54 or 55",
        "Fri 27 Mar: 9412 in 144 batches of 65 or 66",
        "Sat 28 Mar: 590 in 9 batches of 35 or 70",
    ]


@pytest.mark.parametrize(("preset", "until_full", "days"), [
    ("careful", 26, [
        100, 120, 144, 172, 206, 247, 296, 355, 426, 511, 613, 735, 882, 1058, 1269, 1522, 1826,
        2191, 2629, 3154, 3784, 4540, 5448, 6537, 7844, 9412, 10000, 8979,
    ]),
    ("standard", 18, [
        100, 130, 169, 219, 284, 369, 479, 622, 808, 1050, 1365, 1774, 2306, 2997, 3896, 5064, 6583,
        8557, 10000, 10000, 3228,
    ]),
    ("fast", 14, [
        100, 140, 196, 274, 383, 536, 750, 1050, 1470, 2058, 2881, 4033, 5646, 7904, 10000, 10000,
        7579,
    ]),
])
def test_a_preset_takes_so_many_sending_days_to_ten_thousand(
    preset: str, until_full: int, days: list[int],
) -> None:
    found = by_day(planned(sum(days), growth=load_presets().presets[preset].growth))
    assert found == days
    assert found.index(10_000) == until_full


SPARKPOST = [200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 50_000, 75_000, 100_000]


def test_sparkposts_stages_by_day() -> None:
    found = planned(sum(SPARKPOST) + 150_000, steps=tuple(SPARKPOST), ceiling=100_000, largest_batch=1_000)
    assert timetable(found) == [
        "Mon 02 Mar: 200 in 144 batches of 1 or 2",
        "Tue 03 Mar: 500 in 144 batches of 3 or 4",
        "Wed 04 Mar: 1000 in 144 batches of 6 or 7",
        "Thu 05 Mar: 2000 in 144 batches of 13 or 14",
        "Fri 06 Mar: 5000 in 144 batches of 34 or 35",
        "Sat 07 Mar: 10000 in 144 batches of 69 or 70",
        "Sun 08 Mar: 20000 in 144 batches of 138 or 139",
        "Mon 09 Mar: 40000 in 144 batches of 277 or 278",
        "Tue 10 Mar: 50000 in 144 batches of 347 or 348",
        "Wed 11 Mar: 75000 in 144 batches of 520 or 521",
        "Thu 12 Mar: 100000 in 144 batches of 694 or 695",
        "Fri 13 Mar: 100000 in 144 batches of 694 or 695",
        "Sat 14 Mar: 50000 in 72 batches of 694 or 695",
    ]


SENDGRID = [20, 28, 39, 55, 77, 108, 151, 211, 295, 413, 579, 810, 1000, 1587, 2222, 3111]


def test_sendgrids_hourly_numbers_by_day() -> None:
    found = planned(24 * sum(SENDGRID), steps=tuple(24 * one for one in SENDGRID), ceiling=100_000,
                    largest_batch=5_000, every="1h", hours="00:00-24:00")
    assert timetable(found) == [
        "Mon 02 Mar: 480 in 24 batches of 20",
        "Tue 03 Mar: 672 in 24 batches of 28",
        "Wed 04 Mar: 936 in 24 batches of 39",
        "Thu 05 Mar: 1320 in 24 batches of 55",
        "Fri 06 Mar: 1848 in 24 batches of 77",
        "Sat 07 Mar: 2592 in 24 batches of 108",
        "Sun 08 Mar: 3624 in 24 batches of 151",
        "Mon 09 Mar: 5064 in 24 batches of 211",
        "Tue 10 Mar: 7080 in 24 batches of 295",
        "Wed 11 Mar: 9912 in 24 batches of 413",
        "Thu 12 Mar: 13896 in 24 batches of 579",
        "Fri 13 Mar: 19440 in 24 batches of 810",
        "Sat 14 Mar: 24000 in 24 batches of 1000",
        "Sun 15 Mar: 38088 in 24 batches of 1587",
        "Mon 16 Mar: 53328 in 24 batches of 2222",
        "Tue 17 Mar: 74664 in 24 batches of 3111",
    ]
    days = groupby(found.batches, lambda one: local_date(one.at, "Europe/Berlin"))
    hourly = [[one.size for one in day] for _, day in days]
    assert hourly == [[number] * 24 for number in SENDGRID]
