"""The configuration that a drill's daemon reads: that of the drill file, with everything taken out that leads outside.

Servers, passwords and certificates are not in it; store, admin socket and campaigns lie in the drill's own folder. It
is a file like any other, so that a reload in a drill is the real one.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from config.faults import ConfigFaults
from config.load import load_settings
from config.model import Settings
from dispatcher.drill.file import Drill

FILE: Final = "dispatcher.toml"
NOWHERE: Final = "smtp://drill.invalid:25"
_OUTSIDE: Final = ("username", "password", "ca_file", "helo")


class House:
    """The configuration of a drill's daemon, as it is now."""

    def __init__(self, folder: Path, drill: Drill) -> None:
        self.file = folder / FILE
        (folder / "campaigns").mkdir(exist_ok=True)
        self._data = self._before = deepcopy(dict(drill.settings))
        for sender in self._data.get("senders", {}).values():
            for name in _OUTSIDE:
                sender.pop(name, None)
            sender["server"] = NOWHERE
        self._data["mx"] = {"lookup": True}     # in the drill's own book; it has nobody to ask
        self._data["store"] = {"url": f"sqlite:///{folder / 'store.db'}"}
        self._data["http"] = {"admin": "unix:/nobody-listens-in-a-drill"}  # its folder may be too long
        self._data.setdefault("campaigns", {})["directory"] = str(folder / "campaigns")
        self.write()

    def change(self, changes: Mapping[str, Any]) -> None:
        """Lay settings over those that are there, key by key, and write the file. Nobody has read it yet."""
        self._before, self._data = self._data, laid_over(self._data, changes)
        self.write()

    def undo(self) -> None:
        """Write the file as it was before the last change."""
        self._data = self._before
        self.write()

    def write(self) -> None:
        """Write the file as it stands."""
        self.file.write_text(to_toml(self._data), encoding="utf-8")

    def settings(self) -> Settings:
        """What the file says."""
        return load_settings(self.file, {})


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One table over another, key by key."""
    whole = deepcopy(dict(below))
    for key, value in above.items():
        before = whole.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            whole[key] = laid_over(before, value)
        else:
            whole[key] = deepcopy(value)
    return whole


def changes_fit(drill: Drill, folder: Path) -> list[tuple[int, str]]:
    """The reloads of a drill tried one after the other: (place among the events, what is wrong). No daemon sees it."""
    house = House(folder, drill)
    found = []
    in_order = sorted(enumerate(drill.table.events),
                      key=lambda pair: pair[1].at.instant(drill.start, drill.table.timezone))
    for number, event in in_order:
        if event.set is not None:
            house.change(event.set)
            try:
                house.settings()
            except ConfigFaults as error:
                found += [(number, f"{fault.key}: {fault.problem}") for fault in error.faults]
    return found


def to_toml(data: Mapping[str, Any], name: str = "") -> str:
    """Tables as TOML: what stands in a table first, then the tables in it."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in data.items() if not isinstance(value, Mapping)]
    text = "".join(f"{line}\n" for line in ([f"[{name}]"] if name else []) + lines)
    for key, value in data.items():
        if isinstance(value, Mapping):
            text += to_toml(value, f"{name}.{_key(key)}" if name else _key(key))
    return text


def _key(text: str) -> str:
    return json.dumps(text)


def _value(value: Any) -> str:  # noqa: ANN401 -- whatever a TOML file may hold
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str | bool | int):
        return json.dumps(value)
    return repr(value) if isinstance(value, float) else str(value)
