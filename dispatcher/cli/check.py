"""`check`: the configuration and every campaign, without touching the store; all faults at once, each with its line.

A daemon that runs is asked what a reload of this file would change, and whether a lane would jump.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from dispatcher.cli.output import WRONG, Block, complain, print_blocks, print_json
from dispatcher.cli.verb import Desk, verb

if TYPE_CHECKING:
    from config.faults import Fault
    from config.model import Settings

_ELSEWHERE: Final = ("credential", "env")       # sources of secrets that the service has, and a person may not


def add_to(app: typer.Typer) -> None:
    """Add this verb to an app."""
    verb(app, "check")(check)


def check(desk: Desk) -> int:
    """Check the configuration and every campaign.

    All faults at once, with exit code 2 if there are any. Nothing is changed or sent.
    """
    path = desk.place.path
    faults, warnings = config_faults(path)
    settings = desk.place.settings
    campaigns = 0
    if settings is not None:
        from dispatcher.cli.words import campaign_faults  # noqa: PLC0415 -- --help needs none of it

        campaigns, found = campaign_faults(settings)
        faults = [*faults, *found]
        warnings = [*warnings, *(str(fault) for fault in _jumps(path, settings)), *_no_folder(settings)]
    coming = desk.call_daemon("check.rates", config=str(path.absolute())) if not faults else None
    if coming is not None:
        warnings = [*warnings, *coming["warnings"]]
    complain(*map(str, faults), *(f"warning: {text}" for text in warnings))
    result = {
        "config": str(path), "campaigns": campaigns, "faults": list(map(str, faults)), "warnings": warnings,
        "lanes": coming["lanes"] if coming is not None else [],
    }
    if desk.json:
        print_json(result)
    elif not faults:
        print_blocks(_view(result))
    return WRONG if faults else 0


def config_faults(path: Path) -> tuple[list["Fault"], list[str]]:
    """What is wrong with a configuration, and what is worth a word.

    Secrets that only the service is given (credentials, its environment) cannot be read by whoever checks: a warning.
    """
    from config.faults import ConfigFaults, key_text  # noqa: PLC0415 -- --help needs none of it
    from config.load import load, passwords  # noqa: PLC0415
    from config.toml import read_toml  # noqa: PLC0415

    try:
        return [], [str(fault) for fault in load(path).warnings]
    except ConfigFaults as error:
        all_faults = error.faults
    try:
        unread = load(path, read_secrets=False).warnings
    except ConfigFaults as error:
        return list(dict.fromkeys((*error.faults, *all_faults))), []
    elsewhere = {key_text(key) for key, source in passwords(read_toml(path).data)
                 if any(kind in source for kind in _ELSEWHERE)}
    hidden = [fault for fault in all_faults if fault.key in elsewhere]
    return ([fault for fault in all_faults if fault not in hidden],
            [*(f"{fault}; the service may have it all the same" for fault in hidden), *map(str, unread)])


def _jumps(path: Path, settings: "Settings") -> "Iterator[Fault]":
    """Explicit steps that go up faster than the guard lets a lane grow; the operator's word holds all the same."""
    from config.faults import Fault, key_text, place_of  # noqa: PLC0415 -- --help needs none of it
    from config.lines import find_places  # noqa: PLC0415
    from config.ramp_table import resolve_table  # noqa: PLC0415

    lines = find_places(path.read_text(encoding="utf-8-sig")).lines
    for name, table in settings.ramps.items():
        for provider in ("", *table.providers):
            if "steps" not in (table.providers[provider] if provider else table).model_fields_set:
                continue
            ramp = resolve_table(table, provider).ramp
            key = ("ramps", name, *(("providers", provider) if provider else ()), "steps")
            for before, after in pairwise(ramp.steps):
                if after >= ramp.guard * before:
                    problem = f"from {before} to {after} is {ramp.guard:g} times or more: providers may take it ill"
                    yield Fault(str(path), place_of(key, lines), key_text(key), problem)


def _no_folder(settings: "Settings") -> Iterator[str]:
    if not settings.campaigns.directory.exists():
        yield f"there is no folder {settings.campaigns.directory}: [campaigns] directory has no campaigns"


def _view(result: Mapping[str, Any]) -> Iterable[Block]:
    from dispatcher.cli.daemon import lanes_grid  # noqa: PLC0415 -- a cycle otherwise

    campaigns = {0: "there are no campaigns", 1: "so is 1 campaign"}.get(
        result["campaigns"], f"so are {result['campaigns']} campaigns")
    yield f"{result['config']} is good, and {campaigns}"
    if result["lanes"]:
        yield ""
        yield "a reload would change:"
        yield lanes_grid(result["lanes"])
