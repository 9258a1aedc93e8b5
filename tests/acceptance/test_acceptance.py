"""The acceptance programs beside the checkout, run from outside on the installed command.

The longest check mostly waits, so the short ones run beside it; the one that kills daemons runs alone.
"""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from support.commands import CHECKOUT, DISPATCHER, run

PROGRAM = CHECKOUT.parent / "shared" / "acceptance" / "run.py"
BESIDE_EACH_OTHER = ("ramp_steps",), ("main_job", "plan", "reload")
ALONE = "crash"
Ended = subprocess.CompletedProcess[str]


def perform(check: str) -> Ended:
    command = {"DISPATCHER": shlex.quote(str(DISPATCHER)), "PYTHONDONTWRITEBYTECODE": "1"}
    return run(sys.executable, PROGRAM, check, env=command, timeout=280)


@pytest.fixture(scope="module")
def ended() -> Iterator[dict[str, Future[Ended]]]:
    """Every check, under way or ended."""
    with ThreadPoolExecutor(len(BESIDE_EACH_OTHER)) as lanes, ThreadPoolExecutor(1) as last:
        found: dict[str, Future[Ended]] = {}

        def one_after_the_other(checks: tuple[str, ...]) -> None:
            for check in checks:
                try:
                    found[check].set_result(perform(check))
                except subprocess.TimeoutExpired as error:
                    found[check].set_exception(error)

        found |= {check: Future() for checks in BESIDE_EACH_OTHER for check in checks}
        running = [lanes.submit(one_after_the_other, checks) for checks in BESIDE_EACH_OTHER]

        def when_they_are_done() -> Ended:
            for one in running:
                one.result()
            return perform(ALONE)

        yield found | {ALONE: last.submit(when_they_are_done)}


@pytest.mark.skipif(not PROGRAM.exists(), reason="the acceptance programs are not beside this checkout")
@pytest.mark.timeout(500)
@pytest.mark.parametrize("check", ["main_job", "plan", "reload", "ramp_steps", "crash"])
def test_an_acceptance_check_holds(check: str, ended: dict[str, Future[Ended]]) -> None:
    found = ended[check].result()
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"{check}: holds" in found.stdout
