import os
from pathlib import Path

import pytest
from support.config_files import LEAST, loaded, only_fault

from config.load import load, load_settings

SENDER = LEAST + "username = 'acme'\npassword = {}\n"


def password(folder: Path, source: str, environ: dict[str, str] | None = None) -> str:
    found = loaded(folder, SENDER.format(source), environ).settings.senders["support"].password
    assert found is not None
    return found.get_secret_value()


@pytest.mark.parametrize(("content", "secret"), [
    (b"hunter2", "hunter2"), (b"hunter2\n", "hunter2"), (b"hunter2\r\n", "hunter2"), (b" hunter 2 \n", " hunter 2 "),
    ("pässwörd\n".encode(), "pässwörd"),
])
def test_a_secret_is_a_files_text_without_its_last_line_end(tmp_path: Path, content: bytes, secret: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert password(tmp_path, "{ file = 'secret' }") == secret
    assert password(tmp_path, f"{{ file = '{tmp_path}/secret' }}") == secret
    assert password(tmp_path, "{ credential = 'secret' }", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == secret


def test_a_secret_may_stand_in_the_environment(tmp_path: Path) -> None:
    environ = {"SMTP_PASSWORD": "hunter2"}
    assert password(tmp_path, "{ env = 'SMTP_PASSWORD' }", environ) == "hunter2"
    assert environ == {"SMTP_PASSWORD": "hunter2"}


@pytest.mark.parametrize(("source", "problem"), [
    ("'hunter2'", "must say where the secret is"),
    ("5", "must say where the secret is"),
    ("{}", "must name exactly one source"),
    ("{ file = 'good', env = 'GOOD' }", "must name exactly one source"),
    ("{ hunter2 = 'x' }", "names no known source"),
    ("{ file = 5 }", "has no usable name in file"),
    ("{ file = '' }", "has no usable name in file"),
    ('{ file = "a\\u0000b" }', "has no usable name in file"),
    ('{ env = "a\\nb" }', "has no usable name in env"),
    ("{ credential = '../good' }", "has no usable name in credential"),
    ("{ credential = '..' }", "has no usable name in credential"),
    ("{ file = 'missing' }", "cannot be read: there is no file"),
    ("{ file = '.' }", "cannot be read: there is no file"),
    ("{ file = '" + "x" * 300 + "' }", "cannot be read"),
    ("{ credential = 'missing' }", "cannot be read: there is no file"),
    ("{ env = 'MISSING' }", "cannot be read: the environment has no MISSING"),
    ("{ env = 'EMPTY' }", "is empty: $EMPTY holds no secret"),
    ("{ file = 'empty' }", "is empty"),
    ("{ file = 'newline' }", "is empty"),
    ("{ file = 'lines' }", "must be one line"),
    ("{ file = 'nul' }", "must be one line"),
    ("{ file = 'latin' }", "is not UTF-8"),
    ("{ file = 'large' }", "is too large"),
])
def test_a_secret_that_cannot_be_had_is_refused_and_never_shown(tmp_path: Path, source: str, problem: str) -> None:
    contents = {"good": b"hunter2", "empty": b"", "newline": b"\n", "lines": b"hunter2\nmore\n", "nul": b"hunter2\0x",
                "latin": b"hunter2\xff", "large": b"hunter2" * 10_000}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "GOOD": "hunter2", "EMPTY": ""}
    found = only_fault(tmp_path, SENDER.format(source), environ)
    assert found.startswith(f"dispatcher.toml:6: senders.support.password: {problem}")
    assert "hunter2" not in found


def test_without_systemd_a_credential_cannot_be_had_and_the_refusal_says_why(tmp_path: Path) -> None:
    assert "$CREDENTIALS_DIRECTORY is not set" in only_fault(tmp_path, SENDER.format("{ credential = 'smtp' }"))


@pytest.mark.parametrize("source", ["{ credential = 'smtp' }", "{ file = 'missing' }", "{ env = 'MISSING' }"])
def test_who_needs_no_secrets_reads_none(tmp_path: Path, source: str) -> None:
    file = tmp_path / "dispatcher.toml"
    file.write_text(SENDER.format(source) + "ca_file = 'missing'\n")
    sender = load_settings(file, {}, read_secrets=False).senders["support"]
    assert sender.password is not None
    assert sender.password.get_secret_value() == ""
    assert sender.ca_file == tmp_path / "missing"


def test_no_settings_show_a_secret(tmp_path: Path) -> None:
    settings = loaded(tmp_path, SENDER.format("{ env = 'X' }"), {"X": "hunter2"}).settings
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 0), (0o604, 1), (0o644, 1)])
def test_a_secret_that_everyone_may_read_is_warned_of(tmp_path: Path, mode: int, warned: int) -> None:
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "secret").chmod(mode)
    (tmp_path / "dispatcher.toml").write_text(SENDER.format("{ file = 'secret' }"))
    found = [str(warning) for warning in load(tmp_path / "dispatcher.toml", {}).warnings]
    warning = f"everyone on this machine may read {tmp_path}/secret; take that away with chmod o-r"
    assert found == [f"{tmp_path}/dispatcher.toml:6: senders.support.password: {warning}"][:warned]


def test_the_environment_is_the_processs_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "hunter2")
    file = tmp_path / "dispatcher.toml"
    file.write_text(SENDER.format("{ env = 'SMTP_PASSWORD' }"))
    assert load_settings(file).senders["support"].password is not None
    assert os.environ["SMTP_PASSWORD"] == "hunter2"
