"""What the DNS says about who takes a domain's mail, as values. Pure; channels/dns.py does the asking."""

from dataclasses import dataclass
from enum import StrEnum

from config.providers import Exchange


class Finding(StrEnum):
    """What a question for a domain's mail servers came to."""

    SERVERS = "servers"          # it names them
    ITSELF = "itself"            # it names none, so it takes its mail itself, if it has an address (RFC 5321, 5.1)
    NULL_MX = "null_mx"          # it says that it takes no mail (RFC 7505)
    NO_DOMAIN = "no_domain"      # there is no such domain
    FAILED = "failed"            # no answer, or none that can be used: nothing is known


@dataclass(frozen=True, slots=True)
class MailHosts:
    """An answer, and how long it holds."""

    finding: Finding
    hosts: tuple[Exchange, ...] = ()    # lowest preference first; the domain itself where it names none
    ttl: int = 0                        # milliseconds, as the zone says
    why: str = ""                       # of FAILED: what went wrong, in a few words


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one server, IPv4 first."""

    found: tuple[str, ...] = ()
    ttl: int = 0                        # milliseconds
    why: str = ""                       # where there are none: what went wrong
