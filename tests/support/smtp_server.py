"""A real SMTP server on loopback that does as its script says, and remembers exactly what it saw.

A script is a function from a Step to an Act, or None for good behaviour. The server's record, not the client's, is
the truth about what was sent: a mail is kept when its final dot has been read, whatever is answered to it.
"""

import asyncio
import base64
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HELLO = ("8BITMIME", "SMTPUTF8", "SIZE 30000000")


@dataclass(frozen=True)
class Step:
    """Where a session is: about to answer in a phase.

    Phases: banner, ehlo, starttls, auth, mail, rcpt, data, body (at its first line), dot, rset, noop, quit.
    """

    phase: str
    connection: int      # 1, 2, ...
    message: int         # of this connection: 1, 2, ...
    recipient: str = ""
    sender: str = ""


@dataclass(frozen=True)
class Act:
    """What to do instead of the good answer."""

    say: bytes = b""            # these bytes, as they are
    gap: float | None = None    # seconds between single bytes; None: all at once
    end: str = "go on"          # then: "go on" | "close" | "reset" | "silence"


CLOSE = Act(end="close")
RESET = Act(end="reset")
SILENCE = Act(end="silence")

Script = Callable[[Step], Act | None]


def say(*lines: str) -> Act:
    """Answer with these lines."""
    return Act("".join(line + "\r\n" for line in lines).encode())


def at(phase: str, act: Act, *, message: int | None = None, connection: int | None = None) -> Script:
    """A script with one misdeed: in this phase, of this message or connection only if given."""
    def script(step: Step) -> Act | None:
        fits = step.phase == phase and message in (None, step.message) and connection in (None, step.connection)
        return act if fits else None
    return script


@dataclass(frozen=True)
class Mail:
    """A message whose final dot arrived."""

    sender: str          # between < and > of MAIL
    recipient: str       # between < and > of RCPT
    parameters: str      # behind the > of MAIL
    data: bytes          # dots unstuffed
    at: float            # seconds of the loop's clock
    connection: int


@dataclass
class Seen:
    """One connection."""

    lines: list[tuple[bool, bytes]] = field(default_factory=list)     # (under TLS, command line)
    logins: list[tuple[str, str, str, bool]] = field(default_factory=list)    # mechanism, user, password, under TLS
    messages: int = 0    # MAIL commands
    ended: str = ""      # "quit" | "hung up"; empty while it lasts


class Ended(Exception):  # noqa: N818 -- the way out of a session
    """The script ended this connection."""


class SmtpServer:
    """`async with SmtpServer(script) as server:` listens on `server.port`."""

    def __init__(
        self, script: Script | None = None, *, tls: ssl.SSLContext | None = None, implicit: bool = False,
        offers: tuple[str, ...] | None = None, place: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.script: Script = script or (lambda _: None)
        self.tls, self.implicit, self.offers = tls, implicit, HELLO if offers is None else offers
        self.mails: list[Mail] = []
        self.seen: list[Seen] = []
        self.most_open = 0
        self._open = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.host, self.port = place      # port 0: any

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, self.host, self.port, ssl=self.tls if self.implicit else None, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    @property
    def open(self) -> int:
        """Connections that the client has not ended yet."""
        return self._open

    @property
    def lines(self) -> list[bytes]:
        """The command lines of all connections."""
        return [line for seen in self.seen for _, line in seen.lines]

    async def all_gone(self) -> None:
        """Until every connection has ended; the test's own timeout is the limit."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError
        self._tasks.add(task)
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        self.seen.append(Seen())
        session = _Session(self, len(self.seen), reader, writer)
        try:
            await session.run()
        except (Ended, OSError, asyncio.CancelledError):
            session.seen.ended = session.seen.ended or "hung up"
        finally:
            self._open -= 1
            self._tasks.discard(task)
            session.writer.transport.abort()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await session.writer.wait_closed()


class _Session:
    """One connection of the server."""

    def __init__(
        self, server: SmtpServer, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
    ) -> None:
        self.server, self.number, self.reader, self.writer = server, number, reader, writer
        self.seen = server.seen[number - 1]
        self.secure = server.implicit
        self.sender = self.parameters = self.recipient = ""
        self.refused = False

    async def run(self) -> None:
        await self.answer("banner", "220 test ESMTP")
        while True:
            line = await self.line()
            self.seen.lines.append((self.secure, line))
            await self.obey(line.split(b" ")[0].upper().rstrip(b"\r\n").split(b":")[0], line.decode("utf-8", "replace"))

    async def obey(self, verb: bytes, text: str) -> None:  # noqa: C901 -- a table of verbs
        match verb:
            case b"EHLO":
                offers = (*self.server.offers, *(["STARTTLS"] if self.server.tls and not self.secure else []))
                words = ("test", *offers)
                await self.answer("ehlo", *(f"250-{word}" for word in words[:-1]), f"250 {words[-1]}")
            case b"STARTTLS":
                await self.start_tls()
            case b"AUTH":
                await self.log_in(*text.split()[1:])
            case b"MAIL":
                self.seen.messages += 1
                self.sender, self.parameters = text[text.find("<") + 1:].strip().split(">", 1)
                self.refused = not (await self.answer("mail", "250 2.1.0 ok")).startswith(b"2")
            case b"RCPT" | b"DATA" if self.refused:     # a client that sends on without having heard it
                self.writer.write(b"503 5.5.1 refused before\r\n")
            case b"RCPT":
                self.recipient = text[text.find("<") + 1:text.rfind(">")]
                self.refused = not (await self.answer("rcpt", "250 2.1.5 ok")).startswith(b"2")
            case b"DATA":
                if await self.answer("data", "354 go on") != b"354":
                    return
                await self.take_body()
                await self.answer("dot", "250 2.0.0 taken")
            case b"QUIT":
                await self.answer("quit", "221 bye")
                self.seen.ended = "quit"
                raise Ended
            case b"RSET" | b"NOOP":
                await self.answer(verb.decode().lower(), "250 ok")
            case _:
                await self.answer("other", "502 5.5.2 no")

    async def line(self) -> bytes:
        line = await self.reader.readline()
        if not line.endswith(b"\n"):
            raise Ended
        return line

    async def answer(self, phase: str, *good: str) -> bytes:
        """Answer by the script or well; the code that was said."""
        act = self.server.script(Step(phase, self.number, self.seen.messages, self.recipient, self.sender))
        return await self.act(act or say(*good))

    async def act(self, act: Act, *, deaf: bool = False) -> bytes:
        """Do it; the code that was said. Deaf silence does not even read: the client's bytes pile up."""
        if act.gap is None:
            self.writer.write(act.say)
        else:
            for byte in act.say:
                self.writer.write(bytes([byte]))
                await asyncio.sleep(act.gap)
        if act.end == "go on":
            await self.writer.drain()
            return act.say[:3]
        if act.end == "silence":
            await (asyncio.Event().wait() if deaf else self.listen_only())
        if act.end == "reset":
            sock: socket.socket = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        raise Ended

    async def listen_only(self) -> None:
        """Say nothing more, and see the client go."""
        while await self.reader.read(65_536):
            pass

    async def take_body(self) -> None:
        lines, line = [], await self.line()
        act = self.server.script(Step("body", self.number, self.seen.messages, self.recipient, self.sender))
        if act is not None:
            await self.act(act, deaf=True)
        while line != b".\r\n":
            lines.append(line.removeprefix(b"."))
            line = await self.line()
        at = asyncio.get_running_loop().time()
        self.server.mails.append(
            Mail(self.sender, self.recipient, self.parameters, b"".join(lines), at, self.number))

    async def start_tls(self) -> None:
        if await self.answer("starttls", "220 go on") != b"220" or self.server.tls is None:
            return
        await self.writer.start_tls(self.server.tls)
        self.secure = True

    async def log_in(self, mechanism: str, *first: str) -> None:
        """AUTH PLAIN and LOGIN, each with an initial response as clients send it."""
        initial = base64.b64decode(first[0]).decode()
        if mechanism == "LOGIN":
            self.writer.write(b"334 UGFzc3dvcmQ6\r\n")
            user, password = initial, base64.b64decode(await self.line()).decode()
        else:
            _, user, password = initial.split("\0")
        self.seen.logins.append((mechanism, user, password, self.secure))
        await self.answer("auth", "235 2.7.0 welcome")
