"""`dispatcher --help` against what cannot be avoided: Python itself and typer, in one run, turn by turn."""

import subprocess
import sys
import time

import pytest
from support.command_line import environment

from dispatcher.cli.verbs import PACKAGE, ROWS

ROUNDS = 9
TIMES = 3       # as long as Python, and typer's own imports, may the help take
BARE = (sys.executable, "-c", "pass")
TYPER = (sys.executable, "-c", "import typer")
HELP = (sys.executable, "-c", "import sys; from dispatcher.cli.main import main; sys.exit(main())", "--help")
HEAVY = ("rich", "pydantic", "sqlalchemy", "aiohttp", "jinja2", "asyncio", "config", "dispatcher.store", "http.client")
VERBS = tuple({f"{PACKAGE}.{row.module}" for row in ROWS})
ENVIRONMENT = environment()


def seconds(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 -- our own commands
    return time.perf_counter() - began


@pytest.mark.bench
def test_help_takes_less_than_three_times_python_plus_the_imports_of_typer() -> None:
    rounds = [(seconds(*BARE), seconds(*TYPER), seconds(*HELP)) for _ in range(ROUNDS)]
    bare, typer, ours = (min(column) for column in zip(*rounds, strict=True))
    print(f"python {bare * 1e3:.0f} ms, with typer {typer * 1e3:.0f} ms, --help {ours * 1e3:.0f} ms")
    assert ours < TIMES * bare + (typer - bare)


def test_help_imports_nothing_heavy_and_no_verb() -> None:
    look = (f"import sys; from dispatcher.cli.main import main; main(['--help']); "
            f"print([name for name in {(*HEAVY, *VERBS)!r} if name in sys.modules], file=sys.stderr)")
    ended = subprocess.run([sys.executable, "-c", look], env=environment(), capture_output=True, text=True, check=True)  # noqa: S603 -- our own
    assert ended.stderr == "[]\n"
