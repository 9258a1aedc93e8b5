"""`hold` and `resume`: stop within a second, and go on."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from dispatcher.cli.output import DONE, FAILED, WRONG, CliError, complain, local_time, print_blocks, print_json
from dispatcher.cli.verb import Desk, verb

NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="A lane, campaign, sender or category; left out: everything."),
]
LaneOption = Annotated[str | None, typer.Option("--lane", metavar="LANE", help="Exactly this lane.")]
CampaignOption = Annotated[str | None, typer.Option("--campaign", metavar="ID", help="Exactly this campaign.")]
SenderOption = Annotated[str | None, typer.Option("--sender", metavar="NAME", help="Every lane of this sender.")]
CategoryOption = Annotated[
    str | None, typer.Option("--category", metavar="NAME", help="Every campaign of this category."),
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="R", help="Why, for whoever finds it held.")]
ForOption = Annotated[
    str | None, typer.Option("--for", metavar="D", help='For so long, such as "2h"; left out: until resumed.'),
]
ByOption = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so; left out: the login name.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to an app."""
    verb(app, "hold")(hold)
    verb(app, "resume")(resume)


def hold(  # noqa: PLR0913 -- one parameter for each option
    desk: Desk, name: NameArgument = None, *,
    reason: ReasonOption, during: ForOption = None, by: ByOption = None,
    lane: LaneOption = None, campaign: CampaignOption = None, sender: SenderOption = None,
    category: CategoryOption = None,
) -> None:
    """Stop a lane, a campaign or everything within a second.

    What is released and has not begun goes back into the queue. Without a name: everything.
    """
    from dispatcher.cli.caller import OperationFailed  # noqa: PLC0415 -- --help needs none of it

    kind, named = _what(name, lane=lane, campaign=campaign, sender=sender, category=category)
    try:
        result = desk.call(
            "hold", kind=kind, name=named, reason=reason, by=by or login_name(), for_ms=_milliseconds(during))
    except OperationFailed as error:
        raise CliError(*error.lines, code=WRONG if error.kind == "unknown" else error.code) from None
    held = result["held"]
    until = f"until {local_time(held['until'])}" if held["until"] else "until it is resumed"
    back = f"; {result['stopped']} released messages went back to the queue" if result["stopped"] else ""
    desk.show(result, lambda _: [f"{titled(held)} is held {until}{back}{of_others(result)}"])


def resume(  # noqa: PLR0913 -- one parameter for each option
    desk: Desk, name: NameArgument = None, *, by: ByOption = None, lane: LaneOption = None,
    campaign: CampaignOption = None, sender: SenderOption = None, category: CategoryOption = None,
) -> int:
    """End a hold; without a name, every hold.

    A lane goes on with its next slot; what the held time would have sent is not made up for. Without a name a clock
    that was put back is taken as right, too.
    """
    kind, named = _what(name, lane=lane, campaign=campaign, sender=sender, category=category)
    result = desk.call("resume", kind=kind, name=named, by=by or login_name())
    if desk.json:
        print_json(result)
    else:
        ended = dict.fromkeys(titled(one) for one in result["holds"] if one["kind"] != "clock")
        print_blocks(f"{name} goes on" for name in ended)     # a campaign may be held by a person and by its canary
        if result["clock"]:
            says, seen = (local_time(result["clock"][name]) for name in ("now", "seen_at"))
            print_blocks([f"the clock is taken as right: it says {says}, the store had seen {seen}"])
        print_blocks(f"lane {one['lane']} sends nothing until {local_time(one['until'])}: its last slot lies ahead, "
                     "for the clock ran ahead then" for one in result["ahead"])
    if result["resumed"]:
        return DONE
    still = ", ".join(titled(one) for one in result["still_held"])
    complain(f"{named or 'nothing'} is not held; held is: {still}" if still else "nothing is held")
    return FAILED if named else DONE


def of_others(result: Mapping[str, Any]) -> str:
    """What to add to the words about a stop: the number of those that were stopped is not everybody's."""
    return "; within a second other daemons stop what they have released" if result["elsewhere"] else ""


def titled(held: Mapping[str, Any]) -> str:
    """`everything`, `lane support/gmail`, `campaign delay`."""
    return f"{held['kind']} {held['name']}".strip()


def login_name() -> str:
    """Who types: the name behind sudo, where there is one."""
    import getpass  # noqa: PLC0415 -- --help needs none of it

    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


def _what(name: str | None, **explicit: str | None) -> tuple[str, str]:
    """Kind and name of what is meant; "auto" leaves the kind to the operation."""
    given = [(kind, value) for kind, value in explicit.items() if value is not None]
    if len(given) + (name is not None) > 1:
        raise CliError("name one thing at a time: NAME, --lane, --campaign, --sender or --category", code=WRONG)
    return given[0] if given else ("auto", name or "")


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    from config.units import parse_duration  # noqa: PLC0415 -- --help needs none of it

    try:
        milliseconds = parse_duration(text)
    except ValueError as error:
        raise CliError(f"--for {text!r} {error}", code=WRONG) from None
    if not milliseconds:
        raise CliError('--for 0 holds nothing; write a time such as "2h", or leave it out', code=WRONG)
    return milliseconds
