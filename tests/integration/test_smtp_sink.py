"""Two thousand customers through Postfix's smtp-sink, a server that no one here wrote: all of them once."""

import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command_line import House, house
from support.needs import need_program

CUSTOMERS = 2_000
RECIPIENT = re.compile(r"^X-Rcpt-Args: <([^>]*)>", re.MULTILINE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def smtp_sink(folder: Path) -> Iterator[int]:
    """The server; every message it takes becomes a file of this folder."""
    program, port = need_program("smtp-sink"), free_port()
    command = [str(program), "-d", str(folder / "mail."), f"127.0.0.1:{port}", "100"]
    if os.geteuid() == 0:
        folder.chmod(0o777)     # as root it insists on working as somebody else
        command[1:1] = ["-u", "nobody"]
    with subprocess.Popen(command) as process:  # noqa: S603 -- a program of the system, words of ours
        try:
            _until_open(port, process)
            yield port
        finally:
            process.terminate()


def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    pause, until = threading.Event(), time.monotonic() + 20
    while time.monotonic() < until:
        assert process.poll() is None, "smtp-sink ended by itself"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.05)
    raise AssertionError("smtp-sink does not listen")


def until_drained(home: House) -> dict[str, dict[str, int]]:
    pause, until = threading.Event(), time.monotonic() + 90
    while time.monotonic() < until:
        status: dict[str, dict[str, int]] = home.type("status", "--json").data
        if not status["messages"]["queued"] + status["messages"]["sending"]:
            return status
        pause.wait(0.3)
    raise AssertionError(f"not done in time: {status['messages']}")


@pytest.mark.timeout(200)
def test_everybody_gets_it_once(tmp_path: Path) -> None:
    # pytest's own folders are closed to the user that the sink works as.
    with tempfile.TemporaryDirectory() as taken, smtp_sink(Path(taken)) as port:
        home = house(tmp_path, port)
        home.write("dispatcher.toml", (tmp_path / "dispatcher.toml").read_text().replace("864_000", "86_400_000")
                   .replace("2_000_000", "90_000_000"))
        home.campaign()
        rows = [{"id": f"c{number}", "email": f"c{number}@mail.example", "name": f"Person {number}",
                 "location": "DE/Berlin", "last_product_at": time.strftime("%Y-%m-%d")} for number in range(CUSTOMERS)]
        assert home.type("customers", "import", home.people(rows)).code == 0
        with home.daemon() as daemon:
            assert home.type("send", "delay").code == 0
            status = until_drained(home)
        assert daemon.returncode == 0
        mails = [RECIPIENT.search(file.read_text()) for file in Path(taken).iterdir()]
    recipients = sorted(found[1] for found in mails if found is not None)
    assert recipients == sorted(row["email"] for row in rows)
    assert status["messages"]["accepted"] == CUSTOMERS
