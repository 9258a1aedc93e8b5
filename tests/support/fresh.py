"""New stores without the price of making them: the migrations run once in a process, then their file is copied.

What the migrations do is shown by tests/conformance/test_store_sqlite.py and test_store_upgrade.py.
"""

import asyncio
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from dispatcher.store.sqlite import SqliteStore


def new_store(path: Path) -> Path:
    """Put an empty store there, as one that was opened for the first time leaves it, unless there is one; the path."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(_made())
    return path


@cache
def _made() -> bytes:
    """The bytes of an empty store; made by a loop of its own, as the caller's runs already."""
    with ThreadPoolExecutor(1) as other, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        other.submit(lambda: asyncio.run(_open(path))).result()
        return path.read_bytes()


async def _open(path: Path) -> None:
    await (await SqliteStore.open(path, "test")).close()
