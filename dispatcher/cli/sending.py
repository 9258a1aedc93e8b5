"""`send`: messages onto the queue."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from dispatcher.cli.output import (
    DONE,
    FAILED,
    WRONG,
    CliError,
    complain,
    counted,
    print_blocks,
    print_json,
    progress,
)
from dispatcher.cli.plan import ending
from dispatcher.cli.rows import CHUNK, Tally, shown_name, take_file
from dispatcher.cli.verb import Desk, verb

CampaignArgument = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's id.")]
CustomersOption = Annotated[
    list[str] | None, typer.Option("--customer", metavar="ID", help="Only this customer; may be repeated."),
]
FileOption = Annotated[
    str | None, typer.Option("--file", metavar="F", help='Send requests, NDJSON, one a line; "-" is standard input.'),
]


def add_to(app: typer.Typer) -> None:
    """Add this verb to an app."""
    verb(app, "send")(send)


def send(
    desk: Desk, campaign: CampaignArgument, *, customer: CustomersOption = None, file: FileOption = None,
) -> int:
    """Queue a campaign's messages.

    To its whole audience, or to each --customer ID, or by the requests in --file F. Once for each customer (or key),
    for ever: sending again adds nobody twice. When it ends with 0, all is on disk.
    """
    if customer and file is not None:
        raise CliError("--customer and --file exclude each other; put the customers into the file", code=WRONG)
    if customer:
        return _to_customers(desk, campaign, customer)
    if file is not None:
        return _from_file(desk, campaign, file)
    return _to_audience(desk, campaign)


def _to_customers(desk: Desk, campaign: str, customers: list[str]) -> int:
    tally = Tally("--customer", keep=desk.json, named=customers)
    for start in range(0, len(customers), CHUNK):
        rows = [{"line": number, "values": {"customer": one}}
                for number, one in enumerate(customers[start:start + CHUNK], start + 1)]
        tally.read += len(rows)
        tally.add(desk.call("send.requests", rows=rows, campaign=campaign))
    return _finish(desk, campaign, tally)


def _from_file(desk: Desk, campaign: str, file: str) -> int:
    def fix(values: dict[str, Any]) -> str:
        named = values.setdefault("campaign", campaign)
        return "" if named == campaign else f"campaign: is {named!r}, and this sends {campaign}; send it by itself"

    tally = Tally(shown_name(file), keep=desk.json)
    take_file(file, tally, lambda rows: desk.call("send.requests", rows=rows, campaign=campaign), fix, "ndjson")
    return _finish(desk, campaign, tally)


def _finish(desk: Desk, campaign: str, tally: Tally) -> int:
    code = tally.finish()
    counts = tally.counts
    result = {"queued": counts["queued"], "skipped": dict(tally.skipped), "duplicate": counts["duplicate"],
              "refused": tally.refused, "faults": tally.faults}
    if tally.read and not any((result["queued"], result["duplicate"], tally.skipped)):
        complain(f"nothing was queued for {campaign}")
    _report(desk, campaign, result)
    return code


def _to_audience(desk: Desk, campaign: str) -> int:
    expansion = desk.call("send.audience", campaign=campaign)["expansion"]
    with progress(f"queueing {campaign}", None) as advance:
        reached = desk.call("send.step", expansion=expansion)
        while not reached["finished"]:
            advance(reached["accepted"] + reached["duplicate"])
            reached = desk.call("send.step", expansion=expansion)
    if reached["accepted"] + reached["duplicate"]:
        _report(desk, campaign, reached)
        return DONE
    complain(f"nobody is in the audience of {campaign}: import customers, or widen its [audience] where")
    if desk.json:
        print_json(reached)
    return FAILED


def _coming(desk: Desk, campaign: str) -> Mapping[str, Any] | None:
    """The plan's end for a campaign. What was queued is queued, whether that can be told just now or not."""
    try:
        return desk.call("send.coming", campaign=campaign)
    except CliError as error:
        complain(f"warning: all is queued, but its plan cannot be told: {'; '.join(error.lines)}")
        return None


def _report(desk: Desk, campaign: str, result: Mapping[str, Any]) -> None:
    """What was queued, and what is to come of it: when the last of it leaves, and who hears too late."""
    plan = _coming(desk, campaign) if result["queued"] else None
    if desk.json:
        coming = {"done_at": plan["done_at"], "late": plan["late"]} if plan else {"done_at": None, "late": 0}
        print_json(dict(result) | coming)
        return
    notes = [f"skipped: {counted(result['skipped'])}" if result["skipped"] else "",
             f"sent before: {result['duplicate']}" if result["duplicate"] else ""]
    said = "; ".join(note for note in notes if note)
    queued = f"{result['queued']} queued"
    if result["duplicate"] and "accepted" in result:     # of a whole audience: what stands, earlier ones among them
        queued = f"{result['accepted']} new, {result['queued']} in the queue"
    print_blocks([queued + (f" ({said})" if said else ""), *(_told(campaign, plan) if plan else ())])


def _told(campaign: str, plan: Mapping[str, Any]) -> Iterator[str]:
    """When the last of it leaves, and who would hear too late, with what can be done about it."""
    if plan["done_at"] or plan["left"] or not plan["late"]:
        yield from ending({**plan, "late": 0})
    if not plan["late"]:
        return
    why = (f"useful_for is {plan['useful_for']}; raise it, if the news keeps that long" if plan["useful_for"] else
           "their expires_at comes before their turn; give them more time")
    yield (f"{plan['late']:,} of {plan['queued']:,} would hear too late: {why}, or raise what "
           f"`dispatcher plan --campaign {campaign}` names as the limit, or send to fewer")
