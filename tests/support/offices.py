"""Operations as the command line calls them, on a world whose clock is moved by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from support.world import World

from dispatcher.operations.office import Office, OperationError
from dispatcher.operations.registry import perform
from dispatcher.operations.reload import Reloader


class Desk:
    """`await desk("status")` is what the operation of that name answers. Without `daemon` the office has no engine."""

    def __init__(self, one: World, *, daemon: bool = True) -> None:
        engine = one.engine if daemon else None
        self.office = Office(one.works, engine, since=one.now if daemon else 0)
        if engine is not None:
            self.reloader = Reloader(one.works, engine, self.office, one.folder / "dispatcher.toml")
            self.office.reload = self.reloader.reload

    async def __call__(self, name: str, /, **args: Any) -> dict[str, Any]:
        return await perform(self.office, name, args)

    async def refused(self, name: str, /, **args: Any) -> OperationError:
        """The refusal of an operation that must be refused."""
        with pytest.raises(OperationError) as refusal:
            await self(name, **args)
        return refusal.value


def rows(*values: Mapping[str, Any], first: int = 2) -> list[dict[str, Any]]:
    """Rows of a file, from its second line on."""
    return [{"line": line, "values": dict(one)} for line, one in enumerate(values, first)]


def faulty(result: Mapping[str, Any]) -> Sequence[int]:
    """The lines of a result's faults."""
    return [fault["line"] for fault in result["faults"]]
