"""Skeletons kept ready: at most so many, the least recently used go first.

A campaign version never changes, and a sender's identity is part of the key, so nothing kept here is ever stale.
"""

from collections import OrderedDict
from typing import Final

from dispatcher.content.faults import TemplateFaults
from dispatcher.content.skeleton import SenderIdentity, Skeleton, prepare
from dispatcher.core.model import Campaign

MOST: Final = 256


class Skeletons:
    """`prepare`, remembered; what could not be prepared is remembered too."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, int, str, SenderIdentity, bool], Skeleton | TemplateFaults] = OrderedDict()

    def get(
        self, campaign: Campaign, segment: str, sender: SenderIdentity, *, unsubscribable: bool = False,
    ) -> Skeleton:
        """The skeleton; raises TemplateFaults."""
        key = (campaign.id, campaign.version, segment, sender, unsubscribable)
        kept = self._kept.get(key)
        if kept is None:
            try:
                kept = prepare(campaign, segment, sender, unsubscribable=unsubscribable)
            except TemplateFaults as error:
                kept = error
            self._kept[key] = kept
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        if isinstance(kept, TemplateFaults):
            raise TemplateFaults(kept.faults)
        return kept

    def __len__(self) -> int:
        return len(self._kept)
