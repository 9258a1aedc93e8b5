"""A store moved to another place, as a command: where from and where to, the bar, and what to change after it."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from config.faults import faults_of
from config.fields import Origin
from config.load import load_store
from config.model import Store
from dispatcher import logs
from dispatcher.cli.office import refuse_root
from dispatcher.cli.output import WRONG, Block, CliError, Grid, progress
from dispatcher.cli.place import Place
from dispatcher.operations import database
from dispatcher.store.copying import ANEW, RESUMED
from dispatcher.store.database import StoreError
from dispatcher.store.lock import StoreLockedError

_SHOWN: Final = 12      # digits of a checksum that a person compares


def from_and_to(
    place: Place, to: str, password: Sequence[Mapping[str, str]], ca_file: str | None
) -> tuple[Store, Store]:
    """The store of the configuration and the one that the options mean; CliError where they cannot be."""
    if place.settings is None:
        raise CliError(*map(str, place.faults), code=WRONG)
    if len(password) > 1:
        raise CliError("one place of the password is enough: --password-file or --password-env", code=WRONG)
    source = load_store(place.path)
    given = {"url": to, "password": next(iter(password), None), "ca_file": ca_file}
    try:
        target = Store.model_validate({key: value for key, value in given.items() if value is not None},
                                      context=Origin(Path.cwd(), os.environ))
    except ValidationError as error:
        faults = [_worded(key, problem, given) for key, problem in faults_of(error, Store)]
        raise CliError(*faults, code=WRONG) from None
    if target.url == source.url:
        raise CliError(f"--to: {target.url} is the store itself; name another place", code=WRONG)
    if source.path is not None and not source.path.exists():
        raise CliError(f"there is no store {source.path} yet")
    return source, target


def move(source: Store, target: Store, role: str) -> dict[str, Any]:
    """Copy, with a bar on a terminal; what came of it, or CliError."""
    for path in (source.path, target.path):
        if path is not None:
            refuse_root(path, role)
    logs.configure("warning")
    try:
        with progress(f"copying to {target.url}", 1.0) as advance, asyncio.Runner() as runner:
            result = runner.run(database.copy(source, target, role, lambda done, total: advance(done / (total or 1))))
    except StoreLockedError as error:
        raise CliError(f"{error}; stop it first, for a copy is one state of a store that nobody uses") from None
    except StoreError as error:
        raise CliError(str(error)) from None
    except DBAPIError as error:
        raise CliError(f"the copy was cut short: {error.orig}; run the same command again") from None
    return result | ({"then": _then(target)} if result["finished"] else {})


def copied_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """Every table on both sides, and what is to be done next."""
    if result["start"] == RESUMED:
        yield "resumed: what an earlier copy had brought is still what the store holds"
    if result["start"] == ANEW:
        yield "begun anew: the store was used after an earlier copy, and two states of it are not mixed"
    yield Grid(("table", "rows", "checksum", "copied", "its checksum", "verdict"), [(
        one["table"], one["rows"], one["checksum"][:_SHOWN], one["copy_rows"], one["copy_checksum"][:_SHOWN],
        "same" if one["same"] else "NOT THE SAME",
    ) for one in result["tables"]])
    if result["finished"]:
        yield f"all is the same; {result['then']}"
        yield "then start the daemon; nothing may be sent from the old store any more"


def _then(target: Store) -> str:
    """What makes the daemon use the copy."""
    keys = [f'url = "{target.url}"']
    if target.password is not None:
        keys.append("the password beside it")
    if target.ca_file is not None:
        keys.append(f'ca_file = "{target.ca_file}"')
    return f"now write in [store] of dispatcher.toml: {', '.join(keys)}"


def _worded(key: Sequence[str | int], problem: str, given: Mapping[str, Any]) -> str:
    """A fault of [store]'s keys in terms of the options that they come from; the URL is not repeated."""
    if key == ("url",) and problem.startswith("holds a password"):
        return "--to: holds a password, which everybody on this machine can read there; write --password-file FILE"
    if key[:1] == ("password",):
        return f"--password-{next(iter(given['password']))}: {problem}"
    return f"{'--ca-file' if key[:1] == ('ca_file',) else '--to'}: {problem}"
