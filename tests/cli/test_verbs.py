"""The table of the verbs against the verbs, and that nobody loads one before its turn."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest
import typer
from support.command_line import environment

from dispatcher import cli
from dispatcher.cli.verbs import PACKAGE, ROWS, Entry, Row

MODULES = {row.module for row in ROWS}
WIDTHS = range(1, 120)      # of a short help, from next to nothing to all of it


def imported(*words: str, **more: str) -> tuple[str, set[str]]:
    """What a command typed says, and which of the verbs' modules it imported."""
    look = ("import atexit, sys; from dispatcher.cli.main import main; "
            f"atexit.register(lambda: print(*(name for name in {MODULES!r} if '{PACKAGE}.' + name in sys.modules))); "
            "sys.exit(main())")
    ended = subprocess.run(  # noqa: S603 -- our own command
        [sys.executable, "-c", look, *words], env=environment(more), capture_output=True, text=True, check=False)
    *said, names = ended.stdout.splitlines()
    return "".join(said) + ended.stderr, set(names.split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_its_verb_and_says_of_it_what_the_verb_says_itself(row: Row) -> None:
    entry = Entry(row)
    verb = entry.load()
    assert verb.name == entry.name == row.name
    assert not verb.hidden
    assert [entry.get_short_help_str(width) for width in WIDTHS] == [verb.get_short_help_str(width) for width in WIDTHS]
    assert row.line == verb.get_short_help_str(max(WIDTHS))


def test_every_verb_that_a_module_registers_has_its_row() -> None:
    registered = set()
    for found in pkgutil.iter_modules(cli.__path__):
        module = import_module(f"{PACKAGE}.{found.name}")
        if hasattr(module, "add_to"):
            app = typer.Typer()
            module.add_to(app)
            names = [*(one.name for one in app.registered_commands), *(one.name for one in app.registered_groups)]
            registered |= {(name, found.name) for name in names}
    assert {(row.name, row.module) for row in ROWS} == registered
    assert len(ROWS) == len(registered)


def test_groups_stand_below_the_verbs() -> None:
    groups = [hasattr(Entry(row).load(), "commands") for row in ROWS]
    assert groups == sorted(groups)


def test_a_verb_that_is_not_there_is_met_with_those_that_are_without_loading_one() -> None:
    said, modules = imported("statsu")
    assert said == "no such command 'statsu'. Did you mean 'status'?; see dispatcher --help\n"
    assert modules == set()


def test_a_verb_is_completed_without_loading_one() -> None:
    said, modules = imported(_DISPATCHER_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="dispatcher re")
    assert all(row.line in said for row in ROWS if row.name in {"reload", "resume"})
    assert modules == set()


@pytest.mark.parametrize(("words", "found", "module"), [
    ("customers im", "import", "customers"), ("hold --rea", "--reason", "holds"), ("reload --js", "--json", "daemon"),
])
def test_the_words_of_a_verb_are_completed_by_its_module_alone(words: str, found: str, module: str) -> None:
    said, modules = imported(_DISPATCHER_COMPLETE="complete_bash", COMP_WORDS=f"dispatcher {words}", COMP_CWORD="2")
    assert (said, modules) == (found, {module})


def test_a_verb_called_loads_its_module() -> None:
    said, modules = imported("providers", "--help")
    assert said.startswith("Usage: dispatcher providers ")
    assert modules == {"providers"}
