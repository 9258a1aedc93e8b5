"""An SMTP server that only says yes, as fast as Python can: `python bench_smtp.py` prints its port and serves.

A process of its own, so that a bench measures the sender. It ends with its standard input.
"""

import asyncio
import sys


class Yes(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport):
        self.transport, self.buffer, self.in_body = transport, b"", False
        transport.write(b"220 bench\r\n")

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
                self.transport.write(b"250 ok\r\n")
            elif line.startswith(b"EHLO"):
                self.transport.write(b"250-bench\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 30000000\r\n")
            elif line == b"DATA":
                self.in_body = True
                self.transport.write(b"354 go on\r\n")
            elif line == b"QUIT":
                self.transport.write(b"221 bye\r\n")
                self.transport.close()
                return
            else:
                self.transport.write(b"250 ok\r\n")


async def main():
    server = await asyncio.get_running_loop().create_server(Yes, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
