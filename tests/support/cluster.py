"""A PostgreSQL server of a test's own, to be ended in the middle of its work, and one that takes over from it.

Its commits wait for the disk, and for the standby's where there is one: what it has answered must be there afterwards.
"""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from support.needs import missing
from support.postgresql import SERVER, need_postgresql, tell
from support.tcp_proxy import Proxy, proxy

from dispatcher.store.postgresql import Address

FOLDERS = Path("/usr/lib/postgresql")     # Debian keeps the server's programs out of the way, by version


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server in a folder, on a port of loopback."""

    programs: Path
    folder: Path
    port: int

    @property
    def address(self) -> Address:
        """Its one database."""
        return Address(replace(SERVER, host="127.0.0.1", port=self.port, user="postgres", database="postgres"))

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        await self._control("start", "-o", f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1")

    async def stop(self, how: str = "immediate") -> None:
        """End it; "immediate" is as kill -9 to all of its processes."""
        await self._control("stop", "-m", how)

    async def restart(self) -> None:
        """End it as by kill -9, and start it again: it recovers from its log."""
        await self._control("restart", "-m", "immediate")

    async def promote(self) -> None:
        """A standby takes over."""
        await self._control("promote")

    async def standby(self, port: int) -> "Cluster":
        """A copy of this server that follows it, not started yet."""
        place = made(self.folder.with_name("standby"))
        await run(str(self.programs / "pg_basebackup"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                  "-D", str(place / "data"), "-R", "--no-sync")
        return Cluster(self.programs, place, port)

    async def _control(self, verb: str, *words: str) -> None:
        await run(str(self.programs / "pg_ctl"), "-D", str(self.folder / "data"), "-l", str(self.folder / "log"),
                  "-w", verb, *words)


async def run(*words: str) -> None:
    """Run one of the server's programs; as its own user, as it refuses to run as root."""
    before = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    # Nothing of a server that stays may hold an output open, or whoever reads that waits for ever.
    process = await asyncio.create_subprocess_exec(
        *before, *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL, cwd="/")
    if await process.wait():
        raise AssertionError(" ".join(words))


def made(folder: Path) -> Path:
    """A new folder, which the server's user has to itself."""
    folder.mkdir(0o700)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        folder.parent.chmod(0o711)
    return folder


def programs() -> Path:
    """The folder of the server's programs."""
    found = sorted(FOLDERS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].split(".")[0]))
    usual = shutil.which("initdb")
    if not found and usual is None:
        missing("PostgreSQL's server programs")
    return found[-1].parent if found else Path(str(usual)).parent


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """A server that runs, for as long as the block takes."""
    need_postgresql()
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        place = made(Path(name) / "primary")
        one = Cluster(programs(), place, free_port())
        await run(str(one.programs / "initdb"), "-D", str(place / "data"), "-U", "postgres", "-A", "trust",
                  "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync")
        await one.start()
        try:
            yield one
        finally:
            with suppress(AssertionError):      # it may have been ended already
                await one.stop()


@dataclass(slots=True)
class Pair:
    """A server and its standby, both behind one door: every commit is on both before it is answered."""

    primary: Cluster
    standby: Cluster
    door: Proxy

    @property
    def address(self) -> Address:
        """The door's."""
        address = self.primary.address
        return replace(address, database=replace(address.database, port=self.door.port))

    async def restart(self) -> None:
        """The primary is gone for good, and the other takes over."""
        await self.primary.stop()
        await self.standby.promote()
        self.door.lead_to(self.standby.port)


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    """A server, its standby and their door, for as long as the block takes."""
    async with cluster() as primary:
        standby = await primary.standby(free_port())
        await standby.start()
        # Only now, so that the standby has it not, when it has taken over and is alone.
        await tell("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()",
                   address=primary.address)
        try:
            async with proxy("127.0.0.1", primary.port) as door:
                yield Pair(primary, standby, door)
        finally:
            with suppress(AssertionError):
                await standby.stop()
