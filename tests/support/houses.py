"""Several daemons on one PostgreSQL database, each a process with a folder of its own, as on a machine of its own.

What was sent is what the SMTP server saw; what it came to is asked of the database, past all daemons.
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from support.commands import DISPATCHER
from support.daemons import CONFIG, Daemon, daemon
from support.postgresql import connect, emptied, ours
from support.smtp_server import SmtpServer
from support.world import CAMPAIGN

from dispatcher.store.postgresql import Address

LEASE = 2.0     # seconds
_RAMP = 'start = 36000\nceiling = 36000\nstep = "1h"\nevery = "1s"'
QUICK = (_RAMP, 'start = 1000\nceiling = 1000\nstep = "5s"\nevery = "250ms"')
SLOW = (_RAMP, 'start = 7200\nceiling = 7200\nstep = "1h"\nevery = "10s"')      # 20 in 10 s
FAST = (_RAMP, 'start = 3600000\nceiling = 3600000\nstep = "1h"\nevery = "1s"')         # 1,000 a second
EVEN = (_RAMP, 'start = 1000\nceiling = 1000\nstep = "15s"\nevery = "1s"')       # 67 a second
LONG = (_RAMP, 'start = 360000\nceiling = 360000\nstep = "1h"\nevery = "1m"')       # 6,000 in a minute


class House:
    """Daemons on one database, and what is asked of it."""

    def __init__(self, folder: Path, config: str, stack: AsyncExitStack, campaigns: tuple[str, ...]) -> None:
        self._folder, self._config, self._stack, self._campaigns = folder, config, stack, campaigns
        self.daemons: list[Daemon] = []

    def folder(self, name: str) -> Path:
        """The files of a daemon or a command."""
        folder = self._folder / name
        if not folder.exists():
            folder.mkdir(mode=0o700)
            (folder / "dispatcher.toml").write_text(self._config)
            for campaign in self._campaigns:
                (folder / "campaigns" / campaign).mkdir(parents=True)
                (folder / "campaigns" / campaign / "campaign.toml").write_text(
                    CAMPAIGN.replace('id = "delay"', f'id = "{campaign}"'))
        return folder

    async def start(self, count: int, first: str = "") -> list[Daemon]:
        """So many daemons more, ready. `first`: see support.daemons.daemon."""
        some = [await self._stack.enter_async_context(
                    daemon(self.folder(f"machine{len(self.daemons) + number}"), first=first))
                for number in range(count)]
        for one in some:
            await one.until_told("READY=1")
        self.daemons += some
        return some

    async def command(self, *words: str) -> str:
        """A verb of the command line on a machine without a daemon."""
        return await command(self.folder("elsewhere"), *words)


async def house(folder: Path, server: SmtpServer, stack: AsyncExitStack, *changes: tuple[str, str],
                campaigns: tuple[str, ...] = ("delay",)) -> House:
    """Nobody at home yet, the database emptied; what is started ends with the stack."""
    return House(folder, shared(await emptied(), server.port, *changes), stack, campaigns)


def shared(address: Address, port: int, *changes: tuple[str, str]) -> str:
    """The configuration of a daemon on a database, with a short lease."""
    config = CONFIG.format(port=port).replace(
        'url = "sqlite:///store.db"', f'url = "{address}"\nlease = "{LEASE:.0f}s"')
    for old, new in changes:
        assert old in config
        config = config.replace(old, new)
    return config


async def command(folder: Path, *words: str) -> str:
    """What a verb of the command line says, by the configuration of a folder; it must have succeeded."""
    process = await asyncio.create_subprocess_exec(
        DISPATCHER, *words, "--config", str(folder / "dispatcher.toml"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, wrong = await process.communicate()
    assert process.returncode == 0, wrong.decode()
    return out.decode()


async def asked(query: str) -> list[Any]:
    """Rows of the store, past all daemons."""
    one = await connect(ours())
    try:
        return list(await one.fetch(query))
    finally:
        await one.close()


async def until(query: str) -> None:
    """Return once this is true of the store."""
    one = await connect(ours())
    try:
        while not await one.fetchval(query):  # noqa: ASYNC110 -- other processes make it so, which set no event
            await asyncio.sleep(0.02)
    finally:
        await one.close()


async def copies_explained(server: SmtpServer) -> None:
    """No message was taken by the server more often than it was accepted or may have been; none is lost."""
    copies = Counter(mail.recipient for mail in server.mails)
    rows = await asked("SELECT customer || '@mail.example' AS email, state, doubts FROM messages")
    for row in rows:
        assert copies[row["email"]] <= (row["state"] in {"accepted", "sending"}) + row["doubts"], row
        assert copies[row["email"]] or row["state"] != "accepted", row
    assert len(rows) == len({row["email"] for row in rows})
    assert copies.keys() <= {row["email"] for row in rows}
