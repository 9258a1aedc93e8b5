"""Secrets: read from where the configuration says they are, never written anywhere.

A source is one of { credential = "NAME" } (systemd's $CREDENTIALS_DIRECTORY), { file = "PATH" } (read again at every
reload) and { env = "NAME" }. One newline at the end is not part of the secret. Every problem names the place that was
looked at and never what stood there.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LARGEST: Final = 64 * 1024     # bytes
_SOURCES: Final = ("credential", "file", "env")
_HOW: Final = 'write { credential = "NAME" }, { file = "PATH" } or { env = "NAME" }'
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}", re.ASCII)
_BREAKS: Final = re.compile(r"[\x00\r\n]")


def read_secret(source: Mapping[str, object], folder: Path, environ: Mapping[str, str], *, read: bool = True) -> str:
    """The secret that a source names, or ValueError. With `read` off only the source's form is checked: ""."""
    kind, name = _parts(source)
    if not read:
        return ""
    if kind == "env":
        text, place = _from_environment(name, environ), f"${name}"
    else:
        path = _credential_path(name, environ) if kind == "credential" else folder / name
        text, place = _from_file(path), str(path)
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"is empty: {place} holds no secret")
    if _BREAKS.search(text):
        raise ValueError(f"must be one line: {place} holds more")
    return text


def exposure(source: object, folder: Path) -> str:
    """A warning where a secret's file may be read by others; else ""."""
    if not isinstance(source, Mapping) or not isinstance(source.get("file"), str):
        return ""
    path = folder / str(source["file"])
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""       # reading it says so, as a fault
    if not mode & stat.S_IROTH:
        return ""
    return f"everyone on this machine may read {path}; take that away with chmod o-r"


def _parts(source: Mapping[str, object]) -> tuple[str, str]:
    if len(source) != 1:
        raise ValueError(f"must name exactly one source; {_HOW}")
    (kind, name), = source.items()
    if kind not in _SOURCES:
        raise ValueError(f"names no known source; {_HOW}")
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ValueError(f"has no usable name in {kind}; {_HOW}")
    if kind == "credential" and not _CREDENTIAL.fullmatch(name):
        raise ValueError('has no usable name in credential; letters, digits, ".", "_" and "-" make one')
    return kind, name


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise ValueError(f"cannot be read: the environment has no {name}")
    return environ[name]


def _credential_path(name: str, environ: Mapping[str, str]) -> Path:
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        raise ValueError("cannot be read: $CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with "
                         f"LoadCredential={name}:PATH")
    return Path(directory) / name


def _from_file(path: Path) -> str:
    try:
        if not path.is_file():
            raise ValueError(f"cannot be read: there is no file {path}")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {path}: {error.strerror}") from None
    if len(content) > LARGEST:
        raise ValueError(f"is too large: {path} has more than {LARGEST // 1024} KiB")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"is not UTF-8: {path}") from None
