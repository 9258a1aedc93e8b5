"""Drills of a few customers: every kind of event does what it says, and the promises are counted."""

import json

import pytest
from support.drills import SHORT, SMALL, drill, drilled, event, failed, happened

from dispatcher.drill import main
from dispatcher.drill.main import run_drill


def lanes(result, *names):
    return [tuple(row[name] for name in ("day", "lane", *names)) for row in result["lanes"]]


def test_a_quiet_drill_keeps_its_promise_to_the_message(tmp_path):
    result = drilled(tmp_path, '[expect]\ndone_before = "day 1 20:00"\nnobody_late = true\naccepted_at_least = 24\n'
                               'copies_at_most = 0\nplan_kept_from = "day 1 07:40"')
    assert failed(result) == []
    assert result["ok"]
    assert (result["messages"], result["handed_over"]) == ({"accepted": 24}, 24)
    assert lanes(result, "allowance", "sent", "state") == [
        (1, "support/gmail", 60, 12, "healthy"), (1, "support/outlook", 60, 12, "healthy")]
    assert result["reports"][0]["promise"]["kept"]["on_time"] == result["batches"]


def test_the_same_drill_is_the_same_run_and_another_seed_another(tmp_path):
    storm = event("day 1 08:00", "deferrals", provider="gmail", share=0.5, for_="3h")
    first, second = drilled(tmp_path, storm), drilled(tmp_path, storm)
    other = drilled(tmp_path, storm, text=SHORT.replace("exact", "seed = 2\nexact"))
    assert first["digest"] == second["digest"] != other["digest"]
    assert json.dumps(first | {"seconds": 0}) == json.dumps(second | {"seconds": 0})


def test_a_storm_at_one_provider_changes_nothing_at_another(tmp_path):
    quiet = drilled(tmp_path)
    stormy = drilled(tmp_path, event("day 1 08:00", "deferrals", provider="gmail", for_="3h"))
    assert failed(stormy) == []
    pick = [[row for row in one["lanes"] if row["lane"] == "support/outlook"] for one in (quiet, stormy)]
    assert pick[0] == pick[1]
    assert sum(row["deferred"] for row in stormy["lanes"] if row["lane"] == "support/gmail") > 0


@pytest.mark.parametrize(("what", "words"), [
    (event("day 1 10:00", "crash", turns=30), ["the daemon is killed", "the daemon starts"]),
    (event("day 1 10:00", "stop", for_="2h"), ["the daemon is stopped", "the daemon starts"]),
    (event("day 1 10:00", "hold", reason="a look", for_="1h"), ["everything is held"]),
    (event("day 1 10:00", "hold", reason="a look", name="support/gmail"), ["support/gmail is held"]),
    (event("day 1 10:00", "hold", reason="a look", name="service"), ["service is held"]),
    (event("day 1 10:00", "suppress", count=4), ["4 addresses are suppressed"]),
    (event("day 1 10:00", "suppress", share=0.5, provider="gmail"), ["6 addresses are suppressed"]),
    (event("day 1 12:00", "complaints", count=2), ["2 complaints come in"]),
    (event("day 1 10:00", "cancel", campaign="delay"), ["delay is canceled"]),
    (event("day 1 10:00", "send", campaign="delay"), ["delay is sent: 0 messages"]),
    (event("day 1 10:00", "clock", jump="+1h"), ["the clock is put forward by 1h"]),
    (event("day 1 10:00", "clock", jump="-20m"), ["the clock is put back by 20m"]),
    (event("day 1 10:00", "unreachable", for_="2h", provider="gmail"), ["unreachable at gmail for 2h"]),
    (event("day 1 10:00", "slow", for_="2h", takes="50m", sender="support"), ["slow at support for 2h, 50m each"]),
    (event("day 1 10:00", "doubt", for_="4h"), ["doubt at every provider for 4h"]),
    (event("day 1 10:00", "bounces", for_="4h", share=0.5), ["bounces of 50% at every provider for 4h"]),
])
def test_every_event_happens_and_every_promise_holds(tmp_path, what, words):
    result = drilled(tmp_path, what)
    assert failed(result) == []
    found = [text for _, text in happened(result, *words)]
    assert [any(text.startswith(word) for text in found) for word in words] == [True] * len(words)


def test_what_is_held_waits_and_goes_on_when_it_is_resumed(tmp_path):
    hold = event("day 1 08:00", "hold", reason="a look")
    held = drilled(tmp_path, hold)
    resumed = drilled(tmp_path, hold, event("day 1 12:00", "resume"))
    assert failed(held) == failed(resumed) == []
    assert (held["handed_over"], resumed["messages"]) == (0, {"accepted": 24})


def test_doubts_make_copies_and_no_more_than_doubts(tmp_path):
    result = drilled(tmp_path, event("day 1 07:31", "doubt", for_="40m"), "[expect]\ncopies_at_most = 0")
    copies = next(one for one in result["checks"] if one["promise"] == "P5")
    assert copies["ok"]
    assert not result["ok"]
    assert [one["name"] for one in result["expected"] if not one["ok"]] == ["at most 0 copies beyond one each"]


def test_a_reload_changes_the_allowance_and_a_refused_one_nothing(tmp_path):
    good = '[[events]]\nat = "day 1 09:00"\nkind = "reload"\nset = { ramps = { careful = { start = 30 } } }'
    bad = '[[events]]\nat = "day 1 09:30"\nkind = "reload"\nset = { ramps = { careful = { growth = 5.0 } } }'
    result = drilled(tmp_path, good, bad)
    assert failed(result) == []
    assert lanes(result, "allowance")[:2] == [(1, "support/gmail", 30), (1, "support/outlook", 30)]
    assert [one["what"] for one in result["timeline"] if "reload" in one["what"] and one["by"] == "drill"] == [
        "the configuration is reloaded", "reload refused"]


def test_history_gives_a_lane_its_past(tmp_path):
    result = drilled(tmp_path, '[[history]]\nlane = "support/gmail"\nsent = [100, 120, 140]')
    assert lanes(result, "allowance")[:2] == [(1, "support/gmail", 168), (1, "support/outlook", 60)]


def test_an_unapproved_campaign_waits_for_its_approval(tmp_path):
    text = SHORT.replace("[customers]", "[campaigns]\napproval = true\n[customers]")
    waits = drilled(tmp_path, text=text)
    goes = drilled(tmp_path, event("day 1 12:00", "approve", campaign="delay", by="Ada"), text=text)
    assert (waits["handed_over"], failed(waits)) == (0, [])
    assert (goes["handed_over"], failed(goes)) == (24, [])


def test_an_expectation_that_is_not_met_fails_the_drill(tmp_path):
    result = drilled(tmp_path, """[expect]
done_before = "day 1 08:30"
accepted_at_least = 25
nobody_late = false
lanes = [{ lane = "support/gmail", at = "day 1 12:00", state = "slow" },
         { lane = "support/gmail", at = "day 1 12:00", allowance_at_most = 59 }]""")
    assert [one["ok"] for one in result["expected"]] == [False] * 5
    assert not result["ok"]


def test_customers_stay_active_over_weeks(tmp_path):
    text = SMALL.replace("days = 2", "days = 8").replace("exact = true", "").replace(
        "count = 40", "count = 40\nactive = 0.9").replace("start = 60", "start = 3\nceiling = 3").replace(
        "[customers]", '[audience]\nactive_within = "3d"\n[customers]')
    result = drilled(tmp_path, text=text)
    assert failed(result) == []
    assert (result["skipped"], result["messages"]["accepted"]) == ({"inactive": 3}, 37)


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """Where drills live, watched."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(main, "IN_MEMORY", folder)
    return folder


def test_nothing_is_left_behind(tmp_path, memory):
    there = []
    run_drill(drill(tmp_path, text=SHORT), watch=lambda _: there.extend(memory.iterdir()))
    assert there
    assert list(memory.iterdir()) == []


def test_nothing_is_left_behind_by_a_drill_that_is_broken_off(tmp_path, memory):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_drill(drill(tmp_path, text=SHORT), watch=stop)
    assert list(memory.iterdir()) == []


def test_what_is_kept_is_there_afterwards(tmp_path):
    run_drill(drill(tmp_path, text=SHORT), tmp_path / "kept")
    assert {"dispatcher.toml", "store.db"} <= {path.name for path in (tmp_path / "kept").iterdir()}
