"""The drills that come with the documentation do what their files and docs/drill.md say."""

import re
from pathlib import Path

import pytest
from support.commands import CHECKOUT
from support.drills import failed
from support.markdown import blocks, table

from dispatcher.cli.drill_view import drill_view
from dispatcher.cli.output import Grid, _columns
from dispatcher.drill.file import read_drill
from dispatcher.drill.kinds import KINDS
from dispatcher.drill.main import check_drill, run_drill
from dispatcher.drill.tables import ExpectTable

SHIPPED = CHECKOUT / "docs" / "drills"
PAGE = CHECKOUT / "docs" / "drill.md"
LONG = "long-ramp"      # run by tests/bench/test_bench_drill.py


def plain(result):
    """What the command prints where no terminal is."""
    for block in drill_view(result):
        yield from _columns(block) if isinstance(block, Grid) else [block]


@pytest.fixture(scope="module")
def results():
    """The result of each, run once."""
    return {}


def result_of(results, name):
    if name not in results:
        drill = read_drill(SHIPPED / f"{name}.toml")
        check_drill(drill)
        results[name] = run_drill(drill)
    return results[name]


def named(kind):
    return sorted(path.stem for path in SHIPPED.glob("*.toml") if path.stem != LONG or kind == "all")


@pytest.mark.parametrize("name", named("run"))
def test_every_promise_and_expectation_of_a_shipped_drill_holds(results, name):
    assert failed(result_of(results, name)) == []


def test_the_long_ramp_can_be_read():
    found = read_drill(SHIPPED / f"{LONG}.toml")
    assert (found.table.customers.count, found.table.days) == (100_000, 30)


def test_in_the_storm_gmail_slows_within_one_slot_others_do_not_notice_and_it_climbs_back(results):
    result = result_of(results, "gmail-storm")
    told = [(row["when"], row["what"]) for row in result["timeline"] if row["what"].startswith("support/")]
    assert told[0] == ("day 4 10:00", "support/gmail: lane slowed")
    assert told[-1][1] == "support/gmail: lane healthy"
    assert {what for _, what in told} == {"support/gmail: lane slowed", "support/gmail: lane healthy"}
    days = {(row["day"], row["lane"]): row for row in result["lanes"]}
    states = {lane: [days[day, f"support/{lane}"]["state"] for day in range(1, 7) if (day, f"support/{lane}") in days]
              for lane in ("gmail", "outlook", "other")}
    assert set(states["outlook"] + states["other"]) == {"healthy"}
    assert states["gmail"][3:5] == ["slow", "slow"]
    full = [days[day, "support/outlook"]["allowance"] for day in range(1, 6)]
    assert [days[day, "support/outlook"]["sent"] for day in range(1, 5)] == full[:4] == [400, 480, 576, 691]


@pytest.mark.parametrize("block", [one for one in blocks(PAGE) if one.language == "text"], ids=str)
def test_the_page_shows_what_is_really_printed(results, block):
    printed = list(plain(result_of(results, block.name)))
    missing = [line for line in block.text.splitlines() if line.rstrip() not in {one.rstrip() for one in printed}]
    assert missing == []


def test_the_drill_that_the_page_shows_can_be_run(tmp_path: Path):
    shown = next(one for one in blocks(PAGE) if one.name == "drill.toml")
    file = tmp_path / "drill.toml"
    file.write_text(shown.text)
    drill = read_drill(file)
    check_drill(drill)
    assert failed(run_drill(drill)) == []


def test_the_page_has_every_event_with_its_keys():
    rows = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in table(PAGE, "kind")}
    assert rows == {name: {*kind.needs, *kind.may, *kind.one_of} for name, kind in KINDS.items()}


def test_the_page_has_every_expectation():
    assert {row[0].strip("`") for row in table(PAGE, "key")} == set(ExpectTable.model_fields)


def test_the_page_has_every_shipped_drill():
    shown = {name for row in table(PAGE, "file") for name in re.findall(r"drills/([\w-]+)\.toml", row[0])}
    assert shown == set(named("all"))


def test_every_promise_that_a_drill_checks_is_explained(results):
    rows = {row[0]: row[2] for row in table(PAGE, "promise")}
    checked = {one["promise"] for one in result_of(results, "gmail-storm")["checks"]}
    assert list(rows) == [f"P{number}" for number in range(1, 15)]
    assert checked == {promise for promise, how in rows.items() if how.startswith("checked")}
