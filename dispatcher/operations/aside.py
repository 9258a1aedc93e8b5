"""Work of pure functions beside the loop: in a thread, or, for a command that has much of it, in a process of its own.

Python runs one thread at a time: beside one that reads a file, another gets through half as much with the store. So a
command that works on the store itself reads large files in a second process, on another core (helper.py). That one has
nothing but its two pipes: it is silent, hears no interrupt, and ends when the first has closed them, however it ended.
"""

import asyncio
import contextlib
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar, TypeVarTuple

Arguments = TypeVarTuple("Arguments")
Value = TypeVar("Value")
_HELPER: Final = (sys.executable, "-P", "-m", "dispatcher.operations.helper")   # -P: nothing of the folder where we are


class AsideEndedError(Exception):
    """The process beside this one has ended before its work was done."""


class Aside:
    """Where work is done. Without `process` there are threads only; with it, one process as soon as it is wanted."""

    def __init__(self, *, process: bool = False) -> None:
        self._process = process
        self._helper: subprocess.Popen[bytes] | None = None
        self._asking = threading.Lock()

    async def briefly(self, function: Callable[[*Arguments], Value], *args: *Arguments) -> Value:
        """What a function returns, for whose sake no process is started."""
        return await asyncio.to_thread(function, *args)

    async def at_length(self, function: Callable[[*Arguments], Value], *args: *Arguments) -> Value:
        """What a function of values returns that has much to do; AsideEndedError where the process has ended."""
        if not self._process:
            return await self.briefly(function, *args)
        done, value = await asyncio.to_thread(self._ask, (function, args))
        if not done:
            raise value
        answer: Value = value
        return answer

    def close(self) -> None:
        """End the process, if there is one."""
        helper = self._helper
        if helper is not None:
            helper.kill()
            with self._asking:      # whoever waits for its answer hears that it has ended
                self._part_from(helper)

    def _ask(self, asked: tuple[Callable[..., Any], tuple[Any, ...]]) -> tuple[bool, Any]:
        with self._asking:
            helper = self._helper or subprocess.Popen(  # noqa: S603 -- ourselves
                _HELPER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0)
            self._helper = helper
            assert helper.stdin is not None     # noqa: S101 -- both are pipes, which the types do not tell
            assert helper.stdout is not None    # noqa: S101 -- as above
            try:
                pickle.dump(asked, helper.stdin, pickle.HIGHEST_PROTOCOL)
                helper.stdin.flush()
                answer: tuple[bool, Any] = pickle.load(helper.stdout)  # noqa: S301 -- of our own process
            except (OSError, EOFError, pickle.UnpicklingError):
                self._part_from(helper)
                raise AsideEndedError from None
        return answer

    def _part_from(self, helper: subprocess.Popen[bytes]) -> None:
        self._helper = None
        helper.kill()
        with contextlib.suppress(BrokenPipeError):      # what it was to be told last, and nobody reads
            helper.communicate()
