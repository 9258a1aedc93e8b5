"""Which configuration a command goes by, and where the daemon that it may talk to listens."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.faults import ConfigFaults, Fault
from config.load import find_config, load
from config.model import Http, Settings

_SOCKET: Final = re.compile(r"""^\s*admin\s*=\s*["']unix:([^"'\n]+)["']""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """What a configuration file says to a client: secrets are not read."""

    path: Path
    settings: Settings | None       # None: the file has faults
    faults: Sequence[Fault]
    socket: Path


def locate(argument: str | None) -> Place:
    """The place that --config, the environment or the usual files name; ConfigFaults where there is no file at all.

    A file with faults still says where the daemon listens, as well as it can be read: who has just broken it must be
    able to hold everything all the same.
    """
    path = find_config(argument, os.environ)
    try:
        settings = load(path, read_secrets=False).settings
    except ConfigFaults as error:
        return Place(path, None, error.faults, _socket_in(path))
    return Place(path, settings, (), settings.http.socket)


def _socket_in(path: Path) -> Path:
    try:
        found = _SOCKET.search(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        found = None
    return path.absolute().parent / found[1] if found else Http().socket
