"""Who receives: the provider behind a domain or a mail server, and what it bears of one sender. Pure.

The table is data (presets/providers.toml). A domain is known by itself, or by the names of its mail servers: hosted
domains count as their host's. Names that are reserved belong to nobody, and nobody needs to be asked about them.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

OTHER: Final = "other"
# RFC 2606 and 6761; .local is for networks without a name service (RFC 6762).
_RESERVED_TOPS: Final = frozenset({"example", "test", "invalid", "localhost", "local"})
_RESERVED: Final = frozenset({"example.com", "example.net", "example.org"})

Exchange = tuple[int, str]
"""A mail server of a domain: its preference, the lower the better, and its name."""


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers by name, with "other" for everyone else."""

    names: tuple[str, ...]
    by_domain: Mapping[str, str]
    by_suffix: Mapping[str, str]                # of the names of mail servers
    limits: Mapping[str, tuple[int, int]]

    def provider_of(self, domain: str) -> str:
        """The provider of a domain, given lower-cased and as A-label; "other" where it is not known by itself."""
        return self.by_domain.get(domain, OTHER)

    def provider_of_hosts(self, hosts: Iterable[Exchange]) -> tuple[str, str]:
        """The provider whose mail servers these are, and the server that decided.

        Those of the lowest preference decide alone, for they get the mail: what stands behind them is a backup, or
        the mark by which a domain was verified. "other" and the first of them where none has a rule; "" for no server.
        """
        ordered = sorted((preference, plain_name(host)) for preference, host in hosts)
        first = [host for preference, host in ordered if preference == ordered[0][0]]
        for host in first:
            suffix = self.suffix_of(host)
            if suffix:
                return self.by_suffix[suffix], host
        return OTHER, first[0] if first else ""

    def suffix_of(self, host: str) -> str:
        """The longest rule that the name of a mail server ends in, by whole labels; "" for none."""
        labels = plain_name(host).split(".")
        for start in range(len(labels)):
            suffix = ".".join(labels[start:])
            if suffix in self.by_suffix:
                return suffix
        return ""

    def bounds(self, provider: str) -> tuple[int, int]:
        """Connections at a time, and messages per connection; an unknown provider has those of "other"."""
        return self.limits.get(provider) or self.limits[OTHER]


def plain_name(name: str) -> str:
    """A domain's or server's name as names are compared: lower-case, without the dot of the root."""
    return name.rstrip(".").lower()


def is_reserved(domain: str) -> bool:
    """True for a name that can belong to nobody: kept for examples and tests, of this machine or network, no domain."""
    labels = domain.split(".")
    return len(labels) == 1 or labels[-1] in _RESERVED_TOPS or ".".join(labels[-2:]) in _RESERVED


@cache
def load_providers() -> Providers:
    """The table that comes with the package."""
    table = tomllib.loads(resources.files("config").joinpath("presets/providers.toml").read_text(encoding="utf-8"))
    return Providers(
        names=tuple(table),
        by_domain=MappingProxyType({domain: name for name, keys in table.items() for domain in keys["domains"]}),
        by_suffix=MappingProxyType({suffix: name for name, keys in table.items() for suffix in keys["mx"]}),
        limits=MappingProxyType({name: (keys["connections"], keys["messages_per_connection"])
                                 for name, keys in table.items()}),
    )
