"""`messages`: which there are, one message's whole story, and what a person says of one in doubt."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import typer

from dispatcher.cli.output import Block, Grid, both_times, fields
from dispatcher.cli.verb import Desk, group, verb

State = Literal["queued", "sending", "accepted", "rejected", "in_doubt", "skipped"]
Settled = Literal["accepted", "rejected", "queued"]
COLUMNS = ("id", "campaign", "customer", "segment", "lane", "state", "reason")

IdArgument = Annotated[int, typer.Argument(metavar="ID", help="The message's id.", min=1)]
CampaignOption = Annotated[str | None, typer.Option("--campaign", metavar="ID", help="Of this campaign.")]
StateOption = Annotated[State | None, typer.Option("--state", help="In this state.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="R", help="Skipped for this reason.")]
CustomerOption = Annotated[str | None, typer.Option("--customer", metavar="ID", help="To this customer.")]
LaneOption = Annotated[str | None, typer.Option("--lane", metavar="LANE", help="In this lane.")]
AfterOption = Annotated[int, typer.Option("--after", metavar="ID", help="Behind this message: the next page.", min=0)]
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.", min=1, max=1000)]
AsArgument = Annotated[
    Settled, typer.Argument(metavar="accepted|rejected|queued", help="What became of it; queued: send again."),
]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to an app."""
    messages = group(app, "messages", "List messages, show one, settle one in doubt.")
    verb(messages, "list")(listed)
    verb(messages, "show")(show)
    verb(messages, "settle")(settle)


def listed(  # noqa: PLR0913 -- one parameter for each option
    desk: Desk, *, campaign: CampaignOption = None, state: StateOption = None, reason: ReasonOption = None,
    customer: CustomerOption = None, lane: LaneOption = None, after: AfterOption = 0, limit: LimitOption = 100,
) -> None:
    """List messages in the order in which they came."""
    result = desk.call("messages.list", campaign=campaign, state=state, reason=reason, customer=customer, lane=lane,
                       after=after, limit=limit)
    desk.show(result, list_view)


def list_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """A page of messages, and where the next begins."""
    if not result["messages"]:
        yield "there are no such messages"
        return
    yield Grid(COLUMNS, [[one[column] for column in COLUMNS] for one in result["messages"]])
    if result["next"] is not None:
        yield f"there are more: --after {result['next']}"


def show(desk: Desk, message: IdArgument) -> None:
    """Show one message's whole story.

    Where it stands and why, its batch, and every attempt.
    """
    desk.show(desk.call("messages.show", id=message), story_view)


def story_view(result: Mapping[str, Any]) -> Iterator[Block]:
    """A message's fields, then its attempts."""
    yield fields({name: value for name, value in result.items() if name != "attempts"})
    if result["attempts"]:
        yield ""
        yield Grid(("at", "UTC", "outcome", "code", "detail"),
                   [(*both_times(one["at"]), one["outcome"], one["code"], one["detail"])
                    for one in result["attempts"]])


def settle(desk: Desk, message: IdArgument, outcome: AsArgument) -> None:
    """Say what became of a message in doubt.

    As a person found out: accepted, rejected, or queued to send it again.
    """
    desk.show(desk.call("messages.settle", id=message, **{"as": outcome}),
              lambda result: [f"message {result['id']} is {result['state']}"])
