from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.config_files import LEAST, loaded

from config.changes import changes
from config.model import Settings

BASE = "[ramps.careful]\n{ramp}\n[senders.support]\nfrom = 'support@acme.example'\nramp = 'careful'\n{sender}\n{more}\n"


def settings(folder: Path, ramp: str = "", sender: str = "", more: str = "") -> Settings:
    environ = {"ONE": "hunter2", "TWO": "hunter3"}
    return loaded(folder, BASE.format(ramp=ramp, sender=sender, more=more), environ).settings


def lines(folder: Path, old: dict[str, str], new: dict[str, str]) -> list[str]:
    return [str(change) for change in changes(settings(folder, **old), settings(folder, **new))]


LOGIN = "username = 'a'\npassword = {{ env = '{}' }}"


@pytest.mark.parametrize(("old", "new", "expected"), [
    ({}, {}, []),
    ({}, {"ramp": "start = 100"}, []),
    ({"ramp": "start = 100"}, {"ramp": "start = 200"}, ["ramps.careful.start: 100 -> 200"]),
    ({}, {"ramp": "start = 200"}, ["ramps.careful.start: 100 -> 200"]),
    ({}, {"ramp": "every = '10m'\nweekdays = 'mon-fri'"},
     ['ramps.careful.every: "5m" -> "10m"', 'ramps.careful.weekdays: "mon-sun" -> "mon,tue,wed,thu,fri"']),
    ({}, {"ramp": "hours = '09:00-24:00'\noffset = '0s'"},
     ['ramps.careful.hours: "08:00-20:00" -> "09:00-24:00"', 'ramps.careful.offset: "auto" -> "0s"']),
    ({}, {"ramp": "preset = 'fast'"},
     ['ramps.careful.preset: "careful" -> "fast"', "ramps.careful.growth: 1.2 -> 1.4"]),
    ({}, {"ramp": "steps = [200, 500]"},
     ["ramps.careful.start: 100 -> 200", "ramps.careful.ceiling: 10000 -> 500",
      "ramps.careful.steps: [] -> [200, 500]"]),
    ({}, {"ramp": "providers.gmail.start = 50"}, ["ramps.careful.providers.gmail.start: 100 -> 50"]),
    ({"ramp": "providers.gmail.start = 50"}, {"ramp": "start = 200"},
     ["ramps.careful.start: 100 -> 200", "ramps.careful.providers.gmail.start: 50 -> 200"]),
    ({}, {"more": "[ramps.other]"}, ["ramps.other: added"]),
    ({"more": "[ramps.other]"}, {}, ["ramps.other: removed"]),
    ({}, {"more": "[senders.texts]\nfrom = 'a@b.example'\nramp = 'careful'"}, ["senders.texts: added"]),
    ({}, {"sender": "server = 'smtps://mail.acme.example'"},
     ['senders.support.server: "smtp://localhost:25" -> "smtps://mail.acme.example:465"']),
    ({}, {"sender": "reply_to = 'Acme <a@b.example>'"}, ['senders.support.reply_to: unset -> "Acme <a@b.example>"']),
    ({"sender": LOGIN.format("ONE")}, {"sender": LOGIN.format("ONE")}, []),
    ({"sender": LOGIN.format("ONE")}, {"sender": LOGIN.format("TWO")}, ["senders.support.password: changed"]),
    ({}, {"sender": LOGIN.format("TWO")},
     ['senders.support.username: unset -> "a"', "senders.support.password: changed"]),
    ({}, {"more": "[frequency]\nservice = { most = 2, within = '1d' }"},
     ['frequency.service: unset -> { most = 2, within = "1d" }']),
    ({}, {"more": "[quiet]\nhours = '21:00-08:00'"}, ['quiet.hours: unset -> "21:00-08:00"']),
    ({}, {"more": "[mx]\nnameservers = ['127.0.0.1', '[::1]:5353']\nlookup = false"},
     ["mx.lookup: true -> false", 'mx.nameservers: [] -> ["127.0.0.1:53", "[::1]:5353"]']),
    ({}, {"more": "[reputation]\nbounces = { slow = 0.02 }"},
     ["reputation.bounces: { slow = 0.03, hold = 0.05 } -> { slow = 0.02, hold = 0.05 }"]),
    ({}, {"more": "[[reputation.rules]]\nname = 'x'\nreply = 'y'\naction = 'hold'"},
     ['reputation.rules: [] -> [{ name = "x", reply = "y", action = "hold", provider = "*" }]']),
    ({}, {"more": "[retry]\ndelays = ['2s']"}, ['retry.delays: ["30m", "30m", "1h", "2h", "3h"] -> ["2s"]']),
    ({}, {"more": "[campaigns]\napproval = true"}, ["campaigns.approval: false -> true"]),
    ({}, {"more": "[audience]\nactivity = ['order']"},
     ['audience.activity: ["product", "order", "support"] -> ["order"]']),
    ({}, {"more": "[store]\nurl = 'sqlite:////var/x.db'"},
     ['store.url: "sqlite:////var/lib/dispatcher/dispatcher.db" -> "sqlite:////var/x.db" (after a restart)']),
    ({"more": "[store]\nkeep = '400d'"}, {"more": "[store]\nkeep = '90d'"}, ['store.keep: "400d" -> "90d"']),
    ({}, {"more": "[http]\nadmin = 'unix:/run/x.sock'"},
     ['http.admin: "unix:/run/dispatcher/admin.sock" -> "unix:/run/x.sock" (after a restart)']),
])
def test_what_differs_is_told_in_the_words_of_the_file(
    tmp_path: Path, old: dict[str, str], new: dict[str, str], expected: list[str],
) -> None:
    assert lines(tmp_path, old, new) == expected


def test_no_change_shows_a_secret(tmp_path: Path) -> None:
    found = changes(settings(tmp_path, sender=LOGIN.format("ONE")), settings(tmp_path, sender=LOGIN.format("TWO")))
    assert found
    assert "hunter" not in repr(found)


def test_only_the_store_and_the_listener_wait_for_a_restart(tmp_path: Path) -> None:
    more = ("[store]\nurl = 'sqlite:////var/x.db'\n[http]\nadmin = 'unix:/run/x.sock'\n[log]\nlevel = 'debug'\n"
            "[service]\nstop_within = '5s'\n[quiet]\nhours = '21:00-08:00'")
    found = changes(settings(tmp_path), settings(tmp_path, ramp="start = 5", more=more))
    assert {change.key for change in found if change.restart} == {"store.url", "http.admin"}
    assert len(found) == 6


STARTS = (st.integers(1, 500).map("start = {}".format)
          | st.sampled_from(["", "steps = [1, 2]", "providers.gmail.start = 7"]))


@given(STARTS, STARTS)
def test_there_and_back_again_is_told_the_other_way_round(
    tmp_path_factory: pytest.TempPathFactory, one: str, other: str,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    first, second = settings(folder, ramp=one), settings(folder, ramp=other)
    assert changes(first, first) == []
    there, back = changes(first, second), changes(second, first)
    assert sorted((c.key, c.before, c.after) for c in there) == sorted((c.key, c.after, c.before) for c in back)


def test_the_least_file_differs_in_nothing_from_itself(tmp_path: Path) -> None:
    assert changes(loaded(tmp_path, LEAST).settings, loaded(tmp_path, LEAST).settings) == []
