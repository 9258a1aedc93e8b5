"""Where an operation is carried out, and how it answers: a value that is JSON, or one of four kinds of refusal.

With a daemon the office has its engine, which is told of every change after it was committed; without one the command
has opened the store by itself. An operation need not know which.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.core.times import format_instant, parse_instant
from dispatcher.engine.daemon import Engine
from dispatcher.engine.underway import Item
from dispatcher.engine.works import Works
from dispatcher.intake.strict import CONTROLS
from dispatcher.operations.aside import Aside
from dispatcher.store import changes, instances
from dispatcher.store.changes import Change

Kind = Literal["usage", "unknown", "conflict", "failed"]
Result = dict[str, Any]
MOST_ROWS: Final = 8_000
LONGEST_LIST: Final = 1_000
PART: Final = 2_000
"""Requests of one transaction: a few hundredths of a second, in which nobody else has the store."""
PART_ALONE: Final = 32_000
"""The same where there is nobody else. Each page of an index is then written for many requests, and not for one."""


class OperationError(Exception):
    """An operation was not carried out. `details` has one line for each thing that is wrong, where there are several.

    usage: the arguments cannot be; unknown: there is nothing of that name; conflict: it stands against something
    that was done before; failed: it could not be done just now.
    """

    def __init__(self, kind: Kind, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.details = list(details)


@dataclass(slots=True)
class Office:
    """What operations work with."""

    works: Works
    engine: Engine | None = None                                  # None: no daemon
    reload: Callable[[], Awaitable[Result]] | None = None         # only with a daemon
    since: int = 0                                                # when the daemon started
    faults: Sequence[str] = ()                                    # of campaigns that could not be applied at start
    stirred: bool = False                                         # without a daemon: others have to look again
    aside: Aside = field(default_factory=Aside)                   # where files are read

    def wake(self) -> None:
        """Something changed that the engine should look at."""
        if self.engine is not None:
            self.engine.wake()
        self.stirred = self.engine is None

    async def tell_others(self) -> None:
        """A command without a daemon here has done its work: daemons elsewhere look again, where it matters to them."""
        if self.stirred:
            async with self.works.database.transaction() as tx:
                await changes.tell(tx, Change.NEWS)

    async def stop_items(self, covers: Callable[[Item], bool], reason: str = "") -> int:
        """Stop released messages that have not begun; how many. Without a daemon there are none.

        What other daemons have released they stop themselves, within a second: see `elsewhere`.
        """
        return await self.engine.stop_items(covers, reason) if self.engine is not None else 0

    async def part(self) -> int:
        """Requests of one transaction just now."""
        if self.engine is not None:
            return PART
        async with self.works.database.transaction() as tx:
            return PART if await self.elsewhere(tx) else PART_ALONE

    async def elsewhere(self, tx: AsyncConnection) -> bool:
        """Whether other daemons live, which may have released what is being stopped: nobody has counted that."""
        return await instances.living_beside(tx, self.works.database.instance) > 0


class Args(BaseModel):
    """Arguments of an operation: nothing is guessed, nothing extra is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NoArgs(Args):
    """An operation without arguments."""


class RowIn(NamedTuple):            # no model: there are millions
    """One row of a file, with the line where it starts."""

    line: int
    values: dict[str, Any]


class RowsError(ValueError):
    """Rows that are none; `place` is that of the first wrong one, or of its part."""

    def __init__(self, problem: str, *place: object) -> None:
        super().__init__(problem)
        self.place = place


def _rows(given: object) -> list[RowIn]:
    if not isinstance(given, list) or len(given) > MOST_ROWS:
        raise RowsError(f"must be a list of at most {MOST_ROWS} rows")
    rows = []
    for place, row in enumerate(given):
        if not isinstance(row, dict) or row.keys() != {"line", "values"}:
            raise RowsError("must be an object with a line and values", place)
        line, values = row["line"], row["values"]
        if type(line) is not int or line < 0:
            raise RowsError("must be a whole number from 0", place, "line")
        if not isinstance(values, dict):
            raise RowsError("must be an object", place, "values")
        rows.append(RowIn(line, values))
    return rows


class RowsArgs(Args):
    """A chunk of a file's rows."""

    rows: Annotated[list[RowIn], PlainValidator(_rows)]


def _plain(value: str) -> str:
    if CONTROLS.search(value):
        raise ValueError("holds a control character or line break; leave it out")
    return value


Text = Annotated[str, Field(max_length=500), AfterValidator(_plain)]
Given = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain)]
Limit = Annotated[int, Field(ge=1, le=LONGEST_LIST)]


def said(instant: int | None) -> str | None:
    """An instant as results have it."""
    return None if instant is None else format_instant(instant)


def asked_instant(name: str, text: str) -> int:
    """The instant that an argument names, or OperationError."""
    try:
        return parse_instant(text)
    except ValueError as error:
        raise OperationError("usage", f"{name} {error}") from None
