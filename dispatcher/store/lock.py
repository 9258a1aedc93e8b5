"""One process per SQLite store: a lock file beside it, held as long as the store is open.

SQLite before 3.51.3 has a rare fault when two connections write to one WAL, so that two processes never do; a process
that only reads (backup.py) needs no lock, as it neither writes to the log nor moves it into the file. The lock file
says who holds the lock, for the message that the second one prints; the lock itself is the kernel's and ends with
its holder, however that ends.
"""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO


class StoreLockedError(Exception):
    """Another process has the store open; `machine`: where it runs, unless it must be this one.

    `gone`: it does not run any more, so that the lock will surely end.
    """

    def __init__(self, store: object, role: str, process: int, machine: str = "", *, gone: bool = False) -> None:
        holder = f"process {process} (dispatcher {role})" if process else "another process"
        place = f" on {machine}" if process and machine else ""
        super().__init__(f"{store} is in use by {holder}{place}: one process at a time opens a store")
        self.role = role
        self.process = process
        self.gone = gone


@dataclass(frozen=True, slots=True)
class StoreLock:
    """The held lock; `release` gives it back."""

    file: IO[str]

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two processes lock two files of one name."""
        self.file.close()


def acquire(store: Path, role: str) -> StoreLock:
    """Lock a store for a role ("run", or the name of a command), or raise StoreLockedError at once."""
    path = store.with_name(store.name + ".lock")
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        role, process = _holder(file.read())
        file.close()
        raise StoreLockedError(store, role, process) from None
    file.truncate(0)
    file.write(json.dumps({"role": role, "process": os.getpid()}))
    file.flush()
    return StoreLock(file)


def _holder(text: str) -> tuple[str, int]:
    """Role and process id as written by the holder; empty where it has not written yet."""
    try:
        said = json.loads(text)
        return str(said["role"]), int(said["process"])
    except (ValueError, KeyError, TypeError):
        return "", 0
