"""Where the DNS is asked, as ops write it: "ADDRESS:PORT", "[IPV6]:PORT", or an address alone for port 53."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

PORT: Final = 53
_FORM: Final = 'write "192.0.2.53:53" or "[2001:db8::53]:53"'
_WRITTEN: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<four>[0-9.]{7,15}))(?::(?P<port>[0-9]{1,5}))?")
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Nameserver:
    """One server of the DNS."""

    address: str
    port: int = PORT

    def __str__(self) -> str:
        """As it would be written in full."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def parse_nameserver(text: str) -> Nameserver:
    """The nameserver that a text names; ValueError says what is allowed."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"is no nameserver's address; {_FORM}")
    port = int(found["port"]) if found["port"] else PORT
    if not 1 <= port <= _LAST_PORT:
        raise ValueError(f"has no valid port; it must be from 1 to {_LAST_PORT}")
    try:
        address: IPv4Address | IPv6Address = IPv6Address(found["six"]) if found["six"] else ip_address(found["four"])
    except ValueError:
        raise ValueError(f"has no valid IP address; {_FORM}") from None
    return Nameserver(str(address), port)
