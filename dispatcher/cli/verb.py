"""What every verb has in common: --config, --json, the way to the operations, and how a command ends.

A verb is a function whose first parameter is the Desk it works at; the others are its options, by typer's rules. It
returns nothing, or FAILED where it was done in part; what it cannot do it raises as CliError.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.cli.output import FAILED, WRONG, Block, CliError, complain, print_blocks, print_json, say

if TYPE_CHECKING:
    from dispatcher.cli.caller import Caller
    from dispatcher.cli.place import Place

Verb = Callable[..., int | None]

ConfigOption = Annotated[
    str | None,
    typer.Option("--config", metavar="PATH",
                 help="Else $DISPATCHER_CONFIG, ./dispatcher.toml, /etc/dispatcher/dispatcher.toml."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]


class Desk:
    """Where one command works: its role (the verb, as the store's lock and hints name it), --config and --json."""

    def __init__(self, role: str, config: str | None, *, json: bool) -> None:
        self.role = role
        self.config = config
        self.json = json
        self._place: Place | None = None
        self._caller: Caller | None = None

    @property
    def place(self) -> "Place":
        """The configuration that this command goes by."""
        if self._place is None:
            from dispatcher.cli.place import locate  # noqa: PLC0415 -- --help needs none of it

            self._place = locate(self.config)
        return self._place

    def call(self, operation: str, /, **args: Any) -> dict[str, Any]:  # noqa: ANN401 -- an operation checks its own
        """An operation's result. Arguments that are None are left out."""
        return self._calling().call(operation, {key: value for key, value in args.items() if value is not None})

    def call_daemon(self, operation: str, /, **args: Any) -> dict[str, Any] | None:  # noqa: ANN401 -- as above
        """As call, but only where a daemon listens; None where there is none."""
        return self._calling().call_daemon(operation, args)

    @property
    def works_alone(self) -> bool:
        """Whether the store is open here, for want of a daemon."""
        return self._caller is not None and self._caller.works_alone

    def show(self, result: Mapping[str, Any], view: Callable[[Mapping[str, Any]], Iterable[Block]]) -> None:
        """Print a result: as JSON where that was asked for, else as its view."""
        if self.json:
            print_json(result)
        else:
            print_blocks(view(result))

    def _calling(self) -> "Caller":
        if self._caller is None:
            from dispatcher.cli.caller import Caller  # noqa: PLC0415 -- --help needs none of it

            self._caller = Caller(self.place, self.role)
        return self._caller

    def close(self) -> None:
        """Give back what was opened; calling again opens it again."""
        if self._caller is not None:
            self._caller.close()


def verb(app: typer.Typer, name: str, *, json: bool = True) -> Callable[[Verb], Verb]:
    """Make a function a verb of an app; without `json` it prints no data and has no --json."""

    def register(function: Verb) -> Verb:
        signature = inspect.signature(function)

        @wraps(function)
        def command(**given: Any) -> None:  # noqa: ANN401 -- typer's values
            context = given.pop("context")
            config = given.pop("config") or _config_before(context)
            desk = Desk(_role(context), config, json=given.pop("json", False))
            code = _ending(lambda: function(desk, **given), desk)
            if code:
                raise typer.Exit(code)

        own = list(signature.parameters.values())[1:]
        parameters = [
            _option("context", typer.Context, inspect.Parameter.empty),
            *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own),
            _option("config", ConfigOption, None),
        ]
        if json:
            parameters.append(_option("json", JsonOption, default=False))
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # typer reads it
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        app.command(name)(command)
        return function

    return register


def group(app: typer.Typer, name: str, help_text: str) -> typer.Typer:
    """A group of verbs, such as `dispatcher campaign`."""
    inner = typer.Typer(rich_markup_mode=None, add_completion=False)
    inner.callback(invoke_without_command=True)(_help_alone)
    app.add_typer(inner, name=name, help=help_text)
    return inner


def _help_alone(context: typer.Context) -> None:
    """Without a verb of the group there is nothing to do but to say which there are."""
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(WRONG)


def _option(name: str, annotation: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _role(context: typer.Context) -> str:
    """`customers import`, from `dispatcher customers import`."""
    return context.command_path.partition(" ")[2]


def _config_before(context: typer.Context) -> str | None:
    """The --config that was written before the verb."""
    found: str | None = context.find_root().params.get("config")
    return found


def _ending(work: Callable[[], int | None], desk: Desk) -> int:
    """The exit code of a verb's work, its errors said."""
    from dispatcher.packages import foreign  # noqa: PLC0415 -- --help needs none of it

    if why := foreign():
        complain(why)
        return FAILED
    from config.faults import ConfigFaults  # noqa: PLC0415 -- not before it is known whose `config` that is

    try:
        return work() or 0
    except CliError as error:
        complain(*error.lines)
        return error.code
    except ConfigFaults as error:
        complain(*map(str, error.faults))
        return WRONG
    except BrokenPipeError:
        raise       # nobody reads on; the end of the program knows
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}")
        return FAILED
    finally:
        desk.close()
