"""What the documentation shows can be typed, loaded and followed."""

import json
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from support.commands import CHECKOUT, DISPATCHER, run
from support.markdown import Block, anchors, blocks, commands, links, pages, table

from config.load import load, load_settings
from dispatcher.content.templates import Compiled
from dispatcher.core.model import Customer

BASE = {
    "store": '[store]\nurl = "sqlite:///store.db"\n',
    "ramps": "[ramps.careful]\nstart = 100\n",
    "senders": '[senders.support]\nchannel = "email"\nfrom = "Acme <support@acme.example>"\n'
               'server = "smtp://127.0.0.1:25"\nramp = "careful"\n',
}


def of_kind(kind: str) -> list[Block]:
    return [block for block in blocks() if Path(block.name).name == kind]


def completed(part: str) -> str:
    """A part of a configuration, with the tables it does not itself hold."""
    return part + "".join(text for name, text in BASE.items() if not re.search(rf"^\[{name}\b", part, re.MULTILINE))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a unit whose credentials are there."""
    for name in ("smtp", "database"):
        (tmp_path / name).write_text("a password\n")
    return {"CREDENTIALS_DIRECTORY": str(tmp_path)}


@pytest.mark.parametrize("block", of_kind("dispatcher.toml") + of_kind("part"), ids=str)
def test_a_configuration_that_is_shown_loads_without_a_warning(
    block: Block, tmp_path: Path, environ: dict[str, str],
) -> None:
    file = tmp_path / "dispatcher.toml"
    file.write_text(block.text if block.name != "part" else completed(block.text))
    assert load(file, environ).warnings == ()


def test_the_example_configuration_loads_without_a_warning() -> None:
    example = load(CHECKOUT / "deploy" / "dispatcher.toml", {})
    assert (list(example.settings.senders), example.warnings) == (["support"], ())


def test_the_examples_remarks_are_keys_too_and_show_their_defaults(tmp_path: Path, environ: dict[str, str]) -> None:
    text = (CHECKOUT / "deploy" / "dispatcher.toml").read_text()
    # All but two: one is excluded by what stands beside it, the other names a file that is not there.
    opened = re.sub(r"^# (?=\[|[a-z_]+ *= )(?!steps|ca_file)", "", text, flags=re.MULTILINE)
    (tmp_path / "opened.toml").write_text(opened)
    (tmp_path / "plain.toml").write_text(text)
    hidden = {"senders": {"support": {"password"}}}
    shown, plain = (load_settings(tmp_path / name, environ).model_dump(mode="json", by_alias=True, exclude=hidden)
                    for name in ("opened.toml", "plain.toml"))
    for name in set(shown) - {"senders", "ramps"}:
        assert shown[name] == plain[name]
    unset = {"username": None, "helo": None}
    assert shown["senders"]["support"] | unset == plain["senders"]["support"]
    assert set(shown["ramps"]["careful"]["providers"]) == {"gmail"}


@pytest.mark.parametrize("block", of_kind("campaign.toml"), ids=str)
def test_a_campaign_that_is_shown_passes_check(block: Block, tmp_path: Path) -> None:
    (tmp_path / "dispatcher.toml").write_text(completed(""))
    folder = tmp_path / "campaigns" / "shown"
    folder.mkdir(parents=True)
    (folder / "campaign.toml").write_text(block.text)
    for name in re.findall(r'_file\s*=\s*"([^"]+)"', block.text):
        (folder / name).write_text("Dear {{ customer.name }},\n")
    ended = run(DISPATCHER, "check", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("block", [b for b in blocks() if b.language in {"json", "ndjson"}], ids=str)
def test_json_that_is_shown_is_json(block: Block) -> None:
    lines = block.text.splitlines() if block.language == "ndjson" else [block.text]
    assert all(isinstance(json.loads(line), dict) for line in lines)


@pytest.mark.parametrize("block", [block for block in blocks() if block.language == "jinja"], ids=str)
@pytest.mark.parametrize("customer", [Customer("c-1"), Customer("c-1", name="Ada", plan="pro")], ids=["empty", "full"])
def test_a_template_that_is_shown_comes_out_whole_for_everybody(block: Block, customer: Customer) -> None:
    template = Compiled(block.text, "text", str(block), frozenset({"customer", "data"}))
    for data in ({}, {"order": "A-17"}):
        text = template.render({"customer": customer, "data": data})
        assert (customer.name or "customer") in text
        assert ("A-17" in text) == bool(data)


@cache
def help_of(verb: tuple[str, ...]) -> str:
    ended = run(DISPATCHER, *verb, "--help", env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    return ended.stdout if ended.returncode == 0 else ""


def shown_commands() -> list[tuple[str, list[str]]]:
    """Every use of the dispatcher in a block of commands: where, and its arguments."""
    found = []
    for block in blocks():
        for command in commands(block) if block.language in {"console", "sh"} else ():
            for part in re.split(r"\s(?:\||&&|;)\s", command):
                used = re.match(r"(?:sudo -u dispatcher )?(?:\S*/bin/)?dispatcher (.*)", part)
                if used:
                    found.append((f"{block}: {part}", shlex.split(used[1])))
    return found


@pytest.mark.parametrize(("place", "words"), [pytest.param(*use, id=use[0]) for use in shown_commands()])
def test_a_command_that_is_shown_exists_with_its_options(place: str, words: list[str]) -> None:
    plain = [word for word in words if re.fullmatch(r"[a-z]+", word)]
    verb = next((tuple(plain[:length]) for length in (2, 1, 0) if help_of(tuple(plain[:length]))), ())
    assert verb or not plain, f"{place}: no such verb"
    offered = set(re.findall(r"--?[a-z][a-z-]*", help_of(verb)))
    assert [word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in offered] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("https:", "http:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def verbs_of(group: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every verb that the command line has, from its own help."""
    listed = re.search(r"Commands.*", help_of(group), re.DOTALL)
    names = re.findall(r"^[│|\s]*([a-z]+)(?:\s{2}|\s*$)", listed[0], re.MULTILINE) if listed else []
    return [verb for name in names for verb in (verbs_of((*group, name)) or [(*group, name)])]


def test_every_verb_has_its_line_on_the_command_line_page() -> None:
    rows = table(CHECKOUT / "docs" / "cli.md", "verb")
    shown = {tuple(re.findall(r"[a-z]+", row[0].partition("[")[0])) for row in rows}
    assert set(verbs_of()) == shown
