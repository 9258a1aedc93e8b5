"""While a drill runs, this process reaches nobody: whatever would open a way out fails, whoever asks for it.

The drill's channels have no way out to begin with; this is the second lock. Python tells its audit hooks of every
connection, every name looked up and every process started before it happens, from whatever library.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FORBIDDEN: Final = frozenset({
    "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
    "socket.gethostbyaddr", "socket.getnameinfo", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn",
    "smtplib.connect", "http.client.connect",
})


class ReachedOutError(RuntimeError):
    """Something in a drill wanted to reach outside: a fault of this program, and nothing left."""


class _Seal:
    """One hook for the whole life of the process: Python takes none away again."""

    def __init__(self) -> None:
        self.drills = 0
        self.installed = False

    def hook(self, event: str, _: tuple[object, ...]) -> None:
        if self.drills and event in FORBIDDEN:
            raise ReachedOutError(f"a drill wanted to reach outside ({event})")


_SEAL: Final = _Seal()


@contextmanager
def sealed() -> Iterator[None]:
    """Nothing of this process reaches out while the block runs."""
    if not _SEAL.installed:
        sys.addaudithook(_SEAL.hook)
        _SEAL.installed = True
    _SEAL.drills += 1
    try:
        yield
    finally:
        _SEAL.drills -= 1
