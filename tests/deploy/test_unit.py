"""What the service is installed with: the unit, its user, its folders."""

import stat
from pathlib import Path

import pytest
from support.commands import CHECKOUT, run
from support.needs import need_program, need_root

DEPLOY = CHECKOUT / "deploy"
UNIT = DEPLOY / "systemd" / "dispatcher.service"
INSTALLED = "/opt/dispatcher/bin/dispatcher"
WORST_SCORE = 15    # tenths, as --threshold counts


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit itself but for one thing: its program is one that exists here, as verify insists on that."""
    program = tmp_path / "dispatcher"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = UNIT.read_text()
    assert text.count(INSTALLED) == 2, "ExecStart and ExecReload"
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(INSTALLED, str(program)))
    return copy


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    ended = run(need_program("systemd-analyze"), "verify", "--man=no", unit)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")   # a line it ignores is only a warning to it


def test_verify_would_have_noticed_a_misspelt_directive(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("NoNewPrivileges", "NoNewPriviledges"))
    assert "NoNewPriviledges" in run(need_program("systemd-analyze"), "verify", "--man=no", unit).stderr


def test_the_unit_exposes_no_more_than_a_score_of_1_5(unit: Path) -> None:
    ended = run(need_program("systemd-analyze"), "security", "--offline=true", "--no-pager",
                f"--threshold={WORST_SCORE}", unit)
    assert ended.returncode == 0, ended.stdout[-200:] + ended.stderr
    assert "Overall exposure level for dispatcher.service" in ended.stdout


def test_the_user_and_the_folders_come_out_private(tmp_path: Path) -> None:
    need_root()
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    for program, options, file in (
        ("systemd-sysusers", (), "sysusers.d"),
        ("systemd-tmpfiles", ("--create",), "tmpfiles.d"),
    ):
        ended = run(need_program(program), f"--root={root}", *options, DEPLOY / file / "dispatcher.conf")
        assert ended.returncode == 0, ended.stderr
    user = next(line.split(":") for line in (root / "etc/passwd").read_text().splitlines()
                if line.startswith("dispatcher:"))
    assert user[5:] == ["/var/lib/dispatcher", "/usr/sbin/nologin"]
    folders = {name: (stat.S_IMODE(found.st_mode), found.st_uid) for name in (
        "etc/dispatcher", "etc/dispatcher/campaigns", "etc/dispatcher/credentials", "var/lib/dispatcher",
    ) for found in [(root / name).stat()]}
    assert folders == {
        "etc/dispatcher": (0o755, 0),
        "etc/dispatcher/campaigns": (0o755, 0),
        "etc/dispatcher/credentials": (0o700, 0),
        "var/lib/dispatcher": (0o700, int(user[2])),
    }
