"""An SMTP server that only says yes: `python bench_smtp.py [MILLISECONDS]` prints its port and serves.

As fast as Python can, or each time after so long, as a server far away. A process of its own, so that a bench measures
the sender. It ends with its standard input.
"""

import asyncio
import sys

AFTER = float(sys.argv[1]) / 1000 if len(sys.argv) > 1 else 0.0


class Yes(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport):
        self.transport, self.buffer, self.in_body = transport, b"", False
        self.say(b"220 bench\r\n")

    def say(self, line):
        if AFTER:
            asyncio.get_running_loop().call_later(AFTER, self.transport.write, line)
        else:
            self.transport.write(line)

    def data_received(self, data):
        self.buffer += data
        while True:
            end = b"\r\n.\r\n" if self.in_body else b"\r\n"
            place = self.buffer.find(end)
            if place < 0:
                return
            line, self.buffer = self.buffer[:place].upper(), self.buffer[place + len(end):]
            if self.in_body:
                self.in_body = False
                self.say(b"250 ok\r\n")
            elif line.startswith(b"EHLO"):
                self.say(b"250-bench\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 30000000\r\n")
            elif line == b"DATA":
                self.in_body = True
                self.say(b"354 go on\r\n")
            elif line == b"QUIT":
                self.say(b"221 bye\r\n")
                self.transport.close()
                return
            else:
                self.say(b"250 ok\r\n")


async def main():
    server = await asyncio.get_running_loop().create_server(Yes, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
