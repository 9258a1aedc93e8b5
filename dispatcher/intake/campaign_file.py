"""A campaign's folder -> the campaign, and the one JSON text that the store keeps of it.

The text is canonical (sorted keys, no spaces): the same campaign is the same text, on every machine, so its digest says
whether a folder has changed. A version's text is read back into exactly the campaign that it was written from.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from config.faults import ConfigFaults, Fault, place_of
from config.lines import find_places
from config.load import load_table
from dispatcher.core.model import Campaign, Canary, Category, Replies, Words
from dispatcher.intake.campaign_schema import CampaignTable, WordsTable
from dispatcher.intake.strict import canonical_json
from dispatcher.policy import replies_of

FILE_NAME: Final = "campaign.toml"
_LATER: Final = ("closes", "replies", "canary")
"""Fields that the first version did not know: left out where they say nothing, so that an upgrade changes no digest."""


@dataclass(frozen=True, slots=True)
class LoadedCampaign:
    """A campaign as its folder has it now."""

    campaign: Campaign     # version 0: the store gives it one
    content: str           # canonical JSON
    digest: str            # sha256 of content, hexadecimal
    folder: Path


def read_campaign(folder: Path) -> LoadedCampaign:
    """Read a campaign's folder; raises ConfigFaults with all that is wrong in it."""
    campaign = _campaign(load_table(folder / FILE_NAME, CampaignTable))
    content = campaign_to_json(campaign)
    return LoadedCampaign(campaign, content, sha256(content.encode()).hexdigest(), folder)


def read_campaigns(directory: Path) -> tuple[list[LoadedCampaign], list[Fault]]:
    """Every sub-folder with a campaign.toml, in the order of their names; and the faults of those that cannot be used.

    Two folders with one id are both at fault: nobody knows which is meant.
    """
    loaded: list[LoadedCampaign] = []
    faults: list[Fault] = []
    try:
        folders = sorted(file.parent for file in directory.glob(f"*/{FILE_NAME}"))
        directory.stat()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; it is the directory of the campaigns"
        return [], [Fault(str(directory), 0, "", problem)]
    for folder in folders:
        try:
            loaded.append(read_campaign(folder))
        except ConfigFaults as error:
            faults.extend(error.faults)
    folders_of: dict[str, list[Path]] = {}
    for found in loaded:
        folders_of.setdefault(found.campaign.id, []).append(found.folder)
    for same in folders_of.values():
        faults.extend(_same_id(folder, same) for folder in same if len(same) > 1)
    return [found for found in loaded if len(folders_of[found.campaign.id]) == 1], faults


def campaign_to_json(campaign: Campaign) -> str:
    """The canonical JSON of a campaign, without its version."""
    values = asdict(campaign)
    del values["version"]
    for name in _LATER:
        if values[name] in (None, False):
            del values[name]
    return canonical_json(values)


def campaign_from_json(text: str, version: int) -> Campaign:
    """The campaign that campaign_to_json wrote, as this version of it."""
    values: dict[str, Any] = json.loads(text)
    return Campaign(**values | {
        "category": Category(values["category"]),
        "senders": tuple(values["senders"]),
        "segments": tuple(values["segments"]),
        "replies": Replies(**values["replies"]) if "replies" in values else None,
        "canary": Canary(**values["canary"]) if "canary" in values else None,
        "where": {name: tuple(allowed) for name, allowed in values["where"].items()},
        "words": _words_from(values["words"]),
        "segment_words": {channel: _words_from(words) for channel, words in values["segment_words"].items()},
        "version": version,
    })


def _words_from(values: Mapping[str, Mapping[str, str]]) -> dict[str, Words]:
    return {name: Words(**words) for name, words in values.items()}


def _same_id(folder: Path, same: list[Path]) -> Fault:
    file = folder / FILE_NAME
    others = ", ".join(other.name for other in same if other != folder)
    try:
        line = place_of(("id",), find_places(file.read_text(encoding="utf-8-sig")).lines)
    except (OSError, UnicodeDecodeError):  # changed since it was read
        line = 0
    return Fault(str(file), line, "id", f"is also the id of the campaign in {others}; each needs its own")


def _campaign(table: CampaignTable) -> Campaign:
    words = _laid_over(Words(), table.email)
    return Campaign(
        id=table.id,
        category=Category(table.category),
        senders=tuple(table.senders),
        segment_by=table.segment_by or "",
        segments=tuple(table.segments),
        incident=table.incident or "",
        sequence=table.sequence or 0,
        closes=table.closes,
        useful_for=table.useful_for,
        replies=replies_of(table.replies) if table.replies is not None else None,
        canary=Canary(table.canary.size, table.canary.wait) if table.canary is not None else None,
        where={name: tuple(allowed) for name, allowed in table.audience.where.items()},
        everyone=table.audience.everyone,
        reason=table.audience.reason or "",
        words={"email": words},
        segment_words={"email": {name: _laid_over(words, own) for name, own in table.email.segments.items()}},
        sample=table.sample,
    )


def _laid_over(words: Words, own: WordsTable) -> Words:
    given = {
        "subject": own.subject,
        "text": own.text if own.text is not None else own.text_file,
        "html": own.html if own.html is not None else own.html_file,
        "reply_to": None if own.reply_to is None else str(own.reply_to),
    }
    return replace(words, **{name: value for name, value in given.items() if value is not None})
