"""A real SMTP server on loopback, as a process of its own: the demo's witness of what was sent, and when.

`python -m dispatcher.demo.mailserver` prints the port it listens on, then a line of JSON for every mail that it has
taken over, until its standard input ends. It ends then too, so that it never outlives whoever started it.
"""

import asyncio
import json
import sys
from hashlib import sha256
from typing import Any

from aiosmtpd.smtp import SMTP

from dispatcher.clock import SystemClock

TAKEN = "250 2.0.0 taken"


class Witness:
    """Writes down every mail before it answers for it."""

    def __init__(self) -> None:
        self._clock = SystemClock()

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: ANN401, N802 -- aiosmtpd's
        """The final dot has come: envelope, instant of arrival, and what the exact bytes hash to."""
        at = self._clock.now()
        digest = sha256(envelope.original_content).hexdigest()
        for recipient in envelope.rcpt_tos:
            mail = {"sender": envelope.mail_from, "recipient": recipient, "at": at, "digest": digest}
            _tell(json.dumps(mail))
        return TAKEN


async def serve() -> None:
    """Listen until standard input ends."""
    loop, witness = asyncio.get_running_loop(), Witness()
    server = await loop.create_server(
        lambda: SMTP(witness, hostname="mail.example", ident="dispatcher demo", enable_SMTPUTF8=True, loop=loop),
        "127.0.0.1", 0,
    )
    _tell(str(server.sockets[0].getsockname()[1]))
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve())
