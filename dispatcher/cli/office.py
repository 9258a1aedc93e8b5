"""The store opened by a command itself, for want of a daemon: the same operations, in this process."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.model import Settings
from dispatcher import logs
from dispatcher.app import open_office
from dispatcher.cli.caller import OperationFailed, as_owner
from dispatcher.cli.output import CliError
from dispatcher.operations.office import Office, OperationError
from dispatcher.operations.registry import perform
from dispatcher.store.database import StoreError
from dispatcher.store.lock import StoreLockedError


@dataclass(frozen=True, slots=True)
class Busy:
    """Another process has the store."""

    why: str
    role: str       # "run" for a daemon, else a command


class OpenOffice:
    """An open store and the loop that works on it."""

    def __init__(self, runner: asyncio.Runner, stack: AsyncExitStack, office: Office) -> None:
        self._runner = runner
        self._stack = stack
        self._office = office

    def perform(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """An operation's result, or OperationFailed."""
        try:
            return self._runner.run(perform(self._office, name, args))
        except OperationError as error:
            raise OperationFailed(error.kind, error.message, tuple(error.details)) from None

    def close(self) -> None:
        """Close the store."""
        with self._runner as runner:
            runner.run(self._stack.aclose())


def refuse_root(path: Path, role: str) -> None:
    """Raise CliError where root would make files in somebody else's folder: they would keep the daemon out."""
    there = path if path.exists() else path.parent
    if os.geteuid() == 0 and there.exists() and there.stat().st_uid != 0:
        raise CliError(f"the store {path} belongs to another user, whom files of root would keep out; "
                       f"{as_owner(there, role)}")


def open_store(settings: Settings, role: str) -> OpenOffice | Busy:
    """Open the store for a command; Busy where another process has it, CliError where it cannot be used."""
    path = settings.store.path
    if path is not None:
        refuse_root(path, role)
    logs.configure("warning")
    runner = asyncio.Runner()
    stack = AsyncExitStack()
    try:
        office = runner.run(stack.enter_async_context(open_office(settings, role)))
    except StoreLockedError as error:
        runner.close()
        return Busy(str(error), error.role)
    except StoreError as error:
        runner.close()
        hint = f"; {as_owner(path, role)}" if path is not None and isinstance(error.__cause__, PermissionError) else ""
        raise CliError(f"{error}{hint}") from None
    except BaseException:
        runner.close()
        raise
    return OpenOffice(runner, stack, office)
