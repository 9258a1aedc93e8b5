"""The command `dispatcher`: the root above all verbs, and the end of every one of them.

Nothing heavy is imported here or by the files of the verbs themselves, and those not before they are called: `--help`
and completion are quick, and a verb imports what it needs when it runs.
"""

import gc
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from dispatcher.cli.output import DONE, FAILED, WRONG, complain, say, unwritten
from dispatcher.cli.verb import ConfigOption
from dispatcher.cli.verbs import Verbs

PROGRAM = "dispatcher"
INTERRUPTED = 130
_PLAIN: Final = (       # what the checks of options say -> what people say
    (r"Input should be a valid integer.*", "must be a whole number"),
    (r"Input should be greater than or equal to", "must be at least"),
    (r"Input should be less than or equal to", "must be at most"),
)

app = typer.Typer(cls=Verbs, rich_markup_mode=None, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:  # noqa: FBT001 -- typer calls it so
    if asked:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 -- nobody else needs it

        try:
            number = version("notification-dispatcher")
        except PackageNotFoundError:
            number = "of a checkout that is not installed"
        say(f"{PROGRAM} {number}")
        raise typer.Exit(DONE)


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is."),
]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, *,
    config: ConfigOption = None,  # noqa: ARG001 -- the verb reads it from here
    version: VersionOption = False,  # noqa: ARG001 -- its callback has done it
) -> None:
    """Send notifications to active customers only, segment by segment, in small batches that grow step by step.

    Exit code: 0 done; 1 failed, or done in part; 2 wrong usage, configuration or input.
    """
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(WRONG)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line, of this process where no words are given; its exit code."""
    if sys.stdout is None:      # closed by whoever started us
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 -- a device, for as long as we live
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = int(app(words, prog_name=PROGRAM, standalone_mode=False) or DONE)
    except typer.TyperException as error:
        complain(_usage(error))
        code = int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if words is None:
        gc.freeze()     # the process ends; to look through all that it holds once more takes a fifth of --help
    return code if _flushed(quiet=code != DONE) else code or FAILED


def _usage(error: typer.TyperException) -> str:
    """A wrong usage in one line, with where to read on."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    words = " ".join(error.format_message().split()).rstrip(".").replace(": Value error, ", ": ")
    for raw, plain in _PLAIN:
        words = re.sub(raw, plain, words)
    return f"{words[:1].lower()}{words[1:]}; see {path} --help"


def _flushed(*, quiet: bool) -> bool:
    """Whether everything printed has been written; if not, what is left goes nowhere, and only a full disk is told."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if not quiet and not isinstance(error, BrokenPipeError):
            complain(unwritten(error))
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 -- a device, by its number
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
