"""Providers: the table as it is shipped, and which provider an address or a domain has, with the reason."""

import asyncio
from typing import Annotated

from pydantic import Field

from config.addresses import parse_address
from config.providers import is_reserved, load_providers, plain_name
from dispatcher.core.domains import Domain
from dispatcher.engine import resolver
from dispatcher.engine.works import Works
from dispatcher.operations.office import Args, Given, NoArgs, Office, OperationError, Result, said
from dispatcher.store import domains

MOST_NAMES = 50


class ExplainArgs(Args):
    """Addresses or domains."""

    names: Annotated[list[Given], Field(min_length=1, max_length=MOST_NAMES)]


async def listed(office: Office, _: NoArgs) -> Result:
    """The table, and how many domains are known beyond it."""
    works, table = office.works, load_providers()
    async with works.database.transaction() as tx:
        known, questions = await domains.count(tx)
    return {
        "providers": [
            {"provider": name, "connections": table.bounds(name)[0], "messages_per_connection": table.bounds(name)[1],
             "domains": [domain for domain, its in table.by_domain.items() if its == name],
             "mx": [suffix for suffix, its in table.by_suffix.items() if its == name]}
            for name in table.names
        ],
        "lookup": works.policy.settings.mx.lookup,
        "cached_domains": known,
        "open_questions": questions,
    }


async def explain(office: Office, args: ExplainArgs) -> Result:
    """Which provider each of these has, and why; the DNS is asked where that is not known."""
    asked, faults = [], []
    for name in args.names:
        try:
            asked.append(_domain_of(name))
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise OperationError("usage", "some names are no addresses or domains", faults)
    known = await _known(office.works, [one for one in dict.fromkeys(asked) if _by_itself(one) is None])
    return {"names": [{"name": name, "domain": domain} | _explained(office.works, domain, known.get(domain))
                      for name, domain in zip(args.names, asked, strict=True)]}


def _domain_of(name: str) -> str:
    if "@" in name:
        return parse_address(name).ascii_domain
    domain = plain_name(name)
    return parse_address(f"postmaster@{domain}").ascii_domain if "." in domain else domain


def _by_itself(domain: str) -> str | None:
    """Why nobody needs to be asked about a domain; None where somebody does."""
    if domain in load_providers().by_domain:
        return "domain_table"
    return "reserved" if is_reserved(domain) else None


async def _known(works: Works, names: list[str]) -> dict[str, Domain]:
    """What is known of domains; those whose answer does not hold are asked now."""
    now = works.clock.now()
    async with works.database.transaction() as tx:
        known = await domains.get(tx, names)
    if not works.policy.settings.mx.lookup or works.ask is None:
        return known
    stale = [known.get(name, Domain(name)) for name in names if name not in known or known[name].expires_at <= now]
    limit = asyncio.Semaphore(resolver.AT_ONCE)

    async def ask(one: Domain) -> resolver.Answer:
        async with limit:
            return one, await resolver.ask(works, one.domain)

    if stale:
        answers = await asyncio.gather(*(ask(one) for one in stale))
        known |= {one.domain: one for one in await resolver.take_in(works, answers)}
    return known


def _explained(works: Works, domain: str, known: Domain | None) -> Result:
    provider = works.policy.provider_of(domain)
    by = _by_itself(domain)
    if by is None and not works.policy.settings.mx.lookup:
        by = "lookup_off"
    if by is not None or known is None:
        return {"provider": provider, "by": by or "asked_for", "host": "", "rule": "", "trouble": "", "asked_at": None,
                "holds_until": None, "asked_again_at": None}
    return {
        "provider": provider, "by": str(known.reason), "host": known.host,
        "rule": load_providers().suffix_of(known.host), "trouble": known.trouble, "asked_at": said(known.asked_at),
        "holds_until": said(known.expires_at or None), "asked_again_at": said(known.due_at),
    }
