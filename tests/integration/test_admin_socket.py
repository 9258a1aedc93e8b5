"""The admin socket's file: its folder, what a crash left of it, and who else may be listening there."""

import socket
import stat
from pathlib import Path

import pytest

from dispatcher.web.admin_socket import SocketError, identity, listen, remove


def test_what_a_crash_left_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    listen(path).close()       # the file stays, nobody listens
    with listen(path):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_socket_that_somebody_listens_at_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with listen(path):
        before = identity(path)
        with pytest.raises(SocketError, match="another process listens"):
            listen(path)
        assert identity(path) == before


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    path.write_text("precious")
    with pytest.raises(SocketError, match="no socket"):
        listen(path)
    assert path.read_text() == "precious"


def test_a_folder_that_is_missing_or_open_to_everyone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SocketError, match="cannot be used"):
        listen(tmp_path / "missing" / "admin.sock")
    (tmp_path / "file").touch()
    with pytest.raises(SocketError, match="no folder"):
        listen(tmp_path / "file" / "admin.sock")
    tmp_path.chmod(0o777)
    with pytest.raises(SocketError, match="everyone may write"):
        listen(tmp_path / "admin.sock")
    tmp_path.chmod(0o700)


def test_only_our_own_file_is_taken_away_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with listen(path):
        made = identity(path)
        path.rename(tmp_path / "ours")
        with listen(path):
            remove(path, made)
            assert path.exists()
            remove(path, identity(path))
            assert not path.exists()
        remove(path, made)
    assert (tmp_path / "ours").is_socket()


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises((SocketError, OSError)):
        listen(tmp_path / ("x" * 120))


def test_nobody_else_can_connect_by_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with listen(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert path.stat().st_mode & 0o077 == 0
