"""What the demo shows while it runs: a live picture on a terminal, else a line a second, with --json nothing."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from dispatcher.cli.output import console, on_terminal
from dispatcher.core.times import parse_instant

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY: Final = 1_000
"""Milliseconds between two plain lines."""
_BAR: Final = 24
_STATES: Final = ("queued", "sending", "accepted", "rejected", "in_doubt")


@dataclass(frozen=True, slots=True)
class Look:
    """How it stands at an instant."""

    status: Mapping[str, Any]       # the answer of the operation `status`
    received: int                   # mails that the server has taken
    now: int


class Screen(Protocol):
    """Where the demo tells its story."""

    def say(self, text: str) -> None:
        """A line that stays."""
        ...

    def show(self, look: Look) -> None:
        """How it stands now."""
        ...


class Silent:
    """Nothing is shown."""

    def say(self, text: str) -> None:
        """Nothing."""

    def show(self, look: Look) -> None:
        """Nothing."""


@dataclass(slots=True)
class Lines:
    """Plain lines, for pipes, files and simple terminals."""

    _next: int = field(default=0)
    _last: str = field(default="")

    def say(self, text: str) -> None:
        """Print it."""
        self._write(text)

    def show(self, look: Look) -> None:
        """Print how it stands, at most once a second, where anything has changed."""
        text = line(look)
        if look.now >= self._next and text != self._last:
            self._next, self._last = look.now + EVERY, text
            self._write(f"{clock_time(look.now)}  {text}")

    def _write(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


@contextmanager
def screen(*, silent: bool) -> Iterator[Screen]:
    """The right screen for where standard output goes."""
    if silent:
        yield Silent()
        return
    out = console()
    if not on_terminal() or out.is_dumb_terminal:
        yield Lines()
        return
    from rich.live import Live  # noqa: PLC0415 -- only a terminal needs it

    with Live(console=out, auto_refresh=False) as live:

        class Picture:
            """A picture that is drawn anew in place, below what was said."""

            def say(self, text: str) -> None:
                """Print it above the picture."""
                live.console.print(text)

            def show(self, look: Look) -> None:
                """Draw how it stands."""
                live.update(picture(look), refresh=True)

        yield Picture()


def line(look: Look) -> str:
    """How it stands, in one line of plain text."""
    lanes = [
        f"{lane['lane']} {lane['state']}" if lane["state"] != "healthy" else
        f"{lane['lane']} {lane['spent']} of {lane['allowance']}"
        + (f", next {lane['next_size']}" if lane["next_size"] else "")
        for lane in look.status["lanes"]
    ]
    return " | ".join([*lanes, f"{_counts(look)}, {_left_out(look)}", f"server {look.received} mails"])


def picture(look: Look) -> "RenderableType":
    """How it stands, for a terminal."""
    from rich import box  # noqa: PLC0415 -- only a terminal needs it
    from rich.console import Group  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("lane", "spent of", "this step's allowance", "", "next batch", "queued"):
        table.add_column(name, justify="right" if name in {"spent of", "queued"} else "left", no_wrap=True)
    for lane in look.status["lanes"]:
        bar = ProgressBar(total=max(lane["allowance"], 1), completed=lane["spent"], width=_BAR)
        table.add_row(lane["lane"], str(lane["spent"]), bar, str(lane["allowance"]), _next_batch(lane, look.now),
                      str(lane["queued"]))
    rows = (("queue", _counts(look)), ("left out", _reasons(look)), ("mail server", f"{look.received} mails received"))
    return Group(table, *(Text(f"{name:<13}{text}") for name, text in rows))


def clock_time(instant: int) -> str:
    """An instant as the clocks of this machine show it."""
    return f"{datetime.fromtimestamp(instant / 1000, UTC).astimezone():%H:%M:%S}"


def _next_batch(lane: Mapping[str, Any], now: int) -> str:
    if not lane["next_slot_at"]:
        return "-"
    seconds = max(parse_instant(lane["next_slot_at"]) - now, 0) / 1000
    return f"{lane['next_size']} in {seconds:.1f} s" + (f" ({lane['why']})" if lane["why"] else "")


def _counts(look: Look) -> str:
    messages = look.status["messages"]
    return ", ".join(f"{state} {messages[state]}" for state in _STATES if state in _STATES[:3] or messages[state])


def _left_out(look: Look) -> str:
    return f"left out {sum(look.status['skipped'].values())}"


def _reasons(look: Look) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(look.status["skipped"].items())) or "nobody"
