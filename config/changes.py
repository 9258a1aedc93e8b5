"""What differs between two settings, in the words of the file. Pure; secrets are compared and never shown.

Ramps are compared by what they come to: a key that a preset or the default filled in is shown with that value.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from config.faults import key_text
from config.model import Settings
from config.ramp_table import RampKeys, RampTable, resolve_table

Words = Mapping[str, Any]

_RESTART: Final = frozenset({"store.url", "store.password", "store.ca_file", "http.admin"})
_UNSET: Final = "unset"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    key: str            # dotted: "ramps.careful.start"
    before: str         # as in the file; "" where the whole table is new, or where it is a secret
    after: str          # as in the file; "" where the whole table is gone, or where it is a secret
    restart: bool       # takes effect only when the daemon starts anew; else at the next slot

    def __str__(self) -> str:
        """One line: `ramps.careful.start: 100 -> 200`."""
        text = f"{self.key}: {self.before} -> {self.after}"
        if not self.before or not self.after:
            text = f"{self.key}: {self.before or self.after}"
        return f"{text} (after a restart)" if self.restart else text


def changes(old: Settings, new: Settings) -> list[Change]:
    """Everything that differs, in the order of the file's tables."""
    before, after = (settings.model_dump(by_alias=True) for settings in (old, new))
    found: list[Change] = []
    for table in Settings.model_fields:
        if table == "ramps":
            found += _named("ramps", _ramps(old, new), _ramps(new, old))
        elif table in {"senders", "replies"}:
            found += _named(table, before[table], after[table])
        else:
            found += _table((table,), before[table], after[table])
    return found


def _named(table: str, old: Mapping[str, Words], new: Mapping[str, Words]) -> Iterator[Change]:
    """Tables by name: new, gone, or different."""
    for name in [*old, *(name for name in new if name not in old)]:
        key = key_text((table, name))
        if name not in old:
            yield Change(key, "", "added", restart=False)
        elif name not in new:
            yield Change(key, "removed", "", restart=False)
        else:
            yield from _table((table, name), old[name], new[name])


def _table(prefix: tuple[str, ...], old: Words, new: Words) -> Iterator[Change]:
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        key = ".".join((key_text(prefix), name))
        if isinstance(before, SecretStr) or isinstance(after, SecretStr):
            yield Change(key, "", "changed", restart=key in _RESTART)
        else:
            yield Change(key, _text(before), _text(after), restart=key in _RESTART)


def _ramps(settings: Settings, other: Settings) -> dict[str, dict[str, Any]]:
    """Every ramp: its own keys as they come to, and those that either settings set for a provider."""
    found: dict[str, dict[str, Any]] = {}
    for name, table in settings.ramps.items():
        words = {"preset": table.preset} | _ramp_words(table, "")
        beside = other.ramps.get(name, table)
        for provider in dict.fromkeys([*table.providers, *beside.providers]):
            resolved = _ramp_words(table, provider)
            for key in sorted(_keys_set(table, provider) | _keys_set(beside, provider)):
                words[key_text(("providers", provider, key))] = resolved[key]
        found[name] = words
    return found


def _keys_set(table: RampTable, provider: str) -> set[str]:
    return set(table.providers[provider].layer) if provider in table.providers else set()


def _ramp_words(table: RampTable, provider: str) -> dict[str, Any]:
    """A resolved ramp in the words of its keys."""
    ramp = resolve_table(table, provider).ramp
    fields = {name: getattr(ramp, name) for name in RampKeys.model_fields}
    return RampKeys.model_construct(**fields).model_dump()


def _text(value: Any) -> str:  # noqa: ANN401 -- whatever a key of the file holds
    """A value as one would write it in the file."""
    if value is None:
        return _UNSET
    if isinstance(value, dict):
        inside = ((key, inner) for key, inner in value.items() if inner is not None)
        return "{ " + ", ".join(f"{key} = {_text(inner)}" for key, inner in inside) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_text(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)
