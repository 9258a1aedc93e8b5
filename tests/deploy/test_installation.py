"""What pip installs: pinned and hash-checked dependencies that name no host, and a wheel with everything inside."""

import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.commands import CHECKOUT, run

CONSTRAINTS = ("constraints.txt", "constraints-test.txt")
PACKAGES = ("dispatcher", "channels", "config")
PIN = re.compile(r"^([a-z0-9-]+)==([^ ]+) \\$")


def pins(file: str) -> dict[str, str]:
    lines = (CHECKOUT / "deploy" / file).read_text().splitlines()
    return {found[1]: found[2] for line in lines if (found := PIN.match(line))}


def project() -> dict[str, object]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def names(requirements: object) -> set[str]:
    assert isinstance(requirements, list)
    return {re.split(r"[<>=!~\[; ]", requirement)[0].lower() for requirement in requirements}


@pytest.mark.parametrize("file", CONSTRAINTS)
def test_every_line_of_the_constraints_is_a_pin_a_hash_or_a_comment(file: str) -> None:
    line = re.compile(r"[a-z0-9-]+==[^ ]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?|    #[^/]*(deploy/constraints\.txt)?")
    lines = (CHECKOUT / "deploy" / file).read_text().splitlines()
    assert [bad for bad in lines if not line.fullmatch(bad)] == []


@pytest.mark.parametrize("file", CONSTRAINTS)
def test_every_pin_has_a_hash(file: str) -> None:
    text = (CHECKOUT / "deploy" / file).read_text()
    requirements = re.findall(r"^[a-z0-9-]+==.*?(?=^[a-z0-9-]+==|\Z)", text, re.DOTALL | re.MULTILINE)
    assert len(requirements) == len(pins(file))
    assert [entry for entry in requirements if "--hash=sha256:" not in entry] == []


def test_every_dependency_is_pinned_and_so_is_the_build_backend() -> None:
    runtime = pins("constraints.txt")
    assert names(project()["dependencies"]) | {"hatchling", "editables"} <= set(runtime)


def test_the_test_environment_has_the_same_versions_and_every_extra() -> None:
    tests = pins("constraints-test.txt")
    assert pins("constraints.txt").items() <= tests.items()
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    assert {name for extra in extras.values() for name in names(extra)} <= set(tests)


def test_the_wheel_holds_every_file_of_the_three_packages_and_nothing_else(tmp_path: Path) -> None:
    ended = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                "--disable-pip-version-check", "--wheel-dir", tmp_path, CHECKOUT)
    assert ended.returncode == 0, ended.stderr
    [wheel] = tmp_path.glob("notification_dispatcher-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {str(path.relative_to(CHECKOUT)) for package in PACKAGES for path in (CHECKOUT / package).rglob("*")
                if path.is_file() and "__pycache__" not in path.parts}
    assert inside == expected
