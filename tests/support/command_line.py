"""The command line as its users have it: a folder with its files, commands typed in there, a daemon beside them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.commands import CHECKOUT
from support.fresh import new_store

PATIENCE = 30.0     # seconds for a daemon to be ready
COMMAND = (sys.executable, "-m", "dispatcher.cli.main")
CONFIG = """\
[store]
url = "sqlite:///dispatcher.db"

[ramps.test]
start         = 864_000
ceiling       = 2_000_000
every         = "1s"
hours         = "00:00-24:00"
timezone      = "UTC"
largest_batch = 500
offset        = "0s"

[senders.support]
from   = "Acme Support <support@acme.example>"
server = "smtp://127.0.0.1:{port}"
ramp   = "test"

[http]
admin = "unix:admin.sock"
"""
CAMPAIGN = """\
id         = "{id}"
category   = "service"
senders    = ["support"]
segment_by = "location"
segments   = ["DE/Hamburg", "DE"]

[email]
subject = "Your delivery may be late, {{{{ customer.name }}}}"
text    = "Dear {{{{ customer.name }}}}, the river is high."
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        """What it said on standard error, line by line."""
        return self.err.splitlines()


@dataclass(frozen=True, slots=True)
class House:
    """A folder with a configuration and campaigns, and the commands typed in there."""

    folder: Path

    def type(self, *words: str | Path, feed: str | None = None, env: Mapping[str, str] | None = None) -> Ended:
        """Run one command to its end."""
        ended = subprocess.run(  # noqa: S603 -- tests choose their own words
            [*COMMAND, *map(str, words)], cwd=self.folder, env=environment(env), input=feed or "",
            capture_output=True, text=True, check=False, timeout=60,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def write(self, name: str, text: str) -> Path:
        """Write a file there."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def campaign(self, name: str = "delay", more: str = "") -> Path:
        """Write a campaign's folder."""
        return self.write(f"campaigns/{name}/campaign.toml", CAMPAIGN.format(id=name) + more).parent

    def people(self, rows: Sequence[Mapping[str, object]]) -> Path:
        """Write customers, NDJSON."""
        return self.write("people.ndjson", "".join(json.dumps(row) + "\n" for row in rows))

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon, ready; told to stop when the block ends, and killed if it does not."""
        new_store(self.folder / "dispatcher.db")
        with (self.folder / "daemon.log").open("ab") as log, subprocess.Popen(  # noqa: S603 -- our own command
            [*COMMAND, "run"], cwd=self.folder, env=environment(), stdout=log, stderr=log,
        ) as process:
            try:
                self._until_ready(process)
                yield process
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()

    def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        pause = threading.Event()
        until = time.monotonic() + PATIENCE
        while not listens(self.folder / "admin.sock"):
            log = (self.folder / "daemon.log").read_text()
            assert process.poll() is None, f"the daemon ended by itself: {log}"
            assert time.monotonic() < until, f"the daemon is not ready: {log}"
            pause.wait(0.02)


Typing = Callable[..., Ended]       # a fixture's way to type a command


def house(folder: Path, port: int = 9) -> House:
    """A folder ready to be worked in; nobody listens at port 9."""
    made = House(folder)
    made.write("dispatcher.toml", CONFIG.format(port=port))
    (folder / "campaigns").mkdir()
    return made


@contextmanager
def heard(number: signal.Signals) -> Iterator[None]:
    """A program started in here hears this signal, also where the tests run under nohup and it would not."""
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: ours, without anything that would lead it elsewhere."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("DISPATCHER_", "COLUMNS", "NO_COLOR", "SUDO_"))}
    return kept | {"PYTHONPATH": str(CHECKOUT), "TZ": "UTC"} | dict(more or {})


def listens(path: Path) -> bool:
    """Whether somebody accepts connections at a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.connect(str(path))
        return True
    return False
