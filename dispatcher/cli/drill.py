"""`drill`: weeks in seconds, the real daemon on a virtual clock before scripted providers."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli.output import DONE, FAILED, WRONG, CliError, progress, say
from dispatcher.cli.verb import Desk, verb

if TYPE_CHECKING:
    from dispatcher.drill.file import Drill
    from dispatcher.operations.office import Result

FileArgument = Annotated[str | None, typer.Argument(metavar="[FILE]", help="A drill file; see docs/drill.md.")]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1,
                             help="Without a FILE: a small drill made of this number. With one: in place of its seed."),
]
KeepOption = Annotated[
    str | None, typer.Option("--keep", metavar="DIR", help="Leave the store, the configuration and the result there."),
]
HtmlOption = Annotated[
    str | None, typer.Option("--html", metavar="FILE", help="Write the reports as one page that works offline."),
]
PrintOption = Annotated[
    bool, typer.Option("--print", help="With --seed alone: print the drill file that it makes, and end."),
]


def add_to(app: typer.Typer) -> None:
    """Add this verb to an app."""
    verb(app, "drill")(drill)


def drill(
    desk: Desk, file: FileArgument = None, *, seed: SeedOption = None, keep: KeepOption = None, html: HtmlOption = None,
    print_: PrintOption = False,
) -> int:
    """Rehearse weeks in seconds: the real daemon, a virtual clock, scripted providers. Nothing leaves the machine.

    Ends with what happened, the lanes by day, the promises checked, and the report of every campaign. Exit code 1
    where a promise did not hold or an expectation was not met.
    """
    from dispatcher.cli.drill_view import drill_view  # noqa: PLC0415 -- --help needs none of it
    from dispatcher.cli.report import check_target, write_page  # noqa: PLC0415

    if file is None and seed is None:
        raise CliError("name a drill file, or give --seed N for a small drill made of a number", code=WRONG)
    if print_:
        return _print_seed(file, seed)
    if html is not None:
        check_target(Path(html))
    kept = _kept(keep)
    with _ends_in_order(), TemporaryDirectory(prefix="dispatcher-drill-") as scratch:
        result = _run(_read(file, seed, Path(scratch)), kept)
    if kept is not None:
        _write_result(kept, result)
    if html is not None and result["reports"]:
        write_page(result["reports"], Path(html), f"Drill {Path(result['drill']).name}")
    desk.show(result, drill_view)
    if html is not None and not desk.json:
        say(f"\nthe reports are in {html}" if result["reports"] else f"\nnothing was sent, so {html} was not written")
    return DONE if result["ok"] else FAILED


def _read(file: str | None, seed: int | None, scratch: Path) -> "Drill":
    """The drill that is meant."""
    from dispatcher.drill.file import read_drill  # noqa: PLC0415 -- --help needs none of it
    from dispatcher.drill.main import check_drill  # noqa: PLC0415
    from dispatcher.drill.seeds import drill_of  # noqa: PLC0415

    if file is None:
        return drill_of(seed or 0, scratch)
    found = read_drill(Path(file), seed)
    check_drill(found)
    return found


def _run(found: "Drill", kept: Path | None) -> "Result":
    from dispatcher.drill.main import run_drill  # noqa: PLC0415 -- --help needs none of it

    length = found.end - found.start
    with progress(f"{found.table.customers.count:,} customers, {length // 86_400_000} days", length) as advance:
        return run_drill(found, kept, lambda rehearsal: advance(rehearsal.passed))


def _print_seed(file: str | None, seed: int | None) -> int:
    from dispatcher.drill.seeds import text_of  # noqa: PLC0415 -- --help needs none of it

    if file is not None or seed is None:
        raise CliError("--print goes with --seed alone; a drill file can be read as it is", code=WRONG)
    say(text_of(seed).rstrip())
    return DONE


def _kept(keep: str | None) -> Path | None:
    """Where the drill is kept: a new or an empty folder, so that nothing of anybody's is overwritten."""
    if keep is None:
        return None
    path = Path(keep)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CliError(f"--keep {keep} is there and not empty; name a new folder", code=WRONG)
    return path


def _write_result(kept: Path, result: "Result") -> None:
    import json  # noqa: PLC0415 -- --help needs none of it

    (kept / "result.json").write_text(json.dumps(result, ensure_ascii=False, indent=2), encoding="utf-8")


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """A drill that is told to end leaves nothing behind: SIGTERM and SIGHUP are taken as Ctrl-C."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
