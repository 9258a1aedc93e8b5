"""`db`: the store checked, and backed up, while it is used; and moved to another place while nobody uses it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatcher.cli.output import FAILED, WRONG, Block, CliError, complain, print_json
from dispatcher.cli.verb import Desk, group, verb

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")]
ToOption = Annotated[str, typer.Option("--to", metavar="URL", help="As [store] url has it; a place that is empty.")]
PasswordFileOption = Annotated[
    str | None, typer.Option("--password-file", metavar="FILE", help="Holds the password of the URL's user."),
]
PasswordEnvOption = Annotated[
    str | None, typer.Option("--password-env", metavar="NAME", help="The variable that holds it, instead."),
]
CaFileOption = Annotated[
    str | None, typer.Option("--ca-file", metavar="FILE", help="With ?sslmode=verify-full: as [store] ca_file."),
]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to an app."""
    database = group(app, "db", "Check the store, back it up while it is used, move it.")
    verb(database, "check")(check)
    verb(database, "backup")(backup)
    verb(database, "copy")(copy)


def check(desk: Desk) -> int:
    """Check that the store is whole: its file, and that ledger, tallies and messages agree.

    Exit code 1 with every fault on a line. The daemon goes on with its work meanwhile.
    """
    result = desk.call("db.check")
    faults = result["faults"]
    complain(*faults)
    if faults:
        complain("the store is not whole: docs/backup.md says what to do")
    if desk.json:
        print_json(result)
    elif not faults:
        desk.show(result, check_view)
    return FAILED if faults else 0


def backup(desk: Desk, file: FileArgument) -> None:
    """Copy the store to FILE, one moment of it, while the daemon goes on with its work.

    FILE appears when it is whole and on the disk, and is its owner's alone. An existing file is never overwritten.
    """
    settings = desk.place.settings
    if settings is None:
        raise CliError(*map(str, desk.place.faults), code=WRONG)
    if settings.store.path is None:
        raise CliError(f"the store is {settings.store.postgresql}: back it up by PostgreSQL's own means, such as "
                       "pg_dump, which needs no pause either")
    # Read by this process, not by the daemon, whose unit may write to its own folder only.
    from dispatcher.store.backup import BackupError, back_up  # noqa: PLC0415 -- --help needs none of it

    try:
        copied = back_up(settings.store.path, file.absolute())
    except BackupError as error:
        raise CliError(str(error)) from None
    desk.show({"file": str(file.absolute()), "bytes": copied.size, "schema": copied.schema}, backup_view)


def copy(
    desk: Desk, *, to: ToOption, password_file: PasswordFileOption = None, password_env: PasswordEnvOption = None,
    ca_file: CaFileOption = None,
) -> int:
    """Copy the store that the configuration names, all of it, to another place: to PostgreSQL, or away from it.

    Stop the daemon before. Cut short, the same command goes on where it was; the old store stays as it is. At the end
    every table is read back and compared. Exit code 1 where anything is not the same: no daemon opens that copy.
    """
    from dispatcher.cli.moving import copied_view, from_and_to, move  # noqa: PLC0415 -- --help needs none of it

    password = [{kind: name} for kind, name in (("file", password_file), ("env", password_env)) if name is not None]
    source, target = from_and_to(desk.place, to, password, ca_file)
    result = move(source, target, desk.role)
    desk.show(result, copied_view)
    if not result["finished"]:
        complain("the copy is not what the store holds, and no daemon will open it; the same command begins it anew")
    return 0 if result["finished"] else FAILED


def check_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """All is well."""
    file = "the file and its references, " if result["kind"] == "sqlite" else ""
    yield (f"the store is whole: {file}ledger and tallies, {result['messages']} messages; "
           f"schema {result['schema']}")


def backup_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """What was made."""
    yield f"{result['file']}: {result['bytes']:,} bytes, whole and on the disk; schema {result['schema']}"
