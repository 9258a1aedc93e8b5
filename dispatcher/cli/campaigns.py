"""`campaign`: what is said; applied from its folder, looked at, tried on a customer, approved, canceled."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from dispatcher.cli.holds import login_name, of_others
from dispatcher.cli.output import WRONG, Block, CliError, Grid, complain, counted, fields, local_time
from dispatcher.cli.verb import Desk, group, verb

DirArgument = Annotated[str, typer.Argument(metavar="DIR", help="A folder with campaign.toml and its templates.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The campaign's id.")]
CustomerOption = Annotated[str, typer.Option("--customer", metavar="ID", help="The customer who would get it.")]
DataOption = Annotated[
    str | None, typer.Option("--data", metavar="JSON", help='The producer\'s data, such as \'{"order": "A-17"}\'.'),
]
AfterOption = Annotated[str | None, typer.Option("--after", metavar="ID", help="Behind this campaign: the next page.")]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who approves.")]
DigestOption = Annotated[
    str | None,
    typer.Option("--digest", metavar="D",
                 help="Of what was looked at, as `campaign show` has it; refused if that has changed since."),
]
SHORT: Final = 16       # characters of a digest in a list
ReasonOption = Annotated[str, typer.Option("--reason", metavar="R", help="Why.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to an app."""
    campaign = group(app, "campaign", "Apply, list, show, preview, approve and cancel campaigns.")
    verb(campaign, "apply")(apply)
    verb(campaign, "list")(listed)
    verb(campaign, "show")(show)
    verb(campaign, "preview")(preview)
    verb(campaign, "approve")(approve)
    verb(campaign, "cancel")(cancel)


def apply(desk: Desk, folder: DirArgument) -> None:
    """Check a campaign's folder and make it the current version."""
    from dispatcher.intake.campaign_file import read_campaign  # noqa: PLC0415 -- --help needs none of it

    loaded = read_campaign(Path(folder))
    result = desk.call("campaign.apply", campaign=loaded.content, digest=loaded.digest, place=folder, by=login_name())
    complain(*(f"warning: {text}" for text in result["warnings"]))
    desk.show(result, apply_view)


def apply_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """Whether there is a new version, and whom it moved."""
    name = f"{result['id']} version {result['version']}"
    if result["unchanged"]:
        yield f"{name} is current already"
        return
    yield f"{name} is current{', the first' if result['new'] else ''}"
    if result["queued_moved"]:
        yield f"{result['queued_moved']} queued messages moved to another segment or lane"


def listed(desk: Desk, *, after: AfterOption = None) -> None:
    """List every campaign."""
    desk.show(desk.call("campaign.list", after=after), list_view)


def list_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """Every campaign in a row."""
    columns = ("id", "version", "digest", "category", "state", "queued", "accepted", "skipped", "applied_at")
    if not result["campaigns"]:
        yield "there are no campaigns; dispatcher campaign apply DIR makes one"
        return
    rows = [dict(one) | {"digest": one["digest"][:SHORT]} for one in result["campaigns"]]
    yield Grid((*columns, "why"), [[*(one[column] for column in columns), one["why"]] for one in rows])
    if result["next"] is not None:
        yield f"there are more: --after {result['next']}"


def show(desk: Desk, campaign: IdArgument) -> None:
    """Show a campaign and where its messages stand."""
    desk.show(desk.call("campaign.show", id=campaign), campaign_view)


def campaign_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """A campaign's fields, then its counts."""
    definition = _as_written(result["definition"])
    apart = {"messages", "skipped", "segments", "definition", "canary"}
    own = {name: value for name, value in result.items() if name not in apart}
    words = {name: definition.pop(name, None) for name in ("words", "segment_words", "sample")}
    yield fields(definition | own)
    yield from _canary(result["canary"])
    yield f"words for: {', '.join(words['words'] or {})}; --json has them"
    if result["segments"]:
        yield ""
        states = list(result["messages"])
        yield Grid(("segment", *states), [
            *([one["segment"], *(one[state] for state in states)] for one in result["segments"]),
            ("total", *result["messages"].values()),
        ])
    if result["skipped"]:
        yield f"skipped: {counted(result['skipped'])}"


def _as_written(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A campaign's keys with its times as its file has them, not in the milliseconds that the store keeps."""
    from config.units import format_duration  # noqa: PLC0415 -- --help needs none of it

    found = dict(definition)
    if found.get("useful_for") is not None:
        found["useful_for"] = format_duration(found["useful_for"])
    if found.get("canary"):
        found["canary"] = found["canary"] | {"wait": format_duration(found["canary"]["wait"])}
    return found


def _canary(one: Mapping[str, Any] | None) -> Iterator[Block]:
    """How its canary fares, once that has begun."""
    if one is not None:
        until = f", waited for until {local_time(one['until'])}" if one["until"] else ""
        why = f": {one['why']}" if one["why"] else ""
        yield f"its canary: {one['state']}, {one['released']} messages{until}{why}"


def preview(desk: Desk, campaign: IdArgument, *, customer: CustomerOption, data: DataOption = None) -> None:
    """Show what a customer would get, if anything."""
    result = desk.call("campaign.preview", id=campaign, customer=customer, data=None if data is None else _data(data))
    desk.show(result, preview_view)


def preview_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """The message as its reader sees it, below what would become of it."""
    why = f": {result['reason']}" if result["reason"] else ""
    until = f" until {local_time(result['until'])}" if result["until"] else ""
    yield f"verdict: {result['verdict']}{why}{until}"
    if result["blocked"]:
        yield f"kept back: {result['blocked']}"
    yield f"segment: {result['segment'] or 'none'}"
    yield f"lane: {result['lane'] or 'none'}"
    yield ""
    for name in ("from", "to", "reply_to", "subject"):
        if result.get(name):
            yield f"{name.replace('_', '-').title()}: {result[name]}"
    yield ""
    yield from result["text"].splitlines()
    if result["html"]:
        yield ""
        yield "there is an HTML part too: --json has it"


def approve(desk: Desk, campaign: IdArgument, *, by: ByOption, digest: DigestOption = None) -> None:
    """Let the current version send.

    Needed where the configuration says [campaigns] approval = true. With --digest exactly the content that was looked
    at: refused if it has changed in between.
    """
    desk.show(desk.call("campaign.approve", id=campaign, by=by, digest=digest), approve_view)


def approve_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """What was approved: it need not be what somebody looked at, where no digest was named."""
    yield f"{result['id']} version {result['version']} is approved by {result['by']}"
    yield f"digest: {result['digest']}"
    for one in result["subjects"]:
        yield f"subject{' for ' if one['segment'] else ''}{one['segment']}: {one['subject']}"


def cancel(desk: Desk, campaign: IdArgument, *, reason: ReasonOption) -> None:
    """End a campaign for good.

    What is queued is closed; what is released and has not begun is stopped.
    """
    desk.show(desk.call("campaign.cancel", id=campaign, reason=reason, by=login_name()),
              lambda result: ["{id} is canceled: {closed} closed in the queue, {stopped} stopped that were released"
                              .format_map(result) + of_others(result)])


def _data(text: str) -> dict[str, Any]:
    import json  # noqa: PLC0415 -- --help needs none of it

    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CliError(f"--data is no JSON: {error}", code=WRONG) from None
    if not isinstance(data, dict):
        raise CliError('--data must be an object, such as {"order": "A-17"}', code=WRONG)
    return data
