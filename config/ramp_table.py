"""A ramp as it is written, [ramps.NAME] and its providers, and what it comes to for one provider.

Four layers lie over each other, key by key: the defaults and the preset (presets/ramps.toml), the ramp's own keys, the
provider's. A layer with `steps` takes the place of `start` and `growth` below it, and the other way round. Rules
between keys are judged on what the layers come to, for the ramp itself and for each provider; a fault stands at the
most specific key that takes part in it. Nothing here reads a file but load_presets, once.
"""

import tomllib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from config.faults import Placed, any_of, nearest, placed
from config.fields import (
    BatchSize,
    Count,
    Duration,
    Every,
    Growth,
    Guard,
    Hours,
    Offset,
    Step,
    Table,
    Timezone,
    Weekdays,
)
from config.lines import Key
from config.providers import load_providers
from config.ramps import Ramp
from config.units import DAY, MILLISECONDS, format_duration

Layer = Mapping[str, Any]
_DEFAULTS, _PRESET, _RAMP, _PROVIDER = range(4)
_WHOLE_DAY: Final = (0, 1440)
_INSTEAD_OF_STEPS: Final = ("start", "growth")


def _rising(steps: tuple[int, ...]) -> tuple[int, ...]:
    for before, after in pairwise(steps):
        if after <= before:
            raise ValueError(f"must rise from each to the next; {after} comes after {before}")
    return steps


def _preset(name: str) -> str:
    presets = load_presets().presets
    if name not in presets:
        raise ValueError(f"is no preset{nearest(name, presets)}; the presets are {any_of(presets)}")
    return name


def _provider(name: str) -> str:
    known = load_providers().names
    if name not in known:
        raise ValueError(f"is no provider{nearest(name, known)}; the providers are {any_of(known)}")
    return name


Steps = Annotated[tuple[Count, ...], Field(strict=False, min_length=1, max_length=1000), AfterValidator(_rising)]


class RampKeys(Table):
    """The keys that a ramp and each of its providers may set; None is "not set here"."""

    start: Count | None = None
    growth: Growth | None = None
    ceiling: Count | None = None
    steps: Steps | None = None
    step: Step | None = None
    every: Every | None = None
    hours: Hours | None = None
    weekdays: Weekdays | None = None
    timezone: Timezone | None = None
    largest_batch: BatchSize | None = None
    offset: Offset = None
    guard: Guard | None = None
    cold_after: Duration | None = None

    @property
    def layer(self) -> Layer:
        """What is set here, and nothing else."""
        return {name: getattr(self, name) for name in RampKeys.model_fields if name in self.model_fields_set}


class _RampTable(RampKeys):
    """[ramps.NAME], each key by itself."""

    preset: Annotated[str, AfterValidator(_preset)] = "careful"
    providers: dict[Annotated[str, AfterValidator(_provider)], RampKeys] = Field(default_factory=dict)


class RampTable(_RampTable):
    """[ramps.NAME]."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        faults = list(_faults(self))
        if faults:
            raise placed(faults)
        return self


class PresetFile(Table):
    """presets/ramps.toml."""

    defaults: RampKeys
    presets: dict[str, RampKeys]


@dataclass(frozen=True, slots=True)
class Laid:
    """The layers laid over each other: the ramp, and which layer each key came from."""

    ramp: Ramp
    origins: Mapping[str, int]


@cache
def load_presets() -> PresetFile:
    """The ramps' defaults and presets that come with the package."""
    text = resources.files("config").joinpath("presets/ramps.toml").read_text(encoding="utf-8")
    return PresetFile.model_validate(tomllib.loads(text))


def resolve_table(table: _RampTable, provider: str = "") -> Laid:
    """A ramp's table for one provider; "" is the ramp itself."""
    presets = load_presets()
    layers = [presets.defaults.layer, presets.presets[table.preset].layer, table.layer]
    if provider in table.providers:
        layers.append(table.providers[provider].layer)
    return _lay(layers)


def faults_between(data: Mapping[str, Any]) -> Iterator[Placed]:
    """The faults between the keys of a raw [ramps.NAME] that has others at single keys, so that all are told at once.

    Nothing is guessed: what a wrong key, or one that an unknown key may have meant, takes part in is left out.
    """
    try:
        _RampTable.model_validate(data)
    except ValidationError as error:
        wrong = {str(detail["loc"][0]) for detail in error.errors()}
    else:
        return      # RampTable tells them
    unsure = wrong.union(*(get_close_matches(name, RampKeys.model_fields, n=1) for name in wrong))
    if "step" in unsure:
        unsure |= {"hours", "every"}
    rest = _RampTable.model_validate({name: value for name, value in data.items() if name not in wrong})
    yield from _faults(rest, unsure)


def _lay(layers: list[Layer]) -> Laid:
    values: dict[str, Any] = {}
    origins: dict[str, int] = {}
    for level, layer in enumerate(layers):
        if "steps" in layer or any(key in layer for key in _INSTEAD_OF_STEPS):
            for key in _INSTEAD_OF_STEPS if "steps" in layer else ("steps",):
                origins.pop(key, None)
        values.update(layer)
        origins.update(dict.fromkeys(layer, level))
    if values["step"] < DAY and origins["hours"] < _RAMP:
        values["hours"] = _WHOLE_DAY
    if "steps" in origins:
        values["start"] = values["steps"][0]
        if origins["ceiling"] < _RAMP:
            values["ceiling"] = values["steps"][-1]
    else:
        values["steps"] = ()
    return Laid(Ramp(**values), MappingProxyType(origins))


def _faults(table: _RampTable, unsure: AbstractSet[str] = frozenset()) -> Iterator[Placed]:
    """Every fault between the keys of a ramp that are sure, each at the key below [ramps.NAME] that is at fault."""
    yield from _excluded((), table.layer, preset="preset" in table.model_fields_set)
    laid = resolve_table(table)
    for problem in _problems(laid):
        if unsure.isdisjoint(problem[0]):
            yield from _place(problem, laid, _RAMP, ())
    for name, keys in table.providers.items():
        yield from _excluded(("providers", name), keys.layer, preset=False)
        laid = resolve_table(table, name)
        for problem in _problems(laid):
            if unsure.isdisjoint(problem[0]):
                yield from _place(problem, laid, _PROVIDER, ("providers", name))


def _excluded(prefix: Key, layer: Layer, *, preset: bool) -> Iterator[Placed]:
    if "steps" not in layer:
        return
    for key in _INSTEAD_OF_STEPS:
        if key in layer:
            yield (*prefix, key), "stands beside steps, which says all that it says; leave one of them out"
    if preset:
        yield (*prefix, "preset"), "stands beside steps, which leaves it nothing to say; leave one of them out"


def _place(problem: tuple[tuple[str, ...], str], laid: Laid, level: int, prefix: Key) -> Iterator[Placed]:
    """At the key that was set most specifically; a fault that a provider only inherits stands at the ramp's own key."""
    keys, words = problem
    key = max(keys, key=lambda name: laid.origins.get(name, -1))     # the first of equals
    if laid.origins.get(key, -1) >= level:
        yield (*prefix, key), words


def _problems(laid: Laid) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with a complete ramp: the keys that take part, the likeliest culprit first, and the words."""
    ramp, every = laid.ramp, format_duration(laid.ramp.every)
    if ramp.ceiling < ramp.start:
        first = "the first of steps" if ramp.steps else "start"
        yield ("ceiling", "steps", "start"), f"the ceiling, {ramp.ceiling}, is below {first}, {ramp.start}"
    if ramp.hours[1] < ramp.hours[0]:
        yield ("hours",), 'must not pass midnight: a step ends there; write "08:00-20:00" or "00:00-24:00"'
    elif ramp.step < DAY:
        yield from _problems_of_a_short_step(ramp)
    elif ramp.every > _window(ramp):
        window = format_duration(_window(ramp))
        yield ("every", "hours"), f'a slot every "{every}" does not fit into the hours, which last "{window}"'
    if ramp.offset is not None and ramp.offset * 2 > ramp.every:
        offset = format_duration(ramp.offset)
        yield ("offset", "every"), f'an offset of "{offset}" is more than half of every, "{every}"; or write "auto"'


def _problems_of_a_short_step(ramp: Ramp) -> Iterator[tuple[tuple[str, ...], str]]:
    step, every = format_duration(ramp.step), format_duration(ramp.every)
    if DAY % ramp.step:
        yield ("step",), f'"{step}" does not divide a day; write "1d", or what fits into it a whole number of times'
    if ramp.hours != _WHOLE_DAY:
        yield ("hours", "step"), f'hours must be "00:00-24:00", or left out: a step of "{step}" goes on all day'
    if ramp.step % ramp.every:
        yield ("every", "step"), f'a slot every "{every}" does not fit a whole number of times into the step, "{step}"'


def _window(ramp: Ramp) -> int:
    return (ramp.hours[1] - ramp.hours[0]) * MILLISECONDS["m"]
