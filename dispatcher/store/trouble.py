"""What SQLite's errors of disk and file mean to whoever runs the dispatcher: what happens now, and what to do.

Three kinds. A disk that is full or fails gives back nothing that was not told: the transaction is undone, and tried
again. A file that is damaged is not written any more, nor is anything sent by it: what a ledger with holes says cannot
be trusted. And after a commit that could not be brought to the disk the process ends, as the kernel may have dropped
what it was given, and would say so only once: the next start reads what is really there.
"""

import sqlite3
from typing import Final

_PRIMARY: Final = 0xFF      # of an error code: its kind, without the circumstances
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNSYNCED: Final = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})
_RESTORE: Final = "stop the daemon and restore a backup (docs/backup.md); `dispatcher db check` says more"
_TO_DO: Final = {
    sqlite3.SQLITE_FULL: "nothing is sent until there is room on the store's disk again",
    sqlite3.SQLITE_IOERR: "the store's disk fails, and nothing is sent until it works; see the kernel's log, "
                          "then `dispatcher db check`",
    sqlite3.SQLITE_CORRUPT: f"the file is damaged, and nothing is sent by it; {_RESTORE}",
    sqlite3.SQLITE_NOTADB: f"the file is another's, or damaged; correct [store] url, or {_RESTORE}",
}


def advise(error: BaseException | None) -> None:
    """Let SQLite's own error say what to do, wherever its words will be shown."""
    code = _code(error)
    to_do = _TO_DO.get(code & _PRIMARY) if code is not None else None
    if error is not None and to_do is not None and to_do not in str(error):
        error.args = (f"{error}: {to_do}", *error.args[1:])


def is_trouble(error: BaseException | None) -> bool:
    """Whether an error is about disk or file, rather than about what was asked."""
    code = _code(error)
    return code is not None and code & _PRIMARY in _TO_DO


def is_damage(error: BaseException | None) -> bool:
    """Whether an error says that the file is not a whole database."""
    code = _code(error)
    return code is not None and code & _PRIMARY in _DAMAGE


def is_unsynced(error: BaseException | None) -> bool:
    """Whether what was written may not have come to the disk, though it was asked for."""
    return _code(error) in _UNSYNCED


def _code(error: BaseException | None) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code if isinstance(code, int) else None
