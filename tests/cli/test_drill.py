"""`dispatcher drill`: what is asked for, what is refused, and with which exit code it ends."""

import json

import pytest
from support.commands import DISPATCHER, run
from support.drills import SHORT, event, written

TINY = SHORT.replace("count = 24", "count = 6")


def drill(tmp_path, *words, timeout=110):
    return run(DISPATCHER, "drill", *words, cwd=tmp_path, timeout=timeout)


def test_a_drill_prints_lanes_promises_and_report_and_ends_well(tmp_path):
    written(tmp_path, TINY, event("day 1 12:00", "crash"))
    ended = drill(tmp_path, "drill.toml", "--html", "page.html", "--keep", "kept")
    assert (ended.returncode, ended.stderr) == (0, "")
    for words in ("drill.toml: 6 customers", "the daemon is killed", "support/gmail    healthy", "P14      ok",
                  "delay (service, version 1): 6 messages",
                  "13 of 15 checks are ok, none failed, 2 had nothing to judge", "the reports are in page.html"):
        assert words in ended.stdout
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert json.loads((tmp_path / "kept" / "result.json").read_text())["ok"]
    again = drill(tmp_path, "drill.toml", "--keep", "kept")
    assert again.returncode == 2
    assert "--keep kept is there and not empty; name a new folder" in again.stderr


def test_an_expectation_that_is_not_met_ends_with_one(tmp_path):
    written(tmp_path, TINY, "[expect]\naccepted_at_least = 7")
    ended = drill(tmp_path, "drill.toml", "--json")
    assert ended.returncode == 1
    result = json.loads(ended.stdout)
    assert (result["ok"], [one["ok"] for one in result["expected"]]) == (False, [False])
    assert result["seed"] == 1


def test_a_seed_is_a_drill_of_its_own_and_its_file_can_be_run(tmp_path):
    first = drill(tmp_path, "--seed", "5", "--json")
    assert first.returncode == 0
    shown = drill(tmp_path, "--seed", "5", "--print")
    (tmp_path / "seed.toml").write_text(shown.stdout)
    second = drill(tmp_path, "seed.toml", "--json")
    assert json.loads(first.stdout)["digest"] == json.loads(second.stdout)["digest"]


@pytest.mark.parametrize(("words", "said"), [
    ((), "name a drill file, or give --seed N"),
    (("nowhere.toml",), "nowhere.toml: there is no such file"),
    (("drill.toml", "--print"), "--print goes with --seed alone"),
    (("drill.toml", "--html", "none/page.html"), "--html none/page.html: the folder none does not exist"),
    (("broken.toml",), 'broken.toml:26: events[0].kind: is no event that a drill knows (did you mean "bounces"?)'),
])
def test_what_cannot_be_is_refused_with_two(tmp_path, words, said):
    broken = tmp_path / "broken.toml"
    written(tmp_path, TINY, event("day 1 12:00", "bounce")).rename(broken)
    written(tmp_path, TINY)
    ended = drill(tmp_path, *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
