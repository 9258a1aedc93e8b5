"""How results look: on paper, in a pipe, on a terminal."""

import os
import pty
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress

import pytest
from support.command_line import COMMAND, House, Typing, environment

from dispatcher.cli.output import Grid, clean, fields, print_blocks
from dispatcher.cli.plan import ending, plan_view
from dispatcher.cli.status import status_view

LONG = "a-campaign-with-a-name-that-is-longer-than-any-terminal-is-wide-as-it-were"
STATUS = {
    "lanes": [{"lane": "support/gmail", "state": "slow", "why": "421", "allowance": 1200, "spent": 30, "queued": 5,
               "next_slot_at": "2026-03-01T08:00:00Z", "next_size": 4}],
    "messages": {"queued": 5, "sending": 0, "accepted": 30, "skipped": 3}, "skipped": {"inactive": 2, "capped": 1},
    "holds": [{"kind": "campaign", "name": "delay", "reason": "price", "by": "Eve",
               "at": "2026-03-01T07:30:00Z", "until": None}],
    "campaigns": [{"campaign": "delay", "queued": 5, "why": "price"}], "faults": ["campaigns/x: broken"],
    "instances": [{"id": 3, "machine": "mars", "process": 7, "since": "2026-03-01T07:00:00Z",
                   "seen_at": "2026-03-01T07:59:55Z", "living": True, "under_way": 12, "answers": True}],
    "daemon": {"running": True, "since": "2026-03-01T07:00:00Z", "draining": True, "store": "disk full"},
}
PLAN = {
    "batches": [
        {"at": "2026-03-01T08:00:00Z", "lane": "support/gmail", "size": 2, "segments": {"DE/Berlin": 1, "*": 1},
         "limit": "allowance", "after": "hours"},
        {"at": "2026-03-01T08:05:00Z", "lane": "support/gmail", "size": 3, "segments": {"*": 3}, "limit": "backlog",
         "after": ""},
        {"at": "2026-03-02T08:00:00Z", "lane": "news/other", "size": 1, "segments": {"*": 1}, "limit": "backlog",
         "after": "hold"},
    ],
    "days": [
        {"day": "2026-03-01", "lane": "support/gmail", "batches": 2, "messages": 5, "allowance": 100},
        {"day": "2026-03-02", "lane": "news/other", "batches": 1, "messages": 1, "allowance": 20},
    ],
    "campaigns": [{"campaign": "delay", "queued": 17, "done_at": None, "late": 4, "left": 7}],
    "lanes": [{"lane": "news/gmail", "state": "held", "why": "bad words", "until": None}],
    "done_at": None, "late": 4, "late_campaigns": {"delay": 4}, "left": 7, "complete": True,
    "unplaced": [{"lane": "news/gmail", "count": 7, "why": "held: bad words"}],
    "blocked": [{"campaign": "spring", "queued": 9, "why": "waits for approval", "until": None}], "assumed": [],
}


def test_status_shows_the_daemon_the_lanes_the_queue_and_what_is_kept_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_blocks(status_view(STATUS))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the daemon runs since 2026-03-01 ")
    assert lines[0].endswith(", and is ending; the store fails: disk full")
    print_blocks(status_view(STATUS | {"daemon": STATUS["daemon"] | {"store": "", "late": "0.4 s"}}))
    assert capsys.readouterr().out.splitlines()[0].endswith(", and is ending; it sends late: 0.4 s")
    assert re.split(r" {2,}", lines[2])[:5] == ["support/gmail", "slow", "1200", "30", "5"]
    assert [line.split() for line in lines[4:9]] == [
        ["state", "reason", "messages"], ["queued", "-", "5"], ["accepted", "-", "30"], ["skipped", "inactive", "2"],
        ["skipped", "capped", "1"],
    ]
    assert "not applied: campaigns/x: broken" in lines
    [held] = [re.split(r" {2,}", line) for line in lines if line.startswith("campaign delay")]
    assert (held[:3], held[3][:10], held[4]) == (["campaign delay", "price", "Eve"], "2026-03-01", "resumed")
    assert "delay                    5  price" in lines


def test_status_lists_the_daemons_that_share_the_store(capsys: pytest.CaptureFixture[str]) -> None:
    [here] = STATUS["instances"]
    others = [here | {"id": 4, "machine": "venus", "answers": False},
              here | {"id": 5, "machine": "pluto", "answers": False, "living": False}]
    print_blocks(status_view(STATUS | {"instances": [here, *others]}))
    lines = [re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["machine", "process", "since", "last seen", "under way", "state"]
    assert [(line[0], line[4], line[5]) for line in lines[2:5]] == [
        ("mars", "12", "answers"), ("venus", "12", "runs"), ("pluto", "12", "ended: its lease is over")]
    nobody = {"daemon": STATUS["daemon"] | {"running": False}, "instances": others}
    print_blocks(status_view(STATUS | nobody))
    assert capsys.readouterr().out.splitlines()[0] == "no daemon answers here; 1 on the store"


def test_status_of_an_empty_house_says_so(home: House, typed: Typing) -> None:
    assert typed("status").out.splitlines() == ["no daemon is running: nothing is sent", "no messages"]


def test_a_plan_shows_its_batches_their_sums_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    print_blocks(plan_view(PLAN, 2))
    lines = capsys.readouterr().out.splitlines()
    assert re.split(r" {2,}", lines[1])[1:] == ["2026-03-01T08:00:00Z", "support/gmail", "2", "DE/Berlin 1, * 1",
                                                "allowance", "hours"]
    assert lines[3] == "and 1 more batches: --all shows them"
    assert [line.split() for line in lines[5:8]] == [
        ["day", "lane", "batches", "messages", "allowance"], ["2026-03-01", "support/gmail", "2", "5", "100"],
        ["2026-03-02", "news/other", "1", "1", "20"],
    ]
    assert [line.split() for line in (lines[10], lines[13])] == [
        ["news/gmail", "held", "bad", "words", "-", "-"], ["delay", "17", "-", "-", "4", "7"],
    ]
    assert lines[15:] == [
        "4 would hear too late: delay 4", "news/gmail: 7 stay in the queue (held: bad words)",
        "campaign spring: 9 stay in the queue (waits for approval)",
    ]


@pytest.mark.parametrize("until", ["3d", "2199-01-01", "2199-01-01T08:00:00+01:00"])
def test_a_plan_may_end_at_an_instant_a_date_or_so_far_from_now(until: str, home: House, typed: Typing) -> None:
    ended = typed("plan", "--until", until)
    assert (ended.code, ended.out, ended.err) == (0, "nothing is to be sent\n", "")


@pytest.mark.parametrize(("change", "lines"), [
    ({"done_at": "2026-03-02T08:00:00Z", "late": 0, "left": 0, "unplaced": [], "blocked": []},
     ["done at 2026-03-02 08:00:00 UTC (2026-03-02T08:00:00Z)"]),
    ({"late": 0, "left": 0, "unplaced": [], "blocked": []}, ["nothing is to be sent"]),
    ({"done_at": "2026-03-02T08:00:00Z", "late": 0, "left": 0, "unplaced": [],
      "blocked": [{"campaign": "delay", "queued": 280, "why": "canary", "until": "2026-03-02T07:00:00Z"}],
      "assumed": [{"campaign": "delay", "canary_passes_at": "2026-03-02T07:00:00Z"}]},
     ["done at 2026-03-02 08:00:00 UTC (2026-03-02T08:00:00Z)",
      "campaign delay: 280 wait until 2026-03-02 07:00:00 UTC (canary)",
      ("campaign delay: what follows its canary leaves as planned if the canary passes at 2026-03-02 07:00:00 UTC; "
       "if not, it stays in the queue")]),
])
def test_a_plan_says_how_it_ends(
    change: Mapping[str, object], lines: list[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dispatcher.cli.plan.local_time", lambda instant: f"{instant[:10]} {instant[11:19]} UTC")
    assert list(ending(PLAN | change)) == lines


def test_in_a_pipe_columns_are_as_wide_as_they_must_be_and_numbers_stand_to_the_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_blocks(["a line", Grid(("id", "count", "why"), [(LONG * 3, 1, None), ("b", 22, "x")])])
    width = len(LONG * 3)
    assert capsys.readouterr().out.splitlines() == [
        "a line", f"{'id':{width}}  count  why", f"{LONG * 3}      1  -", f"{'b':{width}}     22  x",
    ]


def test_fields_leave_out_what_is_empty() -> None:
    assert fields({"a": "", "b": None, "c": [], "d": 0, "e": ["x", "y"], "f": {"k": "v"}, "g": False}).rows == [
        ("d", 0), ("e", "x, y"), ("f", "k=v"), ("g", "no")]


@pytest.mark.parametrize(("text", "line"), [
    ("a\tb\nc\r", "a b c "), ("\x1b[31mred", "\ufffd[31mred"), ("\x9b2J", "\ufffd2J"), ("abc\u202edef", "abc\ufffddef"),
    ("plain \u00fc [bold]", "plain \u00fc [bold]"),
])
def test_what_came_from_outside_cannot_control_the_terminal(text: str, line: str) -> None:
    assert clean(text) == line


def on_a_terminal(home: House, *words: str, **env: str) -> tuple[int, str]:
    """A command's exit code and what a terminal of 60 columns gets of it."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(  # noqa: S603 -- our own command
        [*COMMAND, *words], cwd=home.folder, stdout=theirs, stderr=theirs,
        env=environment({"COLUMNS": "60", "TERM": "xterm-256color", **env}),
    ) as process:
        os.close(theirs)
        seen = b""
        with suppress(OSError):     # the other end is closed
            while some := os.read(ours, 65_536):
                seen += some
    os.close(ours)
    return process.returncode, seen.decode()


def test_on_a_terminal_there_is_colour_and_an_id_is_folded_but_never_cut(home: House) -> None:
    folder = home.campaign(LONG[:64])
    home.type("campaign", "apply", folder)
    code, seen = on_a_terminal(home, "campaign", "list")
    assert code == 0
    assert "\x1b[" in seen
    cells = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    first, *others = re.findall(r"^([a-z-]+) ", cells.replace("\r", ""), re.MULTILINE)[1:]
    assert first + "".join(others) == LONG[:64]
    assert all(word in cells for word in ("category", "service", "applied_at", "queued"))


def test_with_no_color_there_is_none(home: House) -> None:
    home.type("campaign", "apply", home.campaign())
    _, seen = on_a_terminal(home, "campaign", "list", NO_COLOR="1")
    assert "delay" in seen
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", seen)


def test_a_terminal_sees_a_long_import_move(home: House) -> None:
    home.people([{"id": f"c-{number}"} for number in range(1_500)])
    code, seen = on_a_terminal(home, "customers", "import", "people.ndjson")
    assert code == 0
    assert "imported 1500: 1500 new" in seen
    assert "%" in seen


def test_json_is_on_one_line_in_a_pipe_and_indented_for_a_person(home: House) -> None:
    assert len(home.type("status", "--json").out.splitlines()) == 1
    assert len(on_a_terminal(home, "status", "--json")[1].splitlines()) > 10
