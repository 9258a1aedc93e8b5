"""Operations by name, in the daemon where one listens, else in this process on the store itself.

The daemon is asked through its admin socket. Where none listens, the store is opened and the same function runs here.
A daemon that is just starting or ending has the store and does not listen: then both are tried again for ten seconds.
Nothing is asked twice on a guess: once a request has left, a connection that breaks is an error that says what to do.
"""

import http.client
import json
import pwd
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dispatcher.cli.output import FAILED, WRONG, CliError, complain
from dispatcher.cli.place import Place

if TYPE_CHECKING:
    from dispatcher.cli.office import OpenOffice

PATIENCE: Final = 10.0          # seconds for a daemon to start or to end
PAUSE: Final = 0.2              # seconds between two tries
ANSWER: Final = 600.0           # seconds for one answer; the longest work is done in chunks
_OK: Final = 200
_CODES: Final = {"usage": WRONG}


class OperationFailed(CliError):  # noqa: N818 -- it carries an answer, not a fault of the program
    """The answer to an operation that was refused; `kind` is usage, unknown, conflict or failed."""

    def __init__(self, kind: str, message: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(*(details or (message,)), code=_CODES.get(kind, FAILED))
        self.kind = kind


class _NobodyListensError(Exception):
    """No daemon at the socket; the request was surely not taken."""


class Caller:
    """Calls operations; `close` gives the store back where this process had to open it."""

    def __init__(self, place: Place, role: str) -> None:
        self._place = place
        self._role = role
        self._office: OpenOffice | None = None
        self._warned = False

    def call(self, name: str, args: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """An operation's result; OperationFailed or another CliError says why there is none."""
        if self._office is not None:
            return self._office.perform(name, args or {})
        tries = round(PATIENCE / PAUSE)
        while True:
            result = self.call_daemon(name, args or {})
            if result is not None:
                return result
            tries -= 1
            if self._open_store(last_try=tries <= 0):
                return self.call(name, args)
            time.sleep(PAUSE)

    def call_daemon(self, name: str, args: Mapping[str, Any]) -> dict[str, Any] | None:
        """As call, but only where a daemon listens; None where there is none."""
        try:
            result = ask_daemon(self._place.socket, name, args, self._role)
        except _NobodyListensError:
            return None
        self._warn_of_faults()
        return result

    @property
    def works_alone(self) -> bool:
        """Whether the store is open in this process."""
        return self._office is not None

    def close(self) -> None:
        """Give the store back; the next call looks for a daemon again."""
        office, self._office = self._office, None
        if office is not None:
            office.close()

    def _open_store(self, *, last_try: bool) -> bool:
        """Whether the store is open now; False while another process has it."""
        if self._place.settings is None:
            raise CliError(*map(str, self._place.faults), code=WRONG)
        from dispatcher.cli.office import Busy, open_store  # noqa: PLC0415 -- half a second that a daemon saves us

        settings = self._place.settings
        if settings.store.password is not None:     # not read so far, as a daemon would have needed none from us
            from config.load import load_store  # noqa: PLC0415 -- seldom needed

            settings = settings.model_copy(update={"store": load_store(self._place.path)})
        opened = open_store(settings, self._role)
        if not isinstance(opened, Busy):
            self._office = opened
            return True
        if not last_try:
            return False
        hint = (f"and does not answer on {self._place.socket}; look at its log" if opened.role == "run"
                else "wait for it to end, and try again")
        raise CliError(f"{opened.why}; {hint}")

    def _warn_of_faults(self) -> None:
        if self._place.settings is None and not self._warned:
            self._warned = True
            complain(f"warning: {self._place.path} has faults (dispatcher check names them); "
                     "the daemon goes on with what it read before")


class _Connection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER)
        self._path = path

    def connect(self) -> None:
        """Connect, or raise what the socket raises."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


def ask_daemon(path: Path, name: str, args: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The answer of the daemon at a socket; _NobodyListensError where there is none."""
    connection = _Connection(path)
    try:
        connection.connect()
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise _NobodyListensError from None
    except PermissionError:
        raise CliError(_not_permitted(path, role)) from None
    except OSError as error:
        raise CliError(f"the admin socket {path} cannot be used: {error.strerror or error}") from None
    try:
        connection.request("POST", f"/v1/{name}", json.dumps(args).encode(),
                           {"Content-Type": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
    except TimeoutError:
        raise CliError(f"the daemon has not answered for {ANSWER / 60:.0f} minutes; look at its log") from None
    except (OSError, http.client.HTTPException):
        raise CliError("the daemon ended before it answered; see `dispatcher status`, then run this again: "
                       "what it has already done is not done twice") from None
    finally:
        connection.close()
    return _result(answer.status, body)


def _result(status: int, body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
        if status == _OK:
            result: dict[str, Any] = said["result"]
            return result
        error = said["error"]
        refused = OperationFailed(error["kind"], error["message"], tuple(error.get("details", ())))
    except (ValueError, KeyError, TypeError):
        raise CliError(f"the admin socket gave no answer of ours (HTTP {status}); "
                       "are daemon and command of one version?") from None
    raise refused


def _not_permitted(path: Path, role: str) -> str:
    return f"the admin socket {path} is for the dispatcher's user alone; {as_owner(path, role)}"


def as_owner(path: Path, role: str) -> str:
    """How to run a command as the user whose file this is, as far as one may see that."""
    for known in (path, *path.parents):
        with suppress(OSError, KeyError):
            return f"run as that user: sudo -u {pwd.getpwuid(known.stat().st_uid).pw_name} dispatcher {role}"
    return "run as that user"
