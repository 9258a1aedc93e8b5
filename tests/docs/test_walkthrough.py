"""The README's five minutes, typed in as they stand there."""

import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from support.commands import CHECKOUT, DISPATCHER, run
from support.markdown import Block, blocks, commands

PATIENCE = 30.0     # seconds for something to be ready
SHOWN_PORT = "2525"


def steps() -> list[Block]:
    """The blocks of the README that are files to write or commands to run, in order."""
    return [block for block in blocks(CHECKOUT / "README.md") if block.name]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def background(command: str, folder: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program beside the others, in a process group of its own, ended at the latest with the test."""
    with (folder / f"{shlex.split(command)[0]}.log").open("wb") as log, subprocess.Popen(  # noqa: S603 -- from the README
        shlex.split(command), cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    ) as program:
        try:
            yield program
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)


def wait_until_ready(notifications: socket.socket) -> None:
    """The daemon says READY=1 as it says it to systemd; socket.timeout where it does not."""
    while b"READY=1" not in notifications.recv(4096).split(b"\n"):
        pass


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Ask another process's doing again and again, as nothing announces it."""
    pause = threading.Event()
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, f"still not after {PATIENCE:.0f} s: {what}"
        pause.wait(0.02)


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def recipients(log: Path) -> list[str]:
    """Who got a mail, in order, by what the mail server printed."""
    return re.findall(r"^To: .*?([\w.+-]+@[\w.-]+)", log.read_text(), re.MULTILINE)


@pytest.mark.timeout(180)
def test_the_five_minutes_of_the_readme_work_as_they_are_written(tmp_path: Path) -> None:
    port = free_port()
    notify = tmp_path / "notify.sock"
    env = os.environ | {
        "PATH": f"{DISPATCHER.parent}{os.pathsep}{os.environ['PATH']}", "NOTIFY_SOCKET": str(notify),
        "PYTHONUNBUFFERED": "1", "COLUMNS": "120",
    }
    done: list[str] = []
    with ExitStack() as stack:
        notifications = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notifications.bind(str(notify))
        notifications.settimeout(PATIENCE)

        def start(command: str) -> None:
            stack.enter_context(background(command, tmp_path, env))
            if command.startswith("dispatcher "):
                wait_until_ready(notifications)
            else:
                wait_until(lambda: answers(port), f"{command} listens")

        for block in steps():
            text = block.text.replace(SHOWN_PORT, str(port))
            if block.name != "walkthrough":
                (tmp_path / block.name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / block.name).write_text(text)
                continue
            for command in [text] if block.language == "sh" else commands(block):
                line = command.replace(SHOWN_PORT, str(port))
                if line.endswith(" &"):
                    start(line.removesuffix(" &"))
                else:
                    ended = run("bash", "-euc", line, cwd=tmp_path, env=env)
                    assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"
                done.append(line)
        mails = tmp_path / "python.log"
        wait_until(lambda: len(recipients(mails)) == 2, "Ada and Ben have their mail")
        skipped = run(DISPATCHER, "status", "--json", cwd=tmp_path, env=env).stdout
    assert recipients(mails) == ["ben@mail.example", "ada@mail.example"]
    assert re.search(r'"inactive": *1\b', skipped)
    assert re.search(r'"no_segment": *1\b', skipped)
    assert len(done) > 5
