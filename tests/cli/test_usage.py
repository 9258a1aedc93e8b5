"""What holds for every verb: help, where the configuration is looked for, how wrong usage and interrupts end."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from support.command_line import COMMAND, House, Typing, environment, heard

from dispatcher.cli.main import app
from dispatcher.cli.verbs import Entry

WITHOUT_JSON = {("run",)}


def verbs(group: object = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every verb there is."""
    here = typer.main.get_command(app) if group is None else group
    for name, entry in getattr(here, "commands", {}).items():
        inner = (*path, name)
        command = entry.load() if isinstance(entry, Entry) else entry
        yield from verbs(command, inner) if hasattr(command, "commands") else [inner]


VERBS = list(verbs())


def test_the_verbs_are_those_of_the_manual() -> None:
    assert {" ".join(verb) for verb in VERBS} == {
        "run", "demo", "check", "reload", "customers import", "customers show", "customers erase", "activity import",
        "campaign apply", "campaign list", "campaign show", "campaign preview", "campaign approve", "campaign cancel",
        "send", "plan", "status", "providers", "hold", "resume", "messages list", "messages show", "messages settle",
        "suppress add", "suppress remove", "suppress list", "suppress import", "report", "drill",
        "lanes list", "lanes show", "lanes history", "lanes import", "db check", "db backup", "db copy",
    }


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_explains_itself_and_takes_config_and_json(verb: tuple[str, ...], typed: Typing) -> None:
    ended = typed(*verb, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: dispatcher {' '.join(verb)} ")
    assert "--config PATH" in ended.out
    assert ("--json" in ended.out) == (verb not in WITHOUT_JSON)


@pytest.mark.parametrize("words", [(), ("campaign",), ("messages",)])
def test_half_a_command_is_wrong_usage_and_gets_the_verbs(words: tuple[str, ...], typed: Typing) -> None:
    ended = typed(*words)
    assert (ended.code, ended.err) == (2, "")
    assert "Commands:" in ended.out


def test_the_version_is_said(typed: Typing) -> None:
    ended = typed("--version")
    assert (ended.code, ended.out.split()[0]) == (0, "dispatcher")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_completion_for_the_shell(shell: str, typed: Typing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    with pytest.raises(SystemExit) as end:      # typer's own way out
        typed("--show-completion", shell)
    assert end.value.code == 0


def test_completion_names_the_verbs(home: House) -> None:
    asked = {"_DISPATCHER_COMPLETE": "complete_bash", "COMP_WORDS": "dispatcher cust", "COMP_CWORD": "1"}
    assert home.type(env=asked).out.split() == ["customers"]


WRONG = [
    (("statsu",), "no such command 'statsu'. Did you mean 'status'?; see dispatcher --help"),
    (("hold", "--reson", "x"),
     "no such option: --reson (Possible options: --json, --reason); see dispatcher hold --help"),
    (("hold",), "missing option '--reason'; see dispatcher hold --help"),
    (("hold", "delay", "--lane", "a/b", "--reason", "x"),
     "name one thing at a time: NAME, --lane, --campaign, --sender or --category"),
    (("hold", "--reason", "x", "--for", "soon"),
     ("--for 'soon' is no duration; write a whole number and a unit, such as "
      '"250ms", "30s", "5m", "12h", "30d"')),
    (("hold", "--reason", "x", "--for", "0s"), '--for 0 holds nothing; write a time such as "2h", or leave it out'),
    (("send", "delay", "--customer", "c-1", "--file", "f"),
     "--customer and --file exclude each other; put the customers into the file"),
    (("status", "--watch", "--json"), "--watch is for people; a program calls status --json as often as it needs to"),
    (("messages", "show", "first"),
     "invalid value for 'ID': must be a whole number; see dispatcher messages show --help"),
    (("messages", "show", "0"), "invalid value for 'ID': must be at least 1; see dispatcher messages show --help"),
    (("lanes", "history", "a/b", "--days", "9999"),
     "invalid value for '--days': must be at most 3650; see dispatcher lanes history --help"),
    (("campaign", "preview", "delay", "--customer", "c-1", "--data", "{"),
     "--data is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    (("campaign", "preview", "delay", "--customer", "c-1", "--data", "[1]"),
     '--data must be an object, such as {"order": "A-17"}'),
    (("plan", "--until", "2026-02-30"),
     ("--until '2026-02-30' names a day that does not exist; write it with its zone, such as "
      '"2026-03-01T08:00:00Z" or "2026-03-01T09:00:00+01:00"; or how far from now, such as "3d"')),
    (("customers", "import", "no.csv"),
     'no.csv: cannot be read: No such file or directory; name a CSV or NDJSON file, or "-" for standard input'),
    (("customers", "import", "campaigns"),
     'campaigns: cannot be read: Is a directory; name a CSV or NDJSON file, or "-" for standard input'),
    (("campaign", "apply", "nowhere"), "nowhere/campaign.toml: there is no such file"),
    (("status", "--config", "other.toml"), "other.toml: there is no such file"),
    (("--config", "other.toml", "status"), "other.toml: there is no such file"),
    (("suppress", "add", *["a@b.example"] * 501), "501 addresses are too many for one line; use suppress import"),
]


@pytest.mark.parametrize(("words", "line"), WRONG, ids=[" ".join(words)[:40] for words, _ in WRONG])
def test_wrong_usage_ends_with_2_and_one_line_that_says_what_to_do(
    words: tuple[str, ...], line: str, home: House, typed: Typing,
) -> None:
    ended = typed(*words)
    assert (ended.code, ended.out, ended.errors) == (2, "", [line])
    assert not (home.folder / "dispatcher.db").exists()


def test_without_a_configuration_all_places_that_were_looked_at_are_named(
    tmp_path: Path, typed: Typing, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPATCHER_CONFIG", raising=False)
    ended = typed("status")
    assert (ended.code, ended.out, len(ended.errors)) == (2, "", 1)
    for place in ("--config", "$DISPATCHER_CONFIG", f"{tmp_path}/dispatcher.toml", "/etc/dispatcher/dispatcher.toml"):
        assert place in ended.err


@pytest.mark.parametrize("words", [("status",), ("run",), ("check",), ("send", "delay"), ("reload",)], ids=" ".join)
def test_every_fault_of_the_configuration_is_named_with_its_line(
    words: tuple[str, ...], home: House, typed: Typing,
) -> None:
    text = (home.folder / "dispatcher.toml").read_text()
    home.write("dispatcher.toml", text.replace('"1s"', '"soon"').replace('"00:00-24:00"', '"all day"'))
    ended = typed(*words)
    assert (ended.code, ended.out) == (2, "")
    assert [line.split(": ")[:2] for line in ended.errors] == [
        ["dispatcher.toml:7", "ramps.test.every"], ["dispatcher.toml:8", "ramps.test.hours"],
    ]


def test_a_configuration_is_found_by_the_environment_and_its_paths_are_its_own(home: House, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = House(elsewhere).type("status", env={"DISPATCHER_CONFIG": str(home.folder / "dispatcher.toml")})
    assert found.code == 0, found.err
    assert (home.folder / "dispatcher.db").exists()


def test_a_package_of_another_project_is_named_before_anything_breaks(home: House, tmp_path: Path) -> None:
    home.write("other/config/__init__.py", "")
    env = environment() | {"PYTHONPATH": f"{tmp_path}/other{os.pathsep}{environment()['PYTHONPATH']}"}
    ended = home.type("status", env=env)
    assert (ended.code, ended.out) == (1, "")
    assert ended.errors[0].startswith('the package "config" is not this program\'s but ')


def started(home: House, *words: str, **pipes: int) -> subprocess.Popen[str]:
    with heard(signal.SIGINT):
        return subprocess.Popen(  # noqa: S603 -- our own command
            [*COMMAND, *words], cwd=home.folder, env=environment(), text=True, stderr=subprocess.PIPE, **pipes)


def test_an_interrupt_ends_with_130_and_without_a_traceback(home: House) -> None:
    with started(home, "customers", "import", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("id\n" + "c-1\n" * 9000)     # more than a chunk: once the store is there, it waits for more
        process.stdin.flush()
        while not (home.folder / "dispatcher.db").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    # Python ends by the signal itself where it came while an import executed a text; shells say 130 for both.
    assert process.returncode in {130, -signal.SIGINT}
    assert out == ""
    assert err in {"", "stdin: interrupted; what was taken stands, and the same command takes the rest\n"}


def children_of(process: subprocess.Popen[str]) -> int:
    """How many processes this one has started that live."""
    found = 0
    for file in Path(f"/proc/{process.pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):      # a thread that has ended meanwhile
            found += len(file.read_text().split())
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_send_that_is_ended_takes_its_reader_with_it_and_nobody_says_a_word(
    home: House, typed: Typing, how: signal.Signals,
) -> None:
    typed("customers", "import", home.people([{"id": "c-1", "email": "ada@mail.example"}]))
    typed("campaign", "apply", home.campaign())
    home.write("requests.ndjson", "".join(f'{{"customer": "c-1", "key": "k{number}"}}\n' for number in range(200_000)))
    with started(home, "send", "delay", "--file", "requests.ndjson", stdout=subprocess.PIPE) as process:
        while not children_of(process):
            assert process.poll() is None
        process.send_signal(how)
        assert process.communicate(timeout=60) == ("", "")      # it is read until the last of them has ended
    assert process.returncode == -how
    again = typed("send", "delay", "--file", "requests.ndjson", "--json")
    assert again.data["queued"] + again.data["duplicate"] + sum(again.data["skipped"].values()) == 200_000


def test_a_reader_that_goes_away_gets_no_traceback(home: House) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with started(home, "--help", stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate()
    assert (process.returncode, err) == (1, "")


def test_a_full_disk_is_said_in_a_line(home: House) -> None:
    with Path("/dev/full").open("w") as full, started(home, "status", "--json", stdout=full.fileno()) as process:
        _, err = process.communicate()
    assert (process.returncode, err) == (1, "the output could not be written: No space left on device\n")


def test_closed_standard_output_is_no_harm(home: House) -> None:
    ended = subprocess.run(  # noqa: S603 -- our own command
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "status"], cwd=home.folder, env=environment(),
        stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
