"""The acceptance programs beside the checkout, run from outside on the installed command."""

import shlex
import sys

import pytest
from support.commands import CHECKOUT, DISPATCHER, run

PROGRAM = CHECKOUT.parent / "shared" / "acceptance" / "run.py"


@pytest.mark.skipif(not PROGRAM.exists(), reason="the acceptance programs are not beside this checkout")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", ["crash", "ramp_steps", "reload", "main_job", "plan"])
def test_an_acceptance_check_holds(check: str) -> None:
    command = {"DISPATCHER": shlex.quote(str(DISPATCHER)), "PYTHONDONTWRITEBYTECODE": "1"}
    found = run(sys.executable, PROGRAM, check, env=command, timeout=280)
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"{check}: holds" in found.stdout
