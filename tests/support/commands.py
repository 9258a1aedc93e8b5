"""Run installed programs as a user does, and keep everything they say."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DISPATCHER = Path(sys.executable).with_name("dispatcher")    # of the environment that runs the tests


def run(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with these variables over the environment; its output is text, its failure a value."""
    return subprocess.run(  # noqa: S603 -- tests choose their own commands
        [str(part) for part in command],
        cwd=cwd, env=os.environ | (env or {}), capture_output=True, text=True, check=False, timeout=timeout,
    )
