"""The reports that drills end with: of campaigns that did not go as they were promised to."""

from pathlib import Path

from support.drills import drilled, event

from dispatcher.cli.report import write_page

START = 'start = "2026-03-02 07:00"\ntimezone = "UTC"\n'
HOUSE = """
[ramps.careful]
start = 100
every = "1h"
timezone = "UTC"
offset = "0s"
[senders.support]
from = "Acme <support@acme.example>"
ramp = "careful"
[customers]
count = 200
providers = { gmail = 1.0 }
[[sends]]
id = "delay"
at = "day 1 07:30"
"""
TWO_DAYS = START + "days = 2\nexact = true\n" + HOUSE


def report_of(result: dict, campaign: str = "delay") -> dict:
    (found,) = [one for one in result["reports"] if one["campaign"] == campaign]
    return found


def test_who_expired_beyond_what_was_said_breaks_the_promise(tmp_path: Path) -> None:
    later = '[[sends]]\nid = "urgent"\nat = "day 1 09:30"\ncategory = "critical"'
    text = TWO_DAYS.replace("days = 2", "days = 4") + 'useful_for = "35h"\n'
    told = report_of(drilled(tmp_path, later, text=text))
    assert told["promise"]["late"] == 0
    assert told["skipped"] == {"expired": 184}
    assert told["promise_kept"] is False
    assert told["summary"].startswith("The promise was not kept: 184 messages expired before a place came, as urgent,")


def test_what_was_said_to_be_too_late_breaks_no_promise_and_has_its_place_on_the_page(tmp_path: Path) -> None:
    result = drilled(tmp_path, text=TWO_DAYS + 'useful_for = "5h"\n')
    told = report_of(result)
    assert told["promise"]["late"] == told["skipped"]["expired"] > 0
    assert told["promise_kept"] is True
    assert told["summary"].endswith(f"; {told['skipped']['expired']} messages expired, as it had said.")
    write_page(result["reports"], tmp_path / "page.html", "A drill")
    page = (tmp_path / "page.html").read_text()
    promised, actual = told["promise"]["late"], told["skipped"]["expired"]
    assert f'<th scope="row">Too late</th><td>{promised}</td><td>{actual}</td>' in page


def test_what_was_released_and_put_back_was_not_sent(tmp_path: Path) -> None:
    told = report_of(drilled(tmp_path, event("day 1 10:30", "cancel", campaign="delay", reason="wrong"), text=TWO_DAYS))
    (segment,) = told["segments"]
    assert segment["released"] == segment["accepted"] == sum(one["first"] for one in told["batches"]) == 21
    assert segment["released"] + segment["skipped"] == 200
    half = [one for one in told["promise"]["batches"] if one["at"] == "2026-03-02T10:00:00Z"]
    assert [(one["kept"], one["size"], one["in_time"], one["cause"]) for one in half] == [("smaller", 9, 5, "canceled")]


def test_what_keeps_a_campaign_back_now_is_named_and_not_what_once_did(tmp_path: Path) -> None:
    result = drilled(tmp_path, event("day 1 10:30", "stop", for_="5h"),
                     event("day 1 16:30", "hold", name="delay", reason="words being checked"),
                     text=TWO_DAYS)
    assert report_of(result)["summary"].endswith("messages left: words being checked.")


def test_a_lane_that_is_held_keeps_back_all_that_stands_in_it(tmp_path: Path) -> None:
    result = drilled(tmp_path, event("day 1 16:30", "hold", name="support/gmail", reason="being warmed"),
                     text=TWO_DAYS)
    assert report_of(result)["summary"].endswith("messages left: being warmed.")
