"""The daemon as a process of its own, started as systemd would, with a socket that hears what it tells systemd."""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, UnixConnector
from support.admin import Client
from support.commands import CHECKOUT
from support.offices import rows
from support.smtp_server import SmtpServer
from support.world import CAMPAIGN

START = ("import sys; from pathlib import Path; from dispatcher.app import run_daemon; "
         "sys.exit(run_daemon(Path(sys.argv[1])))")
AT_ONCE = 1_000     # rows of one request
ALSO = {"PYTHONPATH": str(CHECKOUT), "PYTHONFAULTHANDLER": "1"}
CONFIG = """\
[service]
stop_within = "5s"
[store]
url = "sqlite:///store.db"
[ramps.quick]
start = 36000
ceiling = 36000
step = "1h"
every = "1s"
offset = "0s"
[senders.support]
from = "Acme <support@acme.example>"
server = "smtp://127.0.0.1:{port}"
connections = 2
ramp = "quick"
[http]
admin = "unix:admin.sock"
"""


class Daemon:
    """A process; `told` is what it told systemd, `logged` what it logged."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, heard: socket.socket) -> None:
        self.process = process
        self.folder = folder
        self.told: list[str] = []
        self.logged: list[dict[str, Any]] = []
        self._heard = heard
        self._reading = asyncio.create_task(self._read())

    async def until_told(self, word: str) -> None:
        """Return once systemd has been told this word, anew; AssertionError where it ends before that."""
        await self._until_told(lambda told: told == word)

    async def until_told_of(self, beginning: str) -> None:
        """The same, of a word that begins with this."""
        await self._until_told(lambda told: told.startswith(beginning))

    async def _until_told(self, fits: Callable[[str], bool]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            hearing = asyncio.ensure_future(loop.sock_recv(self._heard, 4_096))
            await asyncio.wait({hearing, self._reading}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                hearing.cancel()
                raise AssertionError(self.logged)
            told = hearing.result().decode().split("\n")
            self.told += told
            if any(map(fits, told)):
                return

    async def until_logged(self, event: str, count: int = 1) -> dict[str, Any]:
        """The so many-th log line of this event, as soon as there is one."""
        while True:
            found = [line for line in self.logged if line["event"] == event]
            if len(found) >= count:
                return found[count - 1]
            assert not self._reading.done(), (event, self.logged)
            await asyncio.sleep(0.01)      # the line is another task's, and comes when the process writes it

    async def ended(self) -> int:
        """The exit code, and every line that was logged before."""
        code = await self.process.wait()
        await self._reading
        if code < 0 and code != -signal.SIGKILL:      # a fault of the interpreter: what it said of it, for the report
            sys.stderr.write("\n".join(str(line["event"]) for line in self.logged))
        return code

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client of its admin socket."""
        path = self.folder / "admin.sock"
        async with ClientSession(connector=UnixConnector(str(path))) as session:
            yield Client(session, path)

    async def _read(self) -> None:
        if self.process.stderr is None:
            raise AssertionError
        async for line in self.process.stderr:
            text = line.decode()
            self.logged.append(json.loads(text) if text.startswith("{") else {"event": text.rstrip("\n")})


@asynccontextmanager
async def daemon(folder: Path, config: str = "dispatcher.toml", environ: Mapping[str, str] | None = None,
                 before: Sequence[str] = (), first: str = "") -> AsyncIterator[Daemon]:
    """Start a daemon; killed at the end if it still runs.

    `before`: the words of a program that runs it. `first`: a program that is run in its process before it begins.
    """
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.setblocking(False)     # noqa: FBT003 -- the name of its only argument is a private one
        heard.bind(f"{place}/notify")
        words = [*before, sys.executable, "-c", first + START, str(folder / config)]
        process = await asyncio.create_subprocess_exec(
            *words, cwd=folder, stderr=asyncio.subprocess.PIPE,
            env=os.environ | ALSO | {"NOTIFY_SOCKET": f"{place}/notify"} | (environ or {}),
        )
        one = Daemon(process, folder, heard)
        try:
            yield one
        finally:
            if process.returncode is None:
                process.kill()
            await one.ended()


def write(folder: Path, config: str) -> None:
    """The files of a daemon, with one campaign."""
    folder.chmod(0o700)
    (folder / "dispatcher.toml").write_text(config)
    (folder / "campaigns" / "delay").mkdir(parents=True)
    (folder / "campaigns" / "delay" / "campaign.toml").write_text(CAMPAIGN)


async def enqueue(one: Daemon, count: int, now: str, campaigns: Sequence[str] = ("delay",)) -> None:
    """So many active customers, and a message for each: of these campaigns in turn."""
    async with one.client() as client:
        for first in range(0, count, AT_ONCE):
            people = [{"id": f"c{number}", "email": f"c{number}@mail.example", "name": f"N{number}",
                       "location": "DE/Berlin", "last_active_at": now}
                      for number in range(first, min(first + AT_ONCE, count))]
            status, body = await client.call("customers.import", {"rows": rows(*people)})
            assert (status, body["result"]["faults"]) == (200, [])
            requests = rows(*({"customer": f"c{number}", "campaign": campaigns[number % len(campaigns)]}
                              for number in range(first, first + len(people))))
            status, body = await client.call("send.requests", {"rows": requests})
            assert (status, body["result"]["queued"]) == (200, len(people))


async def since(one: Daemon) -> str:
    """When it started, as it says."""
    async with one.client() as client:
        return str((await client.call("status"))[1]["result"]["daemon"]["since"])


async def arrived(server: SmtpServer, count: int) -> None:
    """Return once so many mails have arrived."""
    while len(server.mails) < count:  # noqa: ASYNC110 -- another process sends them, which sets no event
        await asyncio.sleep(0.01)
