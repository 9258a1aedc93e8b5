"""The way to the operations: through a daemon's socket, or on the store, and what goes wrong on it."""

import errno
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command_line import House, Typing

from dispatcher.cli import caller
from dispatcher.cli.caller import Caller, OperationFailed
from dispatcher.cli.output import CliError
from dispatcher.cli.place import locate
from dispatcher.store.lock import acquire


@pytest.fixture
def client(home: House) -> Iterator[Caller]:
    made = Caller(locate(str(home.folder / "dispatcher.toml")), "status")
    yield made
    made.close()


@contextmanager
def answering(path: Path, *answers: bytes, then: Callable[[], object] = lambda: None) -> Iterator[list[bytes]]:
    """Somebody who listens at a socket, keeps what is asked, and gives these answers, one a connection."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(30)

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                    while len(body) < length:
                        body += connection.recv(65_536)
                    asked.append(head.splitlines()[0] + b" " + body)
                    connection.sendall(answer)
            then()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            thread.join(30)
            path.unlink(missing_ok=True)


def reply(status: int, document: object) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def test_where_a_daemon_listens_it_is_asked_and_the_store_is_left_alone(home: House, client: Caller) -> None:
    with answering(home.folder / "admin.sock", reply(200, {"result": {"lanes": []}})) as asked:
        assert client.call("status", {"a": 1}) == {"lanes": []}
    assert asked == [b'POST /v1/status HTTP/1.1 {"a": 1}']
    assert not (home.folder / "dispatcher.db").exists()


@pytest.mark.parametrize(("status", "kind", "code"), [
    (400, "usage", 2), (404, "unknown", 1), (409, "conflict", 1), (500, "failed", 1)])
def test_a_refusal_ends_the_command_by_its_kind(
    status: int, kind: str, code: int, home: House, client: Caller,
) -> None:
    error = {"error": {"kind": kind, "message": "no", "details": ["line 1", "line 2"] if status == 400 else []}}
    with answering(home.folder / "admin.sock", reply(status, error)), pytest.raises(OperationFailed) as refused:
        client.call("status")
    assert (refused.value.kind, refused.value.code) == (kind, code)
    assert refused.value.lines == (("line 1", "line 2") if status == 400 else ("no",))


@pytest.mark.parametrize(("answer", "words"), [
    (b"", "the daemon ended before it answered"),
    (b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{", "the daemon ended before it answered"),
    (b"nonsense\r\n\r\n", "the daemon ended before it answered"),
    (reply(200, b"<html>"), "the admin socket gave no answer of ours (HTTP 200)"),
    (reply(502, {"no": "error"}), "the admin socket gave no answer of ours (HTTP 502)"),
])
def test_a_broken_answer_is_said_and_nothing_is_asked_twice(
    answer: bytes, words: str, home: House, client: Caller,
) -> None:
    with answering(home.folder / "admin.sock", answer) as asked, pytest.raises(CliError) as broken:
        client.call("status")
    assert broken.value.lines[0].startswith(words)
    assert len(asked) == 1


def test_a_socket_that_nobody_listens_at_is_as_good_as_none(home: House, client: Caller) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(home.folder / "admin.sock"))
    assert client.call("status")["daemon"]["running"] is False
    assert client.call_daemon("status", {}) is None


def test_a_daemon_that_is_just_starting_is_waited_for(
    home: House, client: Caller, monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = acquire(home.folder / "dispatcher.db", "run")
    pauses: list[float] = []
    opened: list[object] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            serving = answering(home.folder / "admin.sock", reply(200, {"result": {"up": True}}))
            serving.__enter__()
            opened.append(serving)

    monkeypatch.setattr(caller.time, "sleep", pause)
    assert client.call("status") == {"up": True}
    opened[0].__exit__(None, None, None)  # type: ignore[attr-defined] # a context manager
    lock.release()
    assert len(pauses) == 2


def test_a_daemon_that_is_just_ending_is_waited_for(
    home: House, client: Caller, monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = acquire(home.folder / "dispatcher.db", "run")
    monkeypatch.setattr(caller.time, "sleep", lambda _: lock.release())
    assert client.call("status")["daemon"]["running"] is False


@pytest.mark.parametrize(("role", "words"), [
    ("run", "and does not answer on {socket}; look at its log"),
    ("customers import", "wait for it to end, and try again"),
])
def test_whoever_keeps_the_store_is_named_in_the_end(
    role: str, words: str, home: House, client: Caller, monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(caller.time, "sleep", pauses.append)
    lock = acquire(home.folder / "dispatcher.db", role)
    with pytest.raises(CliError) as busy:
        client.call("status")
    lock.release()
    assert f"process {os.getpid()} (dispatcher {role})" in busy.value.lines[0]
    assert busy.value.lines[0].endswith(words.format(socket=home.folder / "admin.sock"))
    assert sum(pauses) == pytest.approx(caller.PATIENCE, abs=2 * caller.PAUSE)


def test_a_socket_of_somebody_else_is_explained(
    home: House, typed: Typing, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_self: object, _address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (home.folder / "admin.sock").touch()
    monkeypatch.setattr(caller.socket.socket, "connect", refuse)
    ended = typed("messages", "list")
    assert (ended.code, ended.out, len(ended.errors)) == (1, "", 1)
    assert "is for the dispatcher's user alone; run as that user: sudo -u " in ended.err
    assert ended.err.endswith(" dispatcher messages list\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files where they keep others out")
def test_root_does_not_open_the_store_of_somebody_else(home: House, typed: Typing) -> None:
    os.chown(home.folder, 1, 1)
    ended = typed("status")
    assert (ended.code, ended.out, len(ended.errors)) == (1, "", 1)
    assert ended.err.endswith("run as that user: sudo -u daemon dispatcher status\n")
    assert not list(home.folder.glob("dispatcher.db*"))


def test_after_close_the_next_call_looks_for_a_daemon_again(home: House, client: Caller) -> None:
    assert client.call("status")["daemon"]["running"] is False
    client.close()
    with answering(home.folder / "admin.sock", reply(200, {"result": {"up": True}})):
        assert client.call("status") == {"up": True}


@pytest.mark.parametrize("broken", ["[http]\nadmin = 'unix:here.sock'\n[stre]\n", 'nonsense\n  admin="unix:here.sock"'])
def test_a_broken_configuration_still_leads_to_the_daemon(broken: str, home: House) -> None:
    home.write("dispatcher.toml", broken)
    place = locate("dispatcher.toml")
    assert place.settings is None
    assert place.faults
    assert place.socket == home.folder / "here.sock"


def test_a_broken_configuration_without_a_word_on_it_leads_to_the_usual_socket(home: House) -> None:
    home.write("dispatcher.toml", "nonsense\n")
    assert locate("dispatcher.toml").socket == Path("/run/dispatcher/admin.sock")
