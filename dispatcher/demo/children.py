"""The demo's two processes, the mail server and the daemon: started, talked to, and ended on every way out.

Each has a session of its own, so that Ctrl-C on the terminal reaches the demo alone, which then ends them in order.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from dispatcher.cli.caller import Caller
from dispatcher.cli.output import CliError
from dispatcher.cli.place import locate
from dispatcher.demo.checks import Mail

READY_WITHIN: Final = 30.0      # seconds; a cold start takes two
END_WITHIN: Final = 15.0        # seconds; the demo's daemon is given 5 by its configuration
PAUSE: Final = 0.05             # seconds between two looks at a process that says nothing by itself
_TAIL: Final = 10               # lines of a log that are shown when something went wrong
_ROOT: Final = str(Path(__file__).resolve().parents[2])
_OWN: Final = f"import sys; {_ROOT!r} in sys.path or sys.path.insert(0, {_ROOT!r}); "      # this very dispatcher
_DAEMON: Final = _OWN + "from dispatcher.cli.main import main; sys.exit(main())"
_SERVER: Final = _OWN + "import asyncio; from dispatcher.demo.mailserver import serve; asyncio.run(serve())"
_NOT_THEIRS: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "LISTEN_FDS", "LISTEN_PID")


class MailServer:
    """The mail server, and what it has told so far."""

    def __init__(self, process: subprocess.Popen[str], port: int, told: IO[str]) -> None:
        self.port = port
        self._process = process
        self._lines: list[str] = []
        self._told = told
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def count(self) -> int:
        """How many mails it has taken."""
        return len(self._lines)

    def end(self) -> list[Mail]:
        """End it; everything that it took, in the order of arrival."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(END_WITHIN)
        self._reader.join(END_WITHIN)
        return [Mail(**json.loads(line)) for line in self._lines]

    def _listen(self) -> None:
        for line in self._told:
            self._lines.append(line)


class Daemon:
    """The daemon, and the operations that the command line uses to talk to it."""

    def __init__(self, process: subprocess.Popen[str], config: Path, log: Path) -> None:
        self._process = process
        self._config = config
        self._log = log
        self._caller: Caller | None = None

    def call(self, name: str, **args: Any) -> dict[str, Any]:  # noqa: ANN401 -- an operation checks its own
        """An operation's result."""
        self._must_run()
        if self._caller is None:
            self._caller = Caller(locate(str(self._config)), "demo")
        return self._caller.call(name, args)

    def wait_until_ready(self) -> None:
        """Return once it answers."""
        path = locate(str(self._config)).socket
        until = time.monotonic() + READY_WITHIN
        while not _listens(path):
            self._must_run()
            if time.monotonic() > until:
                raise CliError(f"the daemon was not ready in {READY_WITHIN:.0f} s", *_tail(self._log))
            time.sleep(PAUSE)

    def end(self) -> int:
        """End it by SIGTERM, as systemd does; its exit code."""
        return _end(self._process)

    def _must_run(self) -> None:
        code = self._process.poll()
        if code is not None:
            raise CliError(f"the daemon ended by itself, with {code}; its last words:", *_tail(self._log))


@contextmanager
def mail_server(folder: Path) -> Iterator[MailServer]:
    """A mail server that listens on loopback."""
    log = folder / "mailserver.log"
    with _child(["-c", _SERVER], log, {}, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        told = process.stdout
        port = told.readline().strip() if told is not None else ""
        if told is None or not port:
            raise CliError("the demo's mail server did not start; its last words:", *_tail(log))
        yield MailServer(process, int(port), told)


@contextmanager
def daemon(config: Path) -> Iterator[Daemon]:
    """The daemon as users run it, on a configuration; ready."""
    log = config.parent / "daemon.log"
    with _child(["-c", _DAEMON, "run"], log, {"DISPATCHER_CONFIG": str(config)}) as process:
        running = Daemon(process, config, log)
        running.wait_until_ready()
        yield running


@contextmanager
def _child(
    arguments: Sequence[str], log: Path, more: dict[str, str], *,
    stdin: int = subprocess.DEVNULL, stdout: int | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """This Python with other arguments, ended with the block; what it has to say beside its output goes into a log."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_THEIRS} | more
    with log.open("wb") as errors, subprocess.Popen(  # noqa: S603 -- this very Python, with code from above
        [sys.executable, "-P", *arguments], env=environment, cwd=log.parent, text=True, encoding="utf-8",
        stdin=stdin, stdout=errors if stdout is None else stdout, stderr=errors, start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> int:
    try:
        process.terminate()
        return process.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL
    finally:
        process.kill()      # does nothing to one that has ended


def _tail(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]


def _listens(path: Path) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.connect(str(path))
        return True
    return False
