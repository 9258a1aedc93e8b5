"""The campaigns, read once a version: what their texts in the store mean."""

from collections import OrderedDict

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.model import Campaign
from dispatcher.intake.accept import Known
from dispatcher.intake.campaign_file import campaign_from_json
from dispatcher.store import campaigns

_KEPT = 256


class CampaignBook:
    """Campaign versions by (id, version); a version never changes, so it is read once and kept a while."""

    def __init__(self) -> None:
        self._versions: OrderedDict[tuple[str, int], Campaign] = OrderedDict()

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

    async def known(self, tx: AsyncConnection, names: set[str]) -> dict[str, Known]:
        """The current versions of these campaigns, of those that exist."""
        found = {}
        for name in sorted(names):
            stored = await campaigns.get(tx, name)
            if stored is not None:
                found[name] = Known(await self.version(tx, name, stored.version), stored)
        return found
