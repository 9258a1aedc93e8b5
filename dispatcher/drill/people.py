"""The customers of a drill, each from its number alone: nobody who exists, at domains that nobody can have (RFC 6761).

Shares are kept closely whatever the count: numbers are spread over them evenly, and one list of shares independently
of another.
"""

from collections.abc import Iterator
from itertools import accumulate
from math import sqrt
from typing import Any, Final

from dispatcher.core.times import format_instant
from dispatcher.drill.tables import CustomersTable

TOP: Final = "invalid"
_STRIDES: Final = [sqrt(number) % 1 for number in (2, 3, 5, 7, 11, 13)]     # irrational, so that no two walk in step


def domain_of(provider: str) -> str:
    """The domain of a provider's customers in a drill."""
    return f"{provider}.{TOP}"


def provider_of(domain: str) -> str:
    """The provider of a domain in a drill."""
    return domain.removesuffix(f".{TOP}")


class People:
    """Who there is."""

    def __init__(self, table: CustomersTable) -> None:
        self.table = table
        self._lists = [list(zip(shares, accumulate(shares.values()), strict=True))
                       for shares in (table.providers, table.locations, table.plans, table.timezones)]

    def is_active(self, number: int) -> bool:
        """Whether a customer is one of the active ones."""
        return _spread(number, 4) < self.table.active

    def identity(self, number: int) -> str:
        """A customer's id."""
        return f"c{number:06}"

    def provider(self, number: int) -> str:
        """Who receives a customer's mail."""
        return self._pick(number, 0)

    def timezone(self, number: int) -> str:
        """Where a customer's clocks are."""
        return self._pick(number, 3)

    def address(self, number: int) -> str:
        """A customer's address."""
        return f"{self.identity(number)}@{domain_of(self.provider(number))}"

    def row(self, number: int, seen: int) -> dict[str, Any]:
        """A customer as a row of an import; `seen`: when he was last active."""
        return {
            "id": self.identity(number), "email": self.address(number), "name": f"Customer {number}",
            "location": self._pick(number, 1), "plan": self._pick(number, 2), "timezone": self.timezone(number),
            "last_active_at": format_instant(seen),
            "consent": "promotional" if _spread(number, 5) < self.table.consent else "",
        }

    def activity(self, number: int, at: int) -> dict[str, Any]:
        """Something a customer did, as a row of an import."""
        return {"customer": self.identity(number), "kind": "product", "at": format_instant(at)}

    def of_provider(self, provider: str | None) -> Iterator[int]:
        """The numbers of a provider's customers, of all without one."""
        return (number for number in range(self.table.count) if provider in {None, self.provider(number)})

    def _pick(self, number: int, which: int) -> str:
        place = _spread(number, which)
        found = self._lists[which]
        return next((name for name, until in found if place < until), found[-1][0])


def _spread(number: int, which: int) -> float:
    return (number + 1) * _STRIDES[which] % 1

