"""A campaign's faults, each placed in the file where its author can mend it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, cast

from config.faults import Fault, any_of, nearest, place_of
from config.lines import Key, find_places
from config.model import Settings
from config.toml import Document, read_toml
from dispatcher.clock import SystemClock
from dispatcher.content.check import check_campaign
from dispatcher.content.faults import TemplateFault
from dispatcher.engine.ways import identity_of
from dispatcher.intake.campaign_file import FILE_NAME, LoadedCampaign, read_campaigns


def campaign_faults(settings: Settings) -> tuple[int, list[Fault]]:
    """How many campaigns the directory has, and everything that is wrong with them; no directory, no campaigns."""
    directory = settings.campaigns.directory
    if not directory.exists():
        return 0, []
    loaded, faults = read_campaigns(directory)
    for one in loaded:
        faults += _faults(one, settings)
    return len(loaded), faults


def _faults(loaded: LoadedCampaign, settings: Settings) -> list[Fault]:
    """Senders that are not configured, and words that cannot be sent, in the order of their lines."""
    document = read_toml(loaded.folder / FILE_NAME)
    lines = find_places(document.text).lines
    found: dict[Fault, None] = {}
    configured = settings.senders
    for place, name in enumerate(loaded.campaign.senders):
        if name not in configured:
            problem = f'"{name}" is not configured{nearest(name, configured)}; the senders are {any_of(configured)}'
            found[Fault(document.file, place_of(("senders", place), lines), "senders", problem)] = None
            continue
        # A campaign that was never applied has no version yet; its words are tried as those of the first.
        campaign = replace(loaded.campaign, version=1)
        for fault in check_campaign(campaign, identity_of(name, configured[name]), {}, SystemClock().now()):
            found[_placed(fault, document, lines, loaded.folder)] = None
    return sorted(found, key=lambda fault: (fault.file, fault.line))


def _placed(fault: TemplateFault, document: Document, lines: Mapping[Key, int], folder: Path) -> Fault:
    """Where the words stand: a template's own file, or their key in campaign.toml."""
    for key in lines:
        place = _place(key)
        if place == f"{fault.place}_file":
            file = folder / str(reduce(lambda table, part: table[part], key, cast("Any", document.data)))
            return Fault(str(file), fault.line, "", fault.problem)
        if place == fault.place:
            opened = document.text.splitlines()[lines[key] - 1].rstrip().endswith(('"""', "'''"))
            return Fault(document.file, lines[key] + max(fault.line - (not opened), 0), place, fault.problem)
    return Fault(document.file, lines.get(("email",), 0), fault.place, fault.problem)


def _place(key: Key) -> str:
    """A key of words as template faults write it; "" for any other key."""
    match key:
        case ("email", str(part)):
            return f"email.{part}"
        case ("email", "segments", str(segment), str(part)):
            return f'email.segments."{segment}".{part}'
    return ""
