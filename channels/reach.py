"""Addresses that mail to strangers may be sent to. Pure.

Whoever runs a domain decides what its mail servers' names resolve to; this machine and the networks around it are none
of their business.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

# They carry an IPv4 address inside, which the standard library does not look at: NAT64 (RFC 6052, 8215), 6to4, Teredo.
_WRAPPED: Final = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))


def is_public(text: str) -> bool:
    """True for the address of a host on the internet; false for this machine, private networks, groups and nonsense."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    if address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global:
        return False
    return not any(address in network for network in _WRAPPED if address.version == network.version)
