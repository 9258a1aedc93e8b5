"""A real browser, led by its DevTools protocol: opens a page, notes all that it asks for and complains of."""

import asyncio
import base64
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from support.needs import need_program

PATIENCE = 60.0     # seconds for a browser to start, or to answer
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-port=0",
)


@dataclass
class Tab:
    """One tab of it."""

    socket: aiohttp.ClientWebSocketResponse
    requests: list[str] = field(default_factory=list)       # addresses that the page asked for, its own among them
    complaints: list[str] = field(default_factory=list)     # errors, warnings and words of the console
    _number: int = 0

    async def open(self, page: Path, *, width: int = 1180, height: int = 900, dark: bool = False) -> None:
        """Open a file as in a window of this size, for a reader who likes it light or dark."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.ask(f"{domain}.enable")
        await self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                       mobile=False)
        await self.ask("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        await self.ask("Page.navigate", url=page.as_uri())
        await self._until("Page.loadEventFired")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def screenshot(self, file: Path) -> bytes:
        """The whole page as a picture, written to a file; its points, as a browser packs them."""
        answer = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        data = base64.b64decode(answer["data"])
        await asyncio.to_thread(file.write_bytes, data)
        return points(data)

    async def ask(self, method: str, /, **params: Any) -> dict[str, Any]:
        """A command's answer; what happens meanwhile is noted."""
        self._number += 1
        await self.socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            said = await self._next()
            if said.get("id") == self._number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    async def _until(self, event: str) -> None:
        while (await self._next()).get("method") != event:
            pass

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            said: dict[str, Any] = await self.socket.receive_json()
        match said.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(said["params"]["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(said["params"]["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(str(said["params"]))
            case _:
                pass
        return said


@asynccontextmanager
async def tab(folder: Path) -> AsyncIterator[Tab]:
    """A tab of a browser that knows nothing and is nobody's; ended with the block."""
    program = need_program("chromium")
    process = await asyncio.create_subprocess_exec(
        program, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    reading = None
    try:
        async with asyncio.timeout(PATIENCE):
            port = await _port(process.stderr)
        reading = asyncio.create_task(_drop(process.stderr))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                address = next(one["webSocketDebuggerUrl"] for one in await answer.json() if one["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if reading is not None:
            await reading


async def _port(errors: asyncio.StreamReader) -> str:
    said = ""
    while line := (await errors.readline()).decode(errors="replace"):
        said += line
        found = re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line)
        if found:
            return found[1]
    raise AssertionError(f"the browser did not start: {said}")


async def _drop(errors: asyncio.StreamReader) -> None:
    """Read on, as a full pipe would stop the browser."""
    while await errors.read(65_536):
        pass


def points(png: bytes) -> bytes:
    """The packed points of a PNG: of a blank picture, they are all alike."""
    place, packed = 8, b""
    while place < len(png):
        size = int.from_bytes(png[place:place + 4], "big")
        if png[place + 4:place + 8] == b"IDAT":
            packed += png[place + 8:place + 8 + size]
        place += 12 + size
    return zlib.decompress(packed)
