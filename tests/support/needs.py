"""Programs and rights that some tests need: without them a test is skipped, but on the build server it fails."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")     # not on an ordinary user's PATH


def missing(what: str) -> NoReturn:
    """Skip the test, saying what it needs; with CI=true fail it, so that the build leaves nothing out in silence."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needs {what}, which the build server must have", pytrace=False)
    pytest.skip(f"needs {what}")


def need_program(name: str) -> Path:
    """The path of an installed program."""
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS)))
    if path is None:
        missing(f"the program {name}")
    return Path(path)


def need_root() -> None:
    """Leave out what only the superuser can try; the build server may well run as somebody else."""
    if os.geteuid() != 0:
        pytest.skip("needs to run as root")
