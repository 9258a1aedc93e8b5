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
from dispatcher.cli.rows import BLOCK, BLOCK_ALONE, CHUNK, Tally, shown_name, take_lines
from dispatcher.cli.verb import Desk, verb

CampaignArgument = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's id.")]
CustomersOption = Annotated[
    list[str] | None, typer.Option("--customer", metavar="ID", help="Only this customer; may be repeated."),
]
FileOption = Annotated[
    str | None, typer.Option("--file", metavar="F", help='Send requests, NDJSON, one a line; "-" is standard input.'),
]

Late = Mapping[str, int] | None     # of other campaigns, how many would hear too late


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
    late_before = _late_before(desk, campaign)
    if customer:
        return _to_customers(desk, campaign, customer, late_before)
    if file is not None:
        return _from_file(desk, campaign, file, late_before)
    return _to_audience(desk, campaign, late_before)


def _late_before(desk: Desk, campaign: str) -> Late:
    """How many of other campaigns would hear too late as it stands; None where nobody can, or nobody knows."""
    from dispatcher.cli.caller import OperationFailed  # noqa: PLC0415 -- --help needs none of it

    try:
        late: Late = desk.call("send.lateness", campaign=campaign)["late_others"]
    except OperationFailed:
        return None     # what is sent is worth more than what is said about it
    return late


def _to_customers(desk: Desk, campaign: str, customers: list[str], late_before: Late) -> int:
    tally = Tally("--customer", keep=desk.json, named=customers)
    for start in range(0, len(customers), CHUNK):
        rows = [{"line": number, "values": {"customer": one}}
                for number, one in enumerate(customers[start:start + CHUNK], start + 1)]
        tally.read += len(rows)
        tally.add(desk.call("send.requests", rows=rows, campaign=campaign))
    return _finish(desk, campaign, tally, late_before)


def _from_file(desk: Desk, campaign: str, file: str, late_before: Late) -> int:
    tally = Tally(shown_name(file), keep=desk.json)
    take_lines(file, tally, lambda first, text: desk.call("send.lines", campaign=campaign, first=first, text=text),
               BLOCK_ALONE if desk.works_alone else BLOCK)
    return _finish(desk, campaign, tally, late_before)


def _finish(desk: Desk, campaign: str, tally: Tally, late_before: Late) -> int:
    code = tally.finish()
    counts = tally.counts
    result = {"queued": counts["queued"], "skipped": dict(tally.skipped), "duplicate": counts["duplicate"],
              "before": dict(tally.before), "refused": tally.refused, "faults": tally.faults}
    if tally.read and not any((result["queued"], result["duplicate"], tally.skipped)):
        complain(f"nothing was queued for {campaign}")
    _report(desk, campaign, result, late_before)
    return code


def _to_audience(desk: Desk, campaign: str, late_before: Late) -> int:
    expansion = desk.call("send.audience", campaign=campaign)["expansion"]
    with progress(f"queueing {campaign}", None) as advance:
        reached = desk.call("send.step", expansion=expansion)
        while not reached["finished"]:
            advance(reached["accepted"] + reached["duplicate"])
            reached = desk.call("send.step", expansion=expansion)
    if reached["accepted"] + reached["duplicate"]:
        _report(desk, campaign, reached, late_before)
        return DONE
    complain(f"nobody is in the audience of {campaign}: import customers, or widen its [audience] where")
    if desk.json:
        print_json(reached)
    return FAILED


def _coming(desk: Desk, campaign: str, late_before: Late) -> Mapping[str, Any] | None:
    """The plan's end for a campaign. What was queued is queued, whether that can be told just now or not."""
    try:
        return desk.call("send.coming", campaign=campaign, late_before=late_before)
    except CliError as error:
        complain(f"warning: all is queued, but its plan cannot be told: {'; '.join(error.lines)}")
        return None


def _report(desk: Desk, campaign: str, result: Mapping[str, Any], late_before: Late) -> None:
    """What was queued, and what is to come of it: when the last of it leaves, and who hears too late."""
    plan = _coming(desk, campaign, late_before) if result["queued"] else None
    if desk.json:
        nothing: Mapping[str, Any] = {"done_at": None, "late": 0, "pushed_late": {}}
        print_json(dict(result) | {name: (plan or nothing)[name] for name in nothing})
        return
    print_blocks([_counts(result), *(_told(campaign, plan) if plan else ())])


def _counts(result: Mapping[str, Any]) -> str:
    """What is new, what of that was left out at once, and what stood before; of an audience, the queue as it is too."""
    whole = "accepted" in result
    new, skipped = (result["accepted"], result["skipped_now"]) if whole else (result["queued"], result["skipped"])
    if whole and skipped is not None:
        new -= sum(skipped.values())
    parts = [f"{new} {'new' if skipped is None else 'queued'}" + (f" (skipped: {counted(skipped)})" if skipped else "")]
    if result["duplicate"]:
        before = f" ({counted(result['before'])})" if result["before"] else ""
        parts.append(f"already on the queue or ended before: {result['duplicate']}{before}")
    if result.get("refused"):
        parts.append(f"{result['refused']} refused")
    if whole and result["duplicate"]:
        parts.append(f"{result['queued']} in the queue now")
    return "; ".join(parts)


def _told(campaign: str, plan: Mapping[str, Any]) -> Iterator[str]:
    """When the last of it leaves, and who would hear too late, with what can be done about it."""
    if plan["done_at"] or plan["left"] or not plan["late"]:
        yield from ending({**plan, "late": 0})
    for name, count in plan["pushed_late"].items():
        yield (f"{count:,} more of {name} would now hear too late, as this takes their places: "
               f"`dispatcher plan --campaign {name}` shows what is left to it")
    if not plan["late"]:
        return
    why = (f"useful_for is {plan['useful_for']}; raise it, if the news keeps that long" if plan["useful_for"] else
           "their expires_at comes before their turn; give them more time")
    yield (f"{plan['late']:,} of {plan['queued']:,} would hear too late: {why}, or raise what "
           f"`dispatcher plan --campaign {campaign}` names as the limit, or send to fewer")
