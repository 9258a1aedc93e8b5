"""Holding and going on."""

import getpass

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
    assert (ended.code, ended.out, len(ended.errors)) == (1, "", 1)
    assert "support" in ended.err


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
