"""Work of pure functions beside the loop: in a thread, or, for a command that has much of it, in a process of its own.

Python runs one thread at a time: beside one that reads a file, another gets through half as much with the store. So a
command that works on the store itself reads large files in a second process, on another core.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar, TypeVarTuple

from dispatcher import collector

Arguments = TypeVarTuple("Arguments")
Value = TypeVar("Value")


class AsideEndedError(Exception):
    """The process beside this one has ended before its work was done."""


class Aside:
    """Where work is done. Without `process` there are threads only; with it, one process as soon as it is wanted."""

    def __init__(self, *, process: bool = False) -> None:
        self._process = process
        self._pool: ProcessPoolExecutor | None = None

    async def briefly(self, function: Callable[[*Arguments], Value], *args: *Arguments) -> Value:
        """What a function returns, for whose sake no process is started."""
        return await asyncio.to_thread(function, *args)

    async def at_length(self, function: Callable[[*Arguments], Value], *args: *Arguments) -> Value:
        """What a function of values returns that has much to do; AsideEndedError where the process has ended."""
        pool = self._pool = self._pool or self._new_pool()
        if pool is None:
            return await self.briefly(function, *args)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, function, *args)
        except BrokenProcessPool:
            self._pool = None
            raise AsideEndedError from None

    def _new_pool(self) -> ProcessPoolExecutor | None:
        if self._process:
            try:
                return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _settle_in)
            except (OSError, ImportError, NotImplementedError):
                self._process = False       # here processes cannot talk to each other; it takes longer, then
        return None

    def close(self) -> None:
        """End the process, if there is one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _settle_in() -> None:
    """Begin as a helper: it is stopped by the one whom it helps, not from the keyboard, and does not outlive that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collector.spare(collector.COMMAND)
    helped = multiprocessing.parent_process()

    def follow() -> None:
        if helped is not None:
            helped.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
