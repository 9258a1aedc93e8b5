"""A drill from its file to its result, in a folder of its own that is gone afterwards."""

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import structlog

from config.faults import ConfigFaults, Fault, key_text, place_of
from config.lines import find_places
from dispatcher.drill.file import Drill
from dispatcher.drill.house import changes_fit
from dispatcher.drill.rehearsal import Rehearsal
from dispatcher.drill.report import report
from dispatcher.drill.seal import sealed
from dispatcher.drill.story import Watch, play, prepare
from dispatcher.operations.office import Result

IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- a folder of its own is made in it, for its owner alone
COLLECTION: Final = (50_000, 20, 100)


def run_drill(drill: Drill, keep: Path | None = None, watch: Watch | None = None, *, reports: bool = True) -> Result:
    """The result of a drill; its store stays in `keep`, where that is given. Campaigns' `reports` may be left out."""
    with _folder(keep) as folder, sealed():
        return asyncio.run(_run(drill, folder, watch or (lambda _: None), reports=reports))


def check_drill(drill: Drill) -> None:
    """Judge the reloads of a drill before it begins; ConfigFaults with their lines where a configuration cannot be."""
    with _folder(None) as folder:
        found = changes_fit(drill, folder)
    if found:
        lines = find_places(Path(drill.place).read_text(encoding="utf-8")).lines
        keys = [(("events", number, "set"), problem) for number, problem in found]
        raise ConfigFaults(Fault(drill.place, place_of(key, lines), key_text(key), problem) for key, problem in keys)


async def _run(drill: Drill, folder: Path, watch: Watch, *, reports: bool) -> Result:
    begun = time.perf_counter()
    rehearsal = Rehearsal(drill, folder)
    with _listening(rehearsal), _collecting_less():
        try:
            await prepare(rehearsal)
            await play(rehearsal, watch)
            return await report(rehearsal, time.perf_counter() - begun, reports=reports)
        finally:
            await _end(rehearsal)


async def _end(rehearsal: Rehearsal) -> None:
    """Close what is open."""
    stage = rehearsal.stage
    if stage.running:
        await stage.drain(0)
    elif hasattr(stage, "database"):
        await stage.database.close()


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Where a drill lives: in memory where there is such a place, gone on every way out."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    place = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="dispatcher-drill-", dir=place) as folder:
        yield Path(folder)


@contextmanager
def _collecting_less() -> Iterator[None]:
    """Python looks for cycles less often: a drill makes a million objects that stay, and few cycles."""
    before = gc.get_threshold()
    gc.set_threshold(*COLLECTION)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _listening(rehearsal: Rehearsal) -> Iterator[None]:
    """Read every line of the log in place of writing it: no customer's data may stand in one at info or above."""
    def listen(_: Any, method: str, line: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 -- structlog's own
        text = str({key: value for key, value in line.items() if key != "exc_info"})
        if method != "debug" and (".invalid" in text.replace("drill.invalid", "") or "Customer " in text):
            rehearsal.diary.told.append(f"{line.get('event')} at level {method}")
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    processors: list[Callable[..., Any]] = [listen]
    before_all = list(before)
    before.clear()
    before.extend(processors)
    structlog.configure(processors=before)
    try:
        yield
    finally:
        before.clear()
        before.extend(before_all)
        structlog.configure(processors=before)
