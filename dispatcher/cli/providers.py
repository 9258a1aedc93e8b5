"""`providers`: the table of mailbox providers, and which one an address or a domain has."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from dispatcher.cli.output import Block, Grid, local_time
from dispatcher.cli.verb import Desk, verb

SHOWN = 3       # domains of a provider that a table names

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="ADDRESS_OR_DOMAIN", help="Say which provider these have, and why."),
]


def add_to(app: typer.Typer) -> None:
    """Add this verb to an app."""
    verb(app, "providers")(providers)


def providers(desk: Desk, names: NamesArgument = None) -> None:
    """Show the mailbox providers, or which one an address or domain has, and why.

    What is not known yet is asked of the DNS, as the daemon asks it.
    """
    if names:
        desk.show(desk.call("providers.explain", names=names), reasons_view)
    else:
        desk.show(desk.call("providers.list"), table_view)


def table_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """The table, and how much is known beyond it."""
    yield Grid(("provider", "connections", "messages each", "domains", "mail servers"), [
        (one["provider"], one["connections"], one["messages_per_connection"], _some(one["domains"]),
         ", ".join(one["mx"])) for one in result["providers"]
    ])
    yield ""
    if not result["lookup"]:
        yield "look-ups are off ([mx] lookup): every other domain is other"
    yield (f"{result['cached_domains']} more domains are known by their mail servers; "
           f"{result['open_questions']} are to be asked")


def reasons_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """A provider and its reason for each name."""
    yield Grid(("name", "provider", "because"),
               [(one["name"], one["provider"], reason_of(one)) for one in result["names"]])


WORDS: Final[Mapping[str, str]] = {
    "domain_table": "domain table",
    "reserved": "reserved name, which belongs to nobody",
    "lookup_off": "not in the domain table, and look-ups are off",
    "asked_for": "not asked yet: other",
    "mx": "MX {host} ends in {rule}, asked {asked}, holds until {holds}",
    "no_rule": "no rule for {host}: other; asked {asked}, holds until {holds}",
    "null_mx": "takes no mail (null MX): other; asked {asked}, holds until {holds}",
    "no_mail": "no such domain: other; asked {asked}, holds until {holds}",
    "failed": "DNS failed: {trouble}; asked again at {again}",
}
"""Why a domain has its provider, by what it rests on."""


def reason_of(one: Mapping[str, Any]) -> str:
    """Why a domain has its provider, in words."""
    text = WORDS[one["by"]].format(
        host=one["host"], rule=one["rule"], trouble=one["trouble"], asked=_at(one["asked_at"]),
        holds=_at(one["holds_until"]), again=_at(one["asked_again_at"]),
    )
    return f"{text}; until then as before, by MX {one['host']}" if one["by"] == "failed" and one["host"] else text


def _at(instant: str | None) -> str:
    return local_time(instant) if instant else "now"


def _some(domains: list[str]) -> str:
    more = len(domains) - SHOWN
    return ", ".join(domains[:SHOWN]) + (f" and {more} more" if more > 0 else "")
