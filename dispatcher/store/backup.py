"""A copy of a SQLite store, made while a daemon works on it: one moment of it, whole, in one file.

The copy is written beside its place, looked through, brought to the disk and only then given its name: a file of that
name is a whole backup, or it is not there. Nothing here writes to the store, and nobody waits for it; the store's log
grows meanwhile by what others write.
"""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dispatcher.store.driver import open_to_read
from dispatcher.store.trouble import is_damage

PAGES: Final = 1_000
"""Pages that are copied in one go; between two of them the command can be interrupted."""
_SCHEMA: Final = "SELECT version_num FROM alembic_version"


class BackupError(Exception):
    """There is no backup; the message says why. Nothing is left of the attempt."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A backup that was made."""

    size: int       # bytes
    schema: str


def back_up(store: Path, target: Path) -> Copied:
    """Copy a store to a file that is not there yet; BackupError where that cannot be."""
    if os.path.lexists(target):
        raise BackupError(f"{target} exists already; name a file that does not: no backup is ever overwritten")
    if not store.exists():
        raise BackupError(f"there is no store {store} yet")
    try:
        with _beside(target) as copy:
            with closing(open_to_read(store)) as source, closing(_open(copy)) as made:
                schema = _copy(source, made)
            _look_through(copy, schema)
            _to_disk(copy)
            size = copy.stat().st_size
            _name(copy, target)
            _to_disk(target.parent)
    except sqlite3.Error as error:
        hint = "; see `dispatcher db check`" if is_damage(error) else ""
        raise BackupError(f"no backup was made of {store}: {error}{hint}") from error
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror or error}") from error
    return Copied(size, schema)


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A file of the owner's alone beside the target; gone at the end, unless it was named meanwhile."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")     # mode 0600
    os.close(handle)
    try:
        yield Path(name)
    finally:
        for left in (name, f"{name}-journal", f"{name}-wal", f"{name}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(left)     # noqa: PTH108 -- a name that is put together


def _open(copy: Path) -> sqlite3.Connection:
    """The copy, to be written; until it is whole nobody needs it, so nothing waits for the disk."""
    made = sqlite3.connect(copy, isolation_level=None)
    made.execute("PRAGMA synchronous=OFF")
    return made


def _copy(source: sqlite3.Connection, made: sqlite3.Connection) -> str:
    """Copy one moment; its schema's version."""
    source.execute("BEGIN")         # without it, whatever others write would make the copy begin again
    try:
        found = source.execute(_SCHEMA).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        found = None
    if found is None:
        raise BackupError("[store] url names no store of the dispatcher's")
    source.backup(made, pages=PAGES, progress=lambda _status, _left, _all: None)
    # One file and no log beside it; who opens it as a store makes a log again.
    made.execute("PRAGMA journal_mode=DELETE")
    return str(found[0])


def _look_through(copy: Path, schema: str) -> None:
    """Raise BackupError where the copy is not what it should be."""
    with closing(open_to_read(copy)) as made:
        told = "\n".join(str(text) for (text,) in made.execute("PRAGMA quick_check(1)")).splitlines()
        wrong = [line for line in told if line != "ok" and not line.startswith("***")]      # no heading
        if wrong or made.execute(_SCHEMA).fetchone() != (schema,):
            why = wrong[0] if wrong else "its schema is another"
            raise BackupError(f"no backup was made: the copy is not whole ({why}); see `dispatcher db check`")


def _to_disk(path: Path) -> None:
    """Return when a file, or a folder's list of files, is on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name(copy: Path, target: Path) -> None:
    """Give the copy its name, in one step, unless somebody else has taken it meanwhile."""
    try:
        os.link(copy, target)       # unlike a renaming it replaces nothing
    except FileExistsError:
        raise BackupError(f"{target} was made by somebody else meanwhile; it was left as it is") from None
    except PermissionError:         # a file system without links
        copy.rename(target)
