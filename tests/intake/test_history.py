"""Rows of what a lane sent before it came here."""

import pytest

from dispatcher.intake.history import parse_day
from dispatcher.intake.strict import RowFault
from dispatcher.store.history import Day

ROW = {"date": "2026-03-01", "lane": "support/gmail", "sent": 1200}


def today(lane: str) -> str:
    return "2026-03-03" if lane == "support/gmail" else "2026-03-02"


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, Day("support/gmail", "2026-03-01", 1_200)),
    ({"sent": "0"}, Day("support/gmail", "2026-03-01", 0)),
    ({"sent": " 45 "}, Day("support/gmail", "2026-03-01", 45)),
    ({"date": "2026-03-03"}, Day("support/gmail", "2026-03-03", 1_200)),
    ({"date": "2024-02-29"}, Day("support/gmail", "2024-02-29", 1_200)),
    ({"lane": "new.one/x-y"}, Day("new.one/x-y", "2026-03-01", 1_200)),
])
def test_a_row_is_read(changes: dict[str, object], expected: Day) -> None:
    assert parse_day(ROW | changes, today) == expected


@pytest.mark.parametrize(("changes", "problem"), [
    ({"sent": -1}, "sent: must be from 0"),
    ({"sent": "-1"}, "sent: must be from 0"),
    ({"sent": 10**12}, "sent: must be from 0"),
    ({"sent": "1.5"}, "sent: is no whole number"),
    ({"sent": 1.0}, "sent: is no whole number"),
    ({"sent": "1e3"}, "sent: is no whole number"),
    ({"sent": "٣"}, "sent: is no whole number"),
    ({"sent": "9" * 5_000}, "sent: is no whole number"),
    ({"sent": True}, "sent: is no whole number"),
    ({"sent": ""}, "sent: is no whole number"),
    ({"date": "2026-03-04"}, "date: lies in the future"),
    ({"date": "2026-03-03", "lane": "news/gmail"}, "date: lies in the future"),     # that lane's zone is behind
    ({"date": "2026-02-30"}, "date: names a day that does not exist"),
    ({"date": "01.03.2026"}, "date: is no date; write it so: 2026-03-01"),
    ({"date": "2026-03-01T08:00:00Z"}, "date: is no date"),
    ({"date": 20260301}, "date: must be text"),
    ({"lane": "gmail"}, "lane: is no lane; write SENDER/PROVIDER"),
    ({"lane": "support/"}, "lane: is no lane"),
    ({"lane": "support/gmail/x"}, "lane: is no lane"),
    ({"lane": "sup port/gmail"}, "lane: is no lane"),
    ({"lane": "support/gm\nail"}, "lane: holds a control character"),
    ({"note": "x"}, "'note': is not known; allowed are date, lane, sent"),
])
def test_what_cannot_be_is_refused_by_its_field(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(RowFault) as refused:
        parse_day(ROW | changes, today)
    assert str(refused.value).startswith(problem)


@pytest.mark.parametrize("name", ROW)
def test_all_three_are_required(name: str) -> None:
    with pytest.raises(RowFault, match=f"{name}: is missing; a row has date, lane and sent"):
        parse_day({key: value for key, value in ROW.items() if key != name}, today)
