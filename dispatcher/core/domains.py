"""What is known of a mail domain's provider, and what an answer of the DNS makes of it.

An answer holds for its time to live, within bounds, a negative one too; after that it is still used, and asked again
when a message next needs it. A failure changes nothing that was known: it is asked again later, and later each time.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from channels.mail_hosts import Finding, MailHosts
from config.providers import OTHER, Providers

SHORTEST: Final = 5 * 60_000
LONGEST: Final = 7 * 86_400_000
"""Milliseconds that an answer holds at least and at most, whatever its zone says."""
FIRST_RETRY: Final = 60_000
LAST_RETRY: Final = 3_600_000
"""Milliseconds after which a failed question is asked again: at first, doubling, and at most."""


class Reason(StrEnum):
    """What the provider of a domain rests on."""

    ASKED_FOR = "asked_for"      # nothing yet
    MX = "mx"                    # the name of a mail server has a rule
    NO_RULE = "no_rule"          # none has
    NULL_MX = "null_mx"          # the domain takes no mail
    NO_MAIL = "no_mail"          # there is no such domain
    FAILED = "failed"            # the last question got no answer: what was known before, if anything


@dataclass(frozen=True, slots=True)
class Domain:
    """What is known of one domain."""

    domain: str
    provider: str = OTHER
    host: str = ""                   # the mail server that decided; "" for none
    reason: str = Reason.ASKED_FOR
    asked_at: int | None = None      # None: never yet
    due_at: int | None = None        # when it is to be asked (again); None: when a message next needs it
    expires_at: int = 0              # the answer holds until then
    failures: int = 0                # in a row
    trouble: str = ""                # of the last failure


def answered(before: Domain, found: MailHosts, providers: Providers, now: int) -> Domain:
    """What is known after an answer."""
    if found.finding is Finding.FAILED:
        failures = before.failures + 1
        return replace(before, reason=Reason.FAILED, asked_at=now, due_at=now + _pause(failures), failures=failures,
                       trouble=found.why)
    provider, host, reason = OTHER, "", Reason.NO_MAIL
    if found.finding is Finding.NULL_MX:
        reason = Reason.NULL_MX
    elif found.finding is not Finding.NO_DOMAIN:
        provider, host = providers.provider_of_hosts(found.hosts)
        reason = Reason.MX if providers.suffix_of(host) else Reason.NO_RULE
    holds = min(max(found.ttl, SHORTEST), LONGEST)
    return Domain(before.domain, provider, host, reason, asked_at=now, expires_at=now + holds)


def _pause(failures: int) -> int:
    return min(FIRST_RETRY << min(failures - 1, 10), LAST_RETRY)
