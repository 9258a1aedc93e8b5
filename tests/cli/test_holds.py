"""Holding and going on."""

import getpass
import sqlite3

import pytest
from support.command_line import House, Typing

from dispatcher.cli.holds import login_name


@pytest.mark.parametrize(("words", "kind", "name"), [
    ((), "everything", ""),
    (("support/gmail",), "lane", "support/gmail"),
    (("delay",), "campaign", "delay"),
    (("support",), "sender", "support"),
    (("promotional",), "category", "promotional"),
    (("--lane", "support/gmail"), "lane", "support/gmail"),
    (("--campaign", "delay"), "campaign", "delay"),
    (("--sender", "support"), "sender", "support"),
    (("--category", "service"), "category", "service"),
])
def test_what_is_named_is_held_until_it_is_resumed(
    words: tuple[str, ...], kind: str, name: str, home: House, typed: Typing,
) -> None:
    typed("campaign", "apply", home.campaign())
    held = typed("hold", *words, "--reason", "wrong price", "--by", "Eve", "--json")
    assert (held.code, held.data["held"]["kind"], held.data["held"]["name"]) == (0, kind, name)
    (hold,) = typed("status", "--json").data["holds"]
    assert (hold["kind"], hold["name"], hold["reason"], hold["by"]) == (kind, name, "wrong price", "Eve")
    assert typed("resume", *words).out == f"{kind} {name}".strip() + " goes on\n"
    assert typed("status", "--json").data["holds"] == []


def test_a_hold_for_a_time_says_until_when(home: House, typed: Typing) -> None:
    ended = typed("hold", "--reason", "rest", "--for", "2h")
    assert ended.out.startswith("everything is held until 2")
    assert typed("hold", "--reason", "rest").out == "everything is held until it is resumed\n"


def test_a_name_that_means_nothing_is_refused_with_what_there_is(home: House, typed: Typing) -> None:
    ended = typed("hold", "dely", "--reason", "x")
    assert (ended.code, ended.out, len(ended.errors)) == (2, "", 1)
    assert ended.errors[0] == (
        "nothing is held: dely is no lane, campaign, sender or category; the categories are critical, service, "
        "promotional, the senders are support, dispatcher campaign list shows the campaigns")


@pytest.mark.parametrize(("words", "said"), [
    (("support/gmial",), 'support/gmial is no lane: its provider is not known (did you mean "gmail"?); the providers '),
    (("--lane", "suport/gmail"), 'its sender is not configured (did you mean "support"?); the senders are support'),
    (("--lane", "support"), "support is no lane: write SENDER/PROVIDER"),
    (("--category", "bogus"), "bogus is no category; the categories are critical, service, promotional"),
    (("--category", "servise"), 'servise is no category (did you mean "service"?)'),
    (("--sender", "gmail"), "gmail is no sender; the senders are support"),
    (("--campaign", "dely"), 'dely is no campaign (did you mean "delay"?); dispatcher campaign list shows'),
    (("dely",), 'dely is no lane, campaign, sender or category (did you mean "delay"?)'),
])
def test_a_slip_of_the_keyboard_stops_nothing_and_says_so(
    words: tuple[str, ...], said: str, home: House, typed: Typing,
) -> None:
    typed("campaign", "apply", home.campaign())
    ended = typed("hold", *words, "--reason", "x")
    assert (ended.code, ended.out, len(ended.errors)) == (2, "", 1)
    assert ended.err.startswith("nothing is held: ")
    assert said in ended.err
    assert typed("status", "--json").data["holds"] == []


def test_a_lane_that_has_nothing_so_far_can_be_held_for_mail_may_come(home: House, typed: Typing) -> None:
    assert typed("hold", "support/yahoo", "--reason", "x").out == "lane support/yahoo is held until it is resumed\n"


def test_a_name_that_means_two_things_must_be_made_clear(home: House, typed: Typing) -> None:
    typed("campaign", "apply", home.campaign("support"))
    ended = typed("hold", "support", "--reason", "x")
    assert (ended.code, len(ended.errors)) == (2, 1)
    assert "--campaign" in ended.err
    assert typed("hold", "--campaign", "support", "--reason", "x").code == 0


def test_resuming_without_a_name_ends_every_hold(home: House, typed: Typing) -> None:
    typed("hold", "--reason", "x")
    typed("hold", "support/gmail", "--reason", "y")
    assert sorted(typed("resume").out.splitlines()) == ["everything goes on", "lane support/gmail goes on"]


def test_status_says_who_holds_what_why_since_when_and_until_when(home: House, typed: Typing) -> None:
    typed("hold", "--reason", "wrong price", "--by", "Eve", "--for", "2h")
    [head, row] = [line for line in typed("status").out.splitlines() if "until" in line or "wrong price" in line]
    assert head.split() == ["held", "reason", "by", "since", "until"]
    assert row.startswith("everything  wrong price  Eve  2")
    [hold] = typed("status", "--json").data["holds"]
    assert sorted(hold) == ["at", "by", "kind", "name", "reason", "until"]


def test_a_clock_that_was_put_back_is_a_hold_until_somebody_says_that_it_is_right(home: House, typed: Typing) -> None:
    typed("hold", "support/gmail", "--reason", "y")
    with sqlite3.connect(home.folder / "dispatcher.db") as store:
        store.execute("UPDATE meta SET value = '4102444800000' WHERE name = 'seen_at'")
    store.close()
    [clock, _] = typed("status", "--json").data["holds"]
    assert (clock["kind"], clock["until"]) == ("clock", None)
    assert "the store has seen 2100-01-01 00:00 UTC: set the clock; nothing is sent" in typed("status").out
    assert typed("resume", "support/gmail").out == "lane support/gmail goes on\n"
    ended = typed("resume")
    assert (ended.code, len(ended.out.splitlines())) == (0, 1)
    assert ended.out.startswith("the clock is taken as right: it says 2")
    assert typed("status", "--json").data["holds"] == []


def test_resuming_what_is_not_held_says_what_is(home: House, typed: Typing) -> None:
    nothing = typed("resume")
    assert (nothing.code, nothing.errors) == (0, ["nothing is held"])
    typed("hold", "support/gmail", "--reason", "y")
    other = typed("resume", "support/yahoo")
    assert (other.code, other.out) == (1, "")
    assert other.errors == ["support/yahoo is not held; held is: lane support/gmail"]


def test_whoever_holds_is_the_person_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "eve")
    assert login_name() == "eve"
    monkeypatch.delenv("SUDO_USER")
    assert login_name() == getpass.getuser()
