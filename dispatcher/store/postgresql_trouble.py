"""What PostgreSQL's errors of disk and role mean to whoever runs the dispatcher, and that no error quotes anybody.

None of them takes back what was committed. The transaction is undone and tried again, so that all goes on by itself
when the server can. It may well be read meanwhile: only who has written knows that it can.
"""

from typing import Final

_UNWRITABLE: Final = {      # by SQLSTATE
    "53100": "the database server's disk is full: nothing is sent until there is room on it again",
    "58030": "the database server's disk fails: nothing is sent until it works; see the server's log",
    "25006": "the database server takes no writes: nothing is sent until it does; it is a standby, or made read-only",
}


def advise(error: BaseException | None) -> None:
    """Let the server's own error say what to do, wherever its words will be shown."""
    words = unwritable(error)
    if error is not None and words:
        error.args = (words,)


def unwritable(error: BaseException | None) -> str:
    """Why the server cannot be written; "" where an error says nothing of the kind."""
    return _UNWRITABLE.get(getattr(error, "sqlstate", None) or "", "")


def hush(error: BaseException | None) -> bool:
    """What is stored is people's data: no error may quote it (promise P12), nor the one behind it in a trace.

    True where the message itself did, which is then another.
    """
    quoted = False
    while error is not None:
        if getattr(error, "detail", None) is not None:
            error.detail = None     # type: ignore[attr-defined] # both the driver's errors and SQLAlchemy's have it
        if error.args and "for query argument" in str(error.args[0]):
            error.args, quoted = ("a value is not what its column takes",), True
        error = error.__cause__
    return quoted
