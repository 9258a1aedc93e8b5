"""What systemd is told, and whether the packages around us are our own."""

import os
import socket
from pathlib import Path

import pytest

from dispatcher import packages, systemd


def test_words_go_to_the_socket_that_systemd_names(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        systemd.notify("RELOADING=1", "MONOTONIC_USEC=5", environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert heard.recv(100) == b"RELOADING=1\nMONOTONIC_USEC=5"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        name = f"dispatcher-test-{os.getpid()}"
        heard.bind(f"\0{name}")
        systemd.notify("READY=1", environ={"NOTIFY_SOCKET": f"@{name}"})
        assert heard.recv(100) == b"READY=1"


@pytest.mark.parametrize("place", ["", "relative", "/nowhere/notify"])
def test_nothing_fails_where_systemd_does_not_listen(place: str) -> None:
    systemd.notify("READY=1", environ={"NOTIFY_SOCKET": place})
    assert not Path("/nowhere").exists()


@pytest.mark.parametrize(("environ", "seconds"), [
    ({}, None), ({"WATCHDOG_USEC": "30000000"}, 30.0), ({"WATCHDOG_USEC": "0"}, None), ({"WATCHDOG_USEC": "x"}, None),
    ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
    ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
])
def test_the_watchdog_is_ours_only_where_it_names_us(environ: dict[str, str], seconds: float | None) -> None:
    assert systemd.watchdog(environ) == seconds


def test_our_own_packages_are_known_as_such() -> None:
    assert packages.foreign() == ""


def test_another_projects_package_of_the_same_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = type("Spec", (), {"origin": str(tmp_path / "channels" / "__init__.py")})()
    monkeypatch.setattr(packages, "find_spec", lambda _: spec)
    assert "virtual environment of its own" in packages.foreign()
    assert str(tmp_path) in packages.foreign()
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    assert "missing" in packages.foreign()
