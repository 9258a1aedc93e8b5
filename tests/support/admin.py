"""The admin listener of a world on a real Unix socket, and a client for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, UnixConnector, web
from support.offices import Desk
from support.world import World

from dispatcher.web.admin import build_admin, build_runner
from dispatcher.web.admin_socket import listen
from dispatcher.web.health import Health
from dispatcher.web.metrics import Metrics


class Client:
    """Asks the listener as the command line does."""

    def __init__(self, session: ClientSession, path: Path) -> None:
        self.session = session
        self.path = path

    async def call(self, name: str, args: object = None) -> tuple[int, dict[str, Any]]:
        """Status and body of an operation's answer."""
        async with self.session.post(f"http://admin/v1/{name}", json=args) as response:
            return response.status, await response.json()

    async def post(self, name: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """The same, with any body."""
        async with self.session.post(f"http://admin/v1/{name}", data=BytesIO(body)) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        async with self.session.get(f"http://admin{path}") as response:
            return response.status, await response.text()


@asynccontextmanager
async def admin(one: World) -> AsyncIterator[Client]:
    """The listener of a world, as app.py builds it."""
    path = one.folder / "admin.sock"
    desk = Desk(one)
    app = build_admin(desk.office, Health(one.works), Metrics(desk.office, desk.reloader.counted))
    runner = build_runner(app, stop_within=1)
    await runner.setup()
    await web.SockSite(runner, listen(path)).start()
    try:
        async with ClientSession(connector=UnixConnector(str(path))) as session:
            yield Client(session, path)
    finally:
        await runner.cleanup()
