"""The provider of a mail domain, known at once: the shipped table, else what the DNS said, else "other".

Nobody who needs a provider ever waits for the DNS. What is not known, or no longer certain, is noted here and asked by
engine/resolver.py, which keeps this memory in step with the store. Memory is bounded by what the store keeps.
"""

import asyncio
import heapq
from collections.abc import Iterable
from typing import Final

from config.providers import OTHER, is_reserved, load_providers
from dispatcher.core.domains import Domain

MOST: Final = 100_000
"""Domains that are kept; beyond them the least recently asked are forgotten."""
NOTED: Final = 10_000
"""Questions that are kept in memory until they are written; what does not fit is noted when it is next needed."""


class ProviderBook:
    """What is known of domains beyond the shipped table."""

    def __init__(self) -> None:
        self._table = load_providers().by_domain
        self._certain: dict[str, tuple[str, int]] = {}     # domain -> provider, and until when the answer holds
        self._uncertain: dict[str, str] = {}               # of answers past their time: still used, asked again
        self._open: set[str] = set()                       # a question about them is written down already
        self._wanted: set[str] = set()                     # needed, and not written down yet
        self._ends: list[tuple[int, str]] = []             # when answers cease to be certain; some may be outdated
        self.wake = asyncio.Event()                        # there is something to ask

    def __len__(self) -> int:
        return len(self._certain) + len(self._uncertain)

    def provider_of(self, domain: str) -> str:
        """The provider of a domain, as known now; what is not certain is noted."""
        listed = self._table.get(domain)
        if listed is not None:
            return listed
        certain = self._certain.get(domain)
        if certain is not None:
            return certain[0]
        if len(self._wanted) < NOTED and self._is_question(domain):
            self._wanted.add(domain)
            self.wake.set()
        return self._uncertain.get(domain, OTHER)

    def questions(self, addresses: Iterable[str]) -> list[str]:
        """The domains of these addresses that are to be asked about, for whoever writes that down at once."""
        domains = {address.rpartition("@")[2] for address in addresses}
        some = [one for one in domains if self._is_question(one)]
        if some:
            self.wake.set()
        return sorted(some)

    def noted(self) -> list[str]:
        """What was noted since the last call, to be written down."""
        noted, self._wanted = sorted(self._wanted), set()
        return noted

    def learn(self, one: Domain, now: int) -> None:
        """Take in what is known of a domain."""
        name = one.domain
        self.forget([name])
        if one.due_at is not None:
            self._open.add(name)
        if one.expires_at > now:
            self._certain[name] = (one.provider, one.expires_at)
            heapq.heappush(self._ends, (one.expires_at, name))
        elif one.expires_at:
            self._uncertain[name] = one.provider

    def forget(self, names: Iterable[str]) -> None:
        """Leave domains out again."""
        for name in names:
            self._certain.pop(name, None)
            self._uncertain.pop(name, None)
            self._open.discard(name)

    def expire(self, now: int) -> None:
        """Answers whose time has passed are no longer certain."""
        while self._ends and self._ends[0][0] <= now:
            name = heapq.heappop(self._ends)[1]
            known = self._certain.get(name)
            if known is not None and known[1] <= now:
                del self._certain[name]
                self._uncertain[name] = known[0]

    def _is_question(self, domain: str) -> bool:
        known = domain in self._certain or domain in self._table or domain in self._open
        return not known and not is_reserved(domain)

    @property
    def next_end(self) -> int | None:
        """When the next answer ceases to be certain; None: no answer is."""
        return self._ends[0][0] if self._ends else None
