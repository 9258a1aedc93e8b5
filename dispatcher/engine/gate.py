"""Where a lane's messages meet the bounds over several lanes: what a slot may take no more of is not even looked at."""

from dispatcher.core.model import Message
from dispatcher.core.quotas import Bounds, Purse


class Gate:
    """The bounds over several lanes, as messages of one lane meet them."""

    def __init__(self, lane: str, purse: Purse | None, bounds: Bounds) -> None:
        self._lane = lane
        self._purse = purse if bounds.groups or bounds.canaries else None
        self._groups = bounds.groups

    def stops(self, campaign: str, segment: str) -> bool:
        """Whether no more messages of a segment may be taken."""
        if self._purse is None:
            return False
        groups = self._groups.get((self._lane, campaign, segment), ())
        if self._purse.most(campaign, groups) > 0:
            return False
        self._purse.stop(groups)
        return True

    def take(self, message: Message, *, new: bool) -> None:
        """A message is taken; `new`: it is no part of its campaign's canary yet."""
        if self._purse is not None:
            groups = self._groups.get((self._lane, message.campaign, message.segment), ())
            self._purse.take(message.campaign, groups, new=new)
