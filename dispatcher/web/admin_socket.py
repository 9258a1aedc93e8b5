"""The admin listener's Unix socket: its owner's alone, never taken from somebody who listens, gone when we are."""

import os
import socket
import stat
from pathlib import Path

_BACKLOG = 128


class SocketError(Exception):
    """The socket cannot be; the message says what to do."""


def check_folder(path: Path) -> None:
    """Raise SocketError where no socket should be made: nobody else may write beside it."""
    try:
        mode = path.parent.stat().st_mode
    except OSError as error:
        raise SocketError(f"the folder of [http] admin, {path.parent}, cannot be used: {error.strerror}; "
                          "make it, or correct the key") from None
    if not stat.S_ISDIR(mode):
        raise SocketError(f"{path.parent} is no folder; correct [http] admin")
    if mode & stat.S_IWOTH:
        raise SocketError(f"everyone may write into {path.parent}, so anybody could stand in for the daemon there; "
                          f"name another folder in [http] admin, or say chmod o-w {path.parent}")


def listen(path: Path) -> socket.socket:
    """Listen there; a file that a crash left is taken away, one that somebody listens at is not."""
    check_folder(path)
    _take_away_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        made.bind(str(path))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise SocketError(f"the admin socket {path} cannot be made: {error.strerror}") from None
    finally:
        os.umask(before)
    return made


def remove(path: Path, made: tuple[int, int]) -> None:
    """Take our socket file away, if it still is the one that was made (device and inode)."""
    try:
        if identity(path) == made:
            path.unlink()
    except OSError:
        return


def identity(path: Path) -> tuple[int, int]:
    """Which file this is."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def _take_away_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketError(f"{path} is there and is no socket; correct [http] admin, or move the file away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise SocketError(f"the admin socket {path} cannot be looked at: {error.strerror}") from None
    raise SocketError(f"another process listens at {path}; two daemons need two sockets in [http] admin")
