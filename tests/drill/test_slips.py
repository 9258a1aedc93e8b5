"""What befalls a daemon in a drill is what its campaign's report names as the cause of what slipped."""

import json

from support.drills import SMALL, drilled, event, failed

LANE = "support/gmail"
# Ten in each slot of half an hour: a whole day, and half of the next.
DAYS = SMALL.replace("start = 60", "start = 240").replace("count = 40", "count = 400").replace(
    "{ gmail = 0.5, outlook = 0.5 }", "{ gmail = 1.0 }")
NOTHING = "nothing that was recorded explains it"


def told(tmp_path, *more, text=DAYS):
    """The episodes of the report: (from, promised, in time, why)."""
    result = drilled(tmp_path, *more, text=text)
    assert failed(result) == []
    (report,) = result["reports"]
    assert NOTHING not in json.dumps(report)
    return [(one["from"][8:16], one["promised"], one["in_time"], one["why"]) for one in report["slips"]], report


def test_a_crash_cuts_its_batch_short_and_what_was_in_doubt_takes_places_again(tmp_path):
    slips, report = told(tmp_path, event("day 1 10:02", "crash", during="hand_over"))
    assert report["attempts"] == {"accepted": 400, "in_doubt": 1}
    assert slips == [
        # One had been taken, one was perhaps; eight came back untried.
        ("02T10:00", 10, 2, "the daemon did not run: it had crashed"),
        ("02T10:30", 10, 9, ("the daemon crashed after 2026-03-02 10:00:00 UTC, and what was under way then took "
                            "1 place again")),
    ]
    assert [one["cause"] for one in report["slips"]] == ["stopped", "crash"]


def test_copies_of_what_was_in_doubt_are_named(tmp_path):
    slips, report = told(tmp_path, event("day 1 10:00", "doubt", for_="20m", share=0.6))
    copies = report["attempts"]["in_doubt"]
    assert {one["cause"] for one in report["slips"]} == {"doubt"}
    assert sum(promised - in_time for _, promised, in_time, _ in slips) == copies > 1
    assert slips[0][3] == f"{copies} messages in doubt were sent again"


def test_a_clock_that_is_put_forward_is_named_and_so_is_what_follows(tmp_path):
    slips, report = told(tmp_path, event("day 1 12:45", "clock", jump="+3h"))
    assert slips[0][0::3] == ("02T13:00", "the clock was put forward by 3 h")
    assert {why.removeprefix("it followed from an earlier slip: ") for *_, why in slips} == {
        "the clock was put forward by 3 h"}
    assert report["slips"][0]["cause"] == "clock_put"


def test_while_a_killed_daemon_is_down_its_report_says_since_when(tmp_path):
    slips, report = told(tmp_path, event("day 1 12:45", "crash", for_="3d"))
    since = "2026-03-02 12:"
    assert [one["cause"] for one in report["slips"]] == ["stopped"]
    assert slips[0][3].startswith(f"the daemon has not run since {since}")
    assert report["slips"][0]["missing"] == slips[0][1] - slips[0][2] > 100
    assert (report["promise_kept"], report["expected_end"]) == (None, None)
    left = report["messages"]["queued"] + report["messages"]["sending"]
    assert report["summary"] == f"It stands still, with {left} messages left, as {slips[0][3]}."


def test_what_expired_as_it_was_delayed_stays_a_slip_of_the_delay(tmp_path):
    text = DAYS.replace('at = "day 1 07:30"', 'at = "day 1 07:30"\nuseful_for = "30h"')
    reload = event("day 1 12:10", "reload") + "\nset = { ramps = { careful = { start = 96 } } }"
    _, report = told(tmp_path, reload, text=text)
    assert report["skipped"].get("expired", 0) > 0
    assert {one["cause"] for one in report["slips"]} == {"reload"}
    assert sum(one["missing"] for one in report["slips"]) > 0
