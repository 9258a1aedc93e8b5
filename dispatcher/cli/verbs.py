"""The table of the top-level verbs, so that the root knows all of them before it has imported any.

`--help`, completion and "Did you mean" go by the table alone; a verb's module is imported when the verb is called, or
when its own words are completed. To add a verb: a module beside this one whose `add_to` registers it, and a row below.
"""

from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

PACKAGE: Final = "dispatcher.cli"


class Row(NamedTuple):
    """One top-level verb, or group of verbs: its name, its module in PACKAGE, the first sentence of its help."""

    name: str
    module: str
    line: str


# In the order of the help: verbs first, then groups. A test holds every row to what its module says.
ROWS: Final = (
    Row("run", "daemon", "Run the daemon in the foreground."),
    Row("demo", "daemon", "Show the main job on this machine, in a minute."),
    Row("reload", "daemon", "Let the daemon read its configuration again."),
    Row("check", "check", "Check the configuration and every campaign."),
    Row("send", "sending", "Queue a campaign's messages."),
    Row("plan", "plan", "Show the batches to come, and when it all ends."),
    Row("report", "report", "Show what a campaign was promised and given, and the cause of each slip."),
    Row("status", "status", "Show lanes, the queue, and what is held."),
    Row("providers", "providers", "Show the mailbox providers, or which one an address or domain has, and why."),
    Row("hold", "holds", "Stop a lane, a campaign or everything within a second."),
    Row("resume", "holds", "End a hold; without a name, every hold."),
    Row("drill", "drill", "Rehearse weeks in seconds: the real daemon, a virtual clock, scripted providers."),
    Row("customers", "customers", "Import, show and erase customers."),
    Row("activity", "customers", "Import what customers did."),
    Row("campaign", "campaigns", "Apply, list, show, preview, approve and cancel campaigns."),
    Row("lanes", "lanes", "How providers take each lane: list, show, history, import."),
    Row("messages", "messages", "List messages, show one, settle one in doubt."),
    Row("suppress", "suppressions", "Addresses that nothing goes to: add, remove, list, import."),
    Row("db", "database", "Check the store, back it up while it is used, move it."),
)


class Entry(TyperCommand):
    """A row in the place of its verb: it has its name and its line, and makes way for it where a context is made.

    Typer makes a context of a command to call it, to explain it and to complete its words, and of no other.
    """

    def __init__(self, row: Row) -> None:
        super().__init__(row.name, help=row.line, rich_markup_mode=None)
        self.row = row

    def load(self) -> TyperCommand | TyperGroup:
        """Import the verb's module; the verb itself. KeyError where the module has none of that name."""
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.callback()(_nothing)        # with a callback it is a group, even around a single verb
        import_module(f"{PACKAGE}.{self.row.module}").add_to(app)
        group: Any = get_command(app)
        loaded: TyperCommand | TyperGroup = group.commands[self.row.name]
        return loaded

    def make_context(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 -- handed on as they are
        """The context of the verb itself: from here on typer goes by the command that it names."""
        return self.load().make_context(*args, **more)


class Verbs(TyperGroup):
    """The root group: the table's verbs, each loaded when it is its turn."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 -- typer's own settings
        super().__init__(**given)
        for row in ROWS:
            self.add_command(Entry(row))


def _nothing() -> None:
    """What a group has to do before its verb."""
