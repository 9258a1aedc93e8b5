"""Words to systemd, where the process runs under it: ready, reloading, stopping, a line of status, the watchdog.

The protocol is sd_notify(3): datagrams to the socket that $NOTIFY_SOCKET names. Everywhere else nothing happens.
"""

import os
import socket
from collections.abc import Mapping


def notify(*words: str, environ: Mapping[str, str] | None = None) -> None:
    """Send words such as "READY=1"; a systemd that does not listen is no reason to fail."""
    place = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return
    address = "\0" + place[1:] if place.startswith("@") else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(0)
        try:
            sender.sendto("\n".join(words).encode(), address)
        except OSError:
            return


def watchdog(environ: Mapping[str, str] | None = None) -> float | None:
    """Seconds after which systemd takes this process for dead unless it hears WATCHDOG=1; None: it does not watch."""
    environ = os.environ if environ is None else environ
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isascii() and text.isdigit() and int(text) > 0 else None
