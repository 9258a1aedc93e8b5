"""Where the store lies and where the admin listener listens, as ops write it: a path behind a scheme."""

import os
from typing import Final

from pydantic import ValidationInfo

from config.fields import absolute, origin_of, plain_path, text_of
from config.postgresql import SCHEME, parse_postgresql

_LONGEST_SOCKET: Final = 107        # bytes: sun_path of unix(7), less its final NUL
_STORE_FORM: Final = ('write "sqlite:///NAME.db" beside this file, "sqlite:////FOLDER/NAME.db", '
                      'or "postgresql://USER@HOST/DATABASE"')
_POSTGRESQL: Final = ("postgres", SCHEME)


def store_url(value: object, info: ValidationInfo) -> str:
    """`sqlite:////absolute/path` or `postgresql://user@host:port/database`; ValueError says what is allowed.

    After `sqlite:///`, a name without a folder, or with "./" or "../" before it, is relative to the file; anything
    else is absolute, whether its first slash was written or not.
    """
    text = text_of(value, "sqlite:///dispatcher.db")
    scheme, colon, rest = text.partition("://")
    if colon and scheme == SCHEME:
        return str(parse_postgresql(text))
    if scheme.partition("+")[0] in _POSTGRESQL:
        raise ValueError(f'names PostgreSQL otherwise than "{SCHEME}://"; {_STORE_FORM}')
    if not colon or scheme != "sqlite":
        raise ValueError(f"is no store; {_STORE_FORM}")
    path = rest.removeprefix("/")
    if path in {"", ":memory:"} or path.startswith("file:"):
        raise ValueError(f"names no file, and a store in memory forgets what it promised; {_STORE_FORM}")
    if not rest.startswith("/"):
        raise ValueError(f"lacks a slash; {_STORE_FORM}")
    if "?" in path or "#" in path:
        raise ValueError(f"takes no options; {_STORE_FORM}")
    if path.endswith(("/", "/.", "/..")):
        raise ValueError(f"names a folder; {_STORE_FORM}")
    plain_path(path)
    relative = "/" not in path or path.startswith(("./", "../"))
    return f"sqlite:///{absolute(path if relative else '/' + path.lstrip('/'), origin_of(info))}"


def admin_address(value: object, info: ValidationInfo) -> str:
    """`unix:/absolute/path` of the admin listener's socket; ValueError says what is allowed."""
    text = text_of(value, "unix:/run/dispatcher/admin.sock")
    if not text.startswith("unix:"):
        raise ValueError('must be "unix:PATH": this version\'s admin listener is a Unix socket for its owner')
    path = absolute(text.removeprefix("unix:"), origin_of(info))
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise ValueError(f"is too long for a socket: {path} has more than {_LONGEST_SOCKET} bytes")
    return f"unix:{path}"
