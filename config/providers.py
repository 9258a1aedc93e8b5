"""Who receives: the provider behind a domain, and what it bears of one sender.

The table is data (presets/providers.toml). It knows domains only; hosted domains count as "other".
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers by name, with "other" for everyone else."""

    names: tuple[str, ...]
    by_domain: Mapping[str, str]
    limits: Mapping[str, tuple[int, int]]

    def provider_of(self, domain: str) -> str:
        """The provider of a domain, given lower-cased and as A-label; "other" where it is not known."""
        return self.by_domain.get(domain, OTHER)

    def bounds(self, provider: str) -> tuple[int, int]:
        """Connections at a time, and messages per connection; an unknown provider has those of "other"."""
        return self.limits.get(provider) or self.limits[OTHER]


@cache
def load_providers() -> Providers:
    """The table that comes with the package."""
    table = tomllib.loads(resources.files("config").joinpath("presets/providers.toml").read_text(encoding="utf-8"))
    return Providers(
        names=tuple(table),
        by_domain=MappingProxyType({domain: name for name, keys in table.items() for domain in keys["domains"]}),
        limits=MappingProxyType({name: (keys["connections"], keys["messages_per_connection"])
                                 for name, keys in table.items()}),
    )
