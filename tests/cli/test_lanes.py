"""Lanes as a person looks at them, and the history of an established sender."""

import re

import pytest
from support.command_line import House, Typing

from dispatcher.cli.lanes import bar, history_view, lane_view


def test_an_empty_store_says_so(home: House, typed: Typing) -> None:
    assert typed("lanes", "list").out.startswith("there are no lanes yet")
    assert typed("lanes", "list", "--json").data == {"lanes": []}
    for verb in ("show", "history"):
        ended = typed("lanes", verb, "support/gmail")
        assert (ended.code, ended.err.startswith("there is no lane support/gmail: ")) == (1, True)


def test_an_imported_history_is_where_the_ramp_goes_on_from(home: House, typed: Typing) -> None:
    home.write("dispatcher.toml", (home.folder / "dispatcher.toml").read_text().replace("864_000", "100"))
    home.write("sent.csv", "date,lane,sent\n2020-01-01,support/gmail,4000\n2020-01-02,support/gmail,5000\n")
    ended = typed("lanes", "import", "sent.csv")
    assert (ended.code, ended.out, ended.err) == (0, "imported 2: 2 days\n", "")
    lane = typed("lanes", "show", "support/gmail", "--json").data
    assert (lane["state"], lane["share"], lane["allowance"]) == ("healthy", 1.0, {"value": 100, "why": "cold"})
    rows = typed("lanes", "history", "support/gmail", "--days", "3650", "--json").data["steps"]
    assert [(row["day"], row["imported"], row["state"]) for row in rows] == [
        ("2020-01-01", 4_000, "imported"), ("2020-01-02", 5_000, "imported")]
    table = typed("lanes", "history", "support/gmail", "--days", "3650").out.splitlines()
    assert re.fullmatch(r"2020-01-02 +- +0 +█{20} +5000 +0 +0 +0 +imported", table[2])
    assert table[-1] == "0 sent, 9000 imported"
    assert typed("lanes", "history", "support/gmail").out.endswith("--days looks further back\n")
    assert typed("lanes", "list").out.splitlines()[1].split()[:3] == ["support/gmail", "healthy", "100"]


def test_bad_rows_are_named_and_the_good_ones_stand(home: House, typed: Typing) -> None:
    home.write("sent.csv", "date,lane,sent\n2020-01-01,support/gmail,-4\n2199-01-01,support/gmail,4\n"
                           "2020-01-01,gmail,4\n2020-01-01,support/gmail,many\n2020-01-01,support/gmail,4\n")
    ended = typed("lanes", "import", "sent.csv")
    assert (ended.code, ended.out) == (1, "imported 1: 1 days; 4 refused\n")
    assert [line.split(": ")[:2] for line in ended.errors] == [
        ["sent.csv:2", "sent"], ["sent.csv:3", "date"], ["sent.csv:4", "lane"], ["sent.csv:5", "sent"]]
    assert typed("lanes", "import", "sent.csv", "--json").data["refused"] == 4


def test_the_history_of_a_lane_that_nothing_knows_is_kept_with_a_word_about_it(home: House, typed: Typing) -> None:
    home.write("sent.csv", "date,lane,sent\n2020-01-01,support/gmial,4\n2020-01-01,suport/gmail,4\n"
                           "2020-01-01,support/yahoo,4\n")
    ended = typed("lanes", "import", "sent.csv")
    assert (ended.code, ended.out) == (0, "imported 3: 3 days\n")
    assert [error.partition(";")[0] for error in ended.errors] == [
        'sent.csv:2: warning: support/gmial: its provider is not known (did you mean "gmail"?)',
        'sent.csv:3: warning: suport/gmail: its sender is not configured (did you mean "support"?)']


def test_importing_a_day_again_replaces_it(home: House, typed: Typing) -> None:
    for sent in (10, 30):
        home.write("sent.ndjson", f'{{"date": "2020-01-01", "lane": "support/gmail", "sent": {sent}}}\n')
        assert typed("lanes", "import", "sent.ndjson").code == 0
    [row] = typed("lanes", "history", "support/gmail", "--days", "3650", "--json").data["steps"]
    assert row["imported"] == 30


def test_a_lane_that_the_dispatcher_holds_says_how_to_go_on() -> None:
    blocks = list(lane_view({
        "lane": "support/gmail", "state": "held", "share": 0.5, "why": "bounces: 16 of the last 200 messages, surely "
        "more than 5 %", "since": "2026-03-02T08:00:00Z", "until": None, "held_by": "dispatcher", "per_minute": 10,
        "per_minute_until": "2026-03-02T09:00:00Z", "allowance": None, "spent": 1, "queued": 2,
        "answers": {"accepted": 184, "deferred": 0, "rejected": 16, "complaints": 0, "minimum": 200},
        "rates": [{"signal": "bounces", "then": "hold", "bad": 16, "of": 200, "line": 0.05, "enough": True,
                   "passed": True},
                  {"signal": "complaints", "then": "hold", "bad": 0, "of": 184, "line": 0.003, "enough": True,
                   "passed": False}],
        "events": [{"at": "2026-03-02T08:00:00Z", "kind": "lane_held", "cause": "bounces", "by": ""}],
    }))
    fields = dict(blocks[0].rows)
    assert (fields["until"], fields["share"]) == ("dispatcher resume support/gmail", "50 %")
    assert fields["pace"].startswith("10 a minute, until 2026-03-02 09:00:00")
    assert [row[3:] for row in blocks[2].rows] == [
        ("8 %", "5 %", "hold", "surely more"), ("0 %", "0.3 %", "hold", "not surely more")]
    assert blocks[4].rows[0][1:] == ("lane_held", "bounces", "")


def test_steps_shorter_than_a_day_are_named_by_their_time() -> None:
    row = {"day": "2026-03-02", "from": "2026-03-02T08:00:00Z", "allowance": 10, "sent": 8, "imported": 0,
           "accepted": 8, "deferred": 0, "rejected": 0, "complaints": 0, "state": "slow", "healthy": False}
    grid, total = history_view({"lane": "support/gmail", "step": "shorter", "steps": [row]})
    assert (grid.columns[0], grid.rows[0][0][:16], grid.rows[0][-1]) == ("step", "2026-03-02 08:00", "slow, no growth")
    assert total == "8 sent"


@pytest.mark.parametrize(("value", "most", "expected"), [
    (0, 0, ""), (0, 10, ""), (10, 10, "█" * 20), (5, 10, "█" * 10), (1, 1_000_000, "▏"), (9, 160, "█▏"), (5, 160, "▋"),
])
def test_bars(value: int, most: int, expected: str) -> None:
    assert bar(value, most) == expected
