"""A door in front of a server, which can be shut, and which can keep an answer to itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

Judge = Callable[[bytes], bool]


class Proxy:
    """Passes on what it hears, but what it was told to stop at."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._both: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self.port = 0
        self.open = True
        self.delay = 0.0            # seconds that each word takes, in either direction
        self.passing = asyncio.Event()      # not set: nothing gets through, and no connection ends
        self.passing.set()
        self.silent = False         # the server does not hear of it when a connection ends
        self.lose_request: Judge = lambda _: False     # what the client says is not passed on; the connection ends
        self.lose_answer: Judge = lambda _: False      # it is passed on, and the connection ends before the answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        if not self.open:
            writer.transport.abort()
            return
        try:
            to_server, from_client = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._both.append((writer, from_client))
        back = asyncio.create_task(self._answers(to_server, writer))
        self._tasks.add(back)
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._on_the_way()
                if self.lose_request(data):
                    break
                if self.lose_answer(data):
                    back.cancel()
                    await asyncio.gather(back, return_exceptions=True)
                    from_client.write(data)
                    await from_client.drain()
                    await to_server.read(65_536)     # so that it has surely been done
                    break
                from_client.write(data)
                await from_client.drain()
        writer.transport.abort()
        if not self.silent:
            from_client.transport.abort()

    def lead_to(self, port: int) -> None:
        """Bring who comes from now on to another port, and end every connection."""
        self._target = (self._target[0], port)
        self.cut()

    def cut(self) -> None:
        """End every connection."""
        for client, server in self._both:
            client.transport.abort()
            if not self.silent:
                server.transport.abort()

    async def _on_the_way(self) -> None:
        await asyncio.sleep(self.delay)     # this is what is tried
        await self.passing.wait()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._on_the_way()
                writer.write(data)
                await writer.drain()
            writer.close()


@asynccontextmanager
async def proxy(host: str, port: int) -> AsyncIterator[Proxy]:
    """A door to a server, on a port of its own."""
    one = Proxy(host, port)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        one.open, one.silent = False, False
        one.cut()
        server.close()
        for task in one._tasks:
            task.cancel()
        await asyncio.gather(*one._tasks, return_exceptions=True)
