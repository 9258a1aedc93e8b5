"""The campaigns, read once a version: what their texts in the store mean."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Campaign, Words
from dispatcher.intake.campaign_file import campaign_from_json
from dispatcher.intake.judging import Known
from dispatcher.store import campaigns

_KEPT: Final = 256
_BRIEF: Final = 20_000
"""Versions whose terms are kept, more than are ever on the queue together: each release asks for all that are."""


class CampaignBook:
    """Campaign versions by (id, version); a version never changes, so it is read once and kept a while."""

    def __init__(self) -> None:
        self._versions: OrderedDict[tuple[str, int], Campaign] = OrderedDict()
        self._brief: OrderedDict[tuple[str, int], Campaign] = OrderedDict()

    async def version(self, tx: AsyncConnection, campaign: str, version: int) -> Campaign:
        """One version of a campaign; LookupError where the store has none."""
        key = (campaign, version)
        found = self._versions.get(key)
        if found is None:
            content = await campaigns.content(tx, campaign, version)
            if content is None:
                raise LookupError(f"the store has no version {version} of campaign {campaign}")
            found = campaign_from_json(content, version)
            self._versions[key] = found
            if len(self._versions) > _KEPT:
                self._versions.popitem(last=False)
        self._versions.move_to_end(key)
        return found

    async def brief(self, tx: AsyncConnection, campaign: str, version: int) -> Campaign:
        """One version without its texts: what is asked of every campaign at every release."""
        key = (campaign, version)
        found = self._brief.get(key)
        if found is None:
            found = self._brief[key] = _brief(await self.version(tx, campaign, version))
            if len(self._brief) > _BRIEF:
                self._brief.popitem(last=False)
        return found

    async def known(self, tx: AsyncConnection, names: set[str]) -> dict[str, Known]:
        """The current versions of these campaigns, of those that exist."""
        found = {}
        for name in sorted(names):
            stored = await campaigns.get(tx, name)
            if stored is not None:
                found[name] = Known(await self.version(tx, name, stored.version), stored)
        return found


def _brief(campaign: Campaign) -> Campaign:
    """A campaign whose words say only where answers go."""
    return replace(
        campaign, words=_replies(campaign.words), sample={},
        segment_words={channel: _replies(words) for channel, words in campaign.segment_words.items()},
    )


def _replies(words: Mapping[str, Words]) -> dict[str, Words]:
    return {name: Words(reply_to=said.reply_to) for name, said in words.items()}
