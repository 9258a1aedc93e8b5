"""`report` on a terminal, and the file that it writes."""

import os
import stat
from pathlib import Path

import pytest
from support.command_line import House, Typing
from support.reports import storm

from dispatcher.cli.output import Grid, print_blocks
from dispatcher.cli.report import write_page
from dispatcher.cli.report_figures import days, named, ticks
from dispatcher.cli.report_view import head_view, report_view
from dispatcher.core.times import parse_instant


@pytest.fixture
def sent(home: House, typed: Typing) -> House:
    """A campaign with somebody in its queue, and no daemon."""
    typed("customers", "import", home.people(
        [{"id": "c-1", "email": "ada@mail.example", "name": "Ada", "location": "DE/Berlin",
          "last_order_at": "2024-01-01"}]))
    typed("campaign", "apply", home.campaign())
    assert typed("send", "delay").code == 0
    return home


def test_a_report_is_told_in_lines_or_as_json(sent: House, typed: Typing) -> None:
    ended = typed("report", "delay")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[:2] == [
        "delay (service, version 1): 1 messages",
        "It has not started: a plan is promised when the first of it may be released."]
    assert "ada" not in ended.out.lower()
    told = typed("report", "delay", "--json").data
    assert (told["campaign"], told["promise"], told["total"]) == ("delay", None, 1)
    missing = typed("report", "other")
    assert (missing.code, missing.errors) == (1, ["no campaign is called other; apply it first"])


def test_a_page_is_written_whole_for_everybody_to_read(sent: House, typed: Typing) -> None:
    old = sent.write("report.html", "an older one")
    inode = old.stat().st_ino
    ended = typed("report", "delay", "--html", "report.html")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "the report is in report.html")
    assert old.read_text().startswith("<!doctype html>")
    assert stat.S_IMODE(old.stat().st_mode) == 0o644
    assert old.stat().st_ino != inode
    assert "ada" not in old.read_text().lower()
    assert sorted(path.name for path in sent.folder.glob(".report*")) == []
    assert typed("report", "delay", "--html", "again.html", "--json").data["campaign"] == "delay"


@pytest.mark.parametrize(("name", "error"), [
    (".", "--html . is a folder; name a file in it"),
    ("none/report.html", "--html none/report.html: the folder none does not exist; make it, or name another"),
])
def test_what_no_page_can_be_written_to_is_refused_before_anything_is_done(
    name: str, error: str, sent: House, typed: Typing,
) -> None:
    ended = typed("report", "delay", "--html", name)
    assert (ended.code, ended.out, ended.errors) == (2, "", [error])


def test_a_page_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    target.write_text("the old one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_page([storm()], target)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.html", "the old one")]


def test_a_terminal_sees_the_promise_the_days_the_slips_and_who_was_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dispatcher.cli.report_view.local_time", lambda instant: instant[:16].replace("T", " "))
    print_blocks(report_view(storm()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "delivery-delay (service, version 2): 480 messages",
        "The promise was not kept: it ended 15 h later than promised, as the lane was slowed: deferrals.",
        "promised  480 messages, done 2026-03-03 20:00 (stored 2026-03-02 07:00)",
        "actual    480 messages, from 2026-03-02 08:00, the last 2026-03-04 11:00, 3 added after the promise",
        "batches   on time 44, smaller 4",
    ]
    cells = [line.split() for line in lines]
    assert ["DE/Berlin", "380", "360", "352", "6", "2", "0", "20"] in cells
    assert ["all", "480", "457", "441", "12", "4", "0", "23"] in cells
    assert ["2026-03-02", "support/gmail", "120", "92", "\u2588" * 18 + "\u2591" * 6] in cells
    assert ["2026-03-04", "support/gmail", "0", "28", "\u2588" * 6] in cells
    assert lines[-5].endswith("2026-03-04 11:00  the lane was slowed: deferrals: 20 of 21")
    assert cells[-3:] == [["left", "out", "because", "messages", "segments"],
                          ["inactive", "20", "DE/Berlin", "20,", "*", "3"], ["unsubscribed", "3", "-"]]


def test_more_than_fits_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.cli.report_view.DAYS", 2)
    monkeypatch.setattr("dispatcher.cli.report_view.SLIPS", 1)
    told = storm()
    told["slips"] *= 3
    lines = [block for block in report_view(told) if isinstance(block, str)]
    assert [line for line in lines if line.startswith("and ")] == [
        "and 3 more: --json has them", "and 2 more: --html or --json has them"]
    assert [len(block.rows) for block in report_view(told) if isinstance(block, Grid)] == [3, 2, 1, 2]


def test_what_is_open_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    told = storm() | {"blocked": ["wrong price"], "complete": False, "pruned": 9, "late_now": 5,
                      "expected_end": "2026-03-05T12:00:00Z"}
    told["promise"] |= {"cut": True, "late": 7, "done_at": None}
    print_blocks(head_view(told))
    lines = capsys.readouterr().out.splitlines()
    assert "480 messages, no end in the plan, 7 too late (stored " in lines[2]
    assert "expected to end " in lines[3]
    assert ", 5 would hear too late, " in lines[3]
    assert lines[4:] == [
        "batches   on time 44, smaller 4; the promise covers the first batches only", "kept back wrong price",
        "not complete: the campaign has more batches or events than one report reads",
        "pruned    the details of 9 attempts: [store] keep has passed"]


def test_days_are_put_together_from_batches() -> None:
    assert next((row.day, row.lane, row.promised, row.released) for row in days(storm())) == (
        "2026-03-02", "support/gmail", 120, 92)


@pytest.mark.parametrize(("start", "end", "names"), [
    ("2026-03-02T08:00:00Z", "2026-03-02T08:00:09Z", ["08:00:00", "08:00:02", "08:00:04", "08:00:06", "08:00:08"]),
    ("2026-03-02T08:00:00Z", "2026-03-02T12:00:00Z",
     ["08:00", "08:30", "09:00", "09:30", "10:00", "10:30", "11:00", "11:30", "12:00"]),
    ("2026-03-02T20:00:00Z", "2026-03-03T08:00:00Z",
     ["20:00", "22:00", "Tue 3 Mar", "02:00", "04:00", "06:00", "08:00"]),
    ("2026-03-02T00:00:00Z", "2026-03-05T00:00:00Z",
     ["Mon 2 Mar", "12:00", "Tue 3 Mar", "12:00", "Wed 4 Mar", "12:00", "Thu 5 Mar"]),
])
def test_an_axis_has_round_times(home: House, start: str, end: str, names: list[str]) -> None:
    import time  # noqa: PLC0415 -- the zone of `home`, which nobody else here needs

    time.tzset()
    found = ticks(parse_instant(start), parse_instant(end))
    assert [name for _, name in found] == names
    assert named(found[0][0], 86_400_000) == "Mon 2 Mar"
