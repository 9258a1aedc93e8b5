"""What a ramp comes to: defaults, preset, its own keys and its providers', laid over each other."""

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.ramp_table import RampTable, load_presets, resolve_table
from config.ramps import Ramp
from config.units import DAY

CAREFUL = Ramp(start=100, growth=1.2, ceiling=10_000, steps=(), step=DAY, every=300_000, hours=(480, 1200),
               weekdays=frozenset(range(7)), timezone="UTC", largest_batch=200, offset=None, guard=2.0,
               cold_after=30 * DAY)


def resolved(text: str, provider: str = "") -> Ramp:
    return resolve_table(RampTable.model_validate(tomllib.loads(text)), provider).ramp


@pytest.mark.parametrize(("text", "provider", "changed"), [
    ("", "", {}),
    ("preset = 'careful'", "", {}),
    ("preset = 'standard'", "", {"growth": 1.3}),
    ("preset = 'fast'", "", {"growth": 1.4}),
    ("preset = 'fast'\ngrowth = 1.1", "", {"growth": 1.1}),
    ("growth = 1", "", {"growth": 1.0}),
    ("start = 50\nproviders.gmail.start = 20", "", {"start": 50}),
    ("start = 50\nproviders.gmail.start = 20", "yahoo", {"start": 50}),
    ("start = 50\nproviders.gmail.start = 20", "gmail", {"start": 20}),
    ("preset = 'fast'\nproviders.gmail.start = 20", "gmail", {"start": 20, "growth": 1.4}),
    ("step = '1h'", "", {"step": 3_600_000, "hours": (0, 1440)}),
    ("step = '1h'\nhours = '00:00-24:00'", "", {"step": 3_600_000, "hours": (0, 1440)}),
    ("providers.gmail.step = '1h'", "gmail", {"step": 3_600_000, "hours": (0, 1440)}),
    ("providers.gmail.step = '1h'", "", {}),
    ("step = '1h'\nproviders.gmail.step = '1d'", "gmail", {}),
    ("hours = '00:00-24:00'", "", {"hours": (0, 1440)}),
    ("steps = [20, 50]", "", {"steps": (20, 50), "start": 20, "ceiling": 50}),
    ("steps = [20, 50]\nceiling = 40", "", {"steps": (20, 50), "start": 20, "ceiling": 40}),
    ("steps = [20_000, 50_000]", "", {"steps": (20_000, 50_000), "start": 20_000, "ceiling": 50_000}),
    ("start = 10\nproviders.gmail.steps = [20, 50]", "gmail", {"steps": (20, 50), "start": 20, "ceiling": 50}),
    ("steps = [20, 50]\nproviders.gmail.start = 10", "gmail", {"start": 10}),
    ("steps = [20, 50]\nproviders.gmail.growth = 1.1", "gmail", {"growth": 1.1}),
    ("steps = [20, 50]\nproviders.gmail.every = '10m'", "gmail",
     {"steps": (20, 50), "start": 20, "ceiling": 50, "every": 600_000}),
    ("offset = '0s'", "", {"offset": 0}),
    ("offset = '150s'", "", {"offset": 150_000}),
    ("offset = '30s'\nproviders.gmail.offset = 'auto'", "gmail", {}),
    ("weekdays = 'mon-fri'\ntimezone = 'Europe/Berlin'", "",
     {"weekdays": frozenset(range(5)), "timezone": "Europe/Berlin"}),
    ("guard = 1.5\ncold_after = '10d'\nlargest_batch = 1", "",
     {"guard": 1.5, "cold_after": 10 * DAY, "largest_batch": 1}),
    ("start = 864000\nceiling = 2000000\nevery = '1s'\nhours = '00:00-24:00'\noffset = '0s'", "",
     {"start": 864_000, "ceiling": 2_000_000, "every": 1_000, "hours": (0, 1440), "offset": 0}),
    ("every = '12h'", "", {"every": 43_200_000}),
    ("every = '100ms'\nstep = '1s'", "", {"every": 100, "step": 1_000, "hours": (0, 1440)}),
    ("start = 100\nceiling = 100", "", {"ceiling": 100}),
])
def test_keys_lie_over_each_other(text: str, provider: str, changed: dict[str, object]) -> None:
    assert resolved(text, provider) == replace(CAREFUL, **changed)


def test_the_presets_are_as_documented() -> None:
    assert {name: keys.layer for name, keys in load_presets().presets.items()} == {
        "careful": {"growth": 1.2}, "standard": {"growth": 1.3}, "fast": {"growth": 1.4}}


def keys() -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional={
        "start": st.sampled_from([1, 50, 100, 20_000]), "growth": st.sampled_from([1.0, 1.5, 1.99]),
        "ceiling": st.sampled_from([1, 60, 10_000]), "steps": st.sampled_from([[1], [10, 20], [100, 50_000]]),
        "step": st.sampled_from(["1d", "1h", "7h", "20s"]), "every": st.sampled_from(["1s", "5m", "7m", "13h"]),
        "hours": st.sampled_from(["00:00-24:00", "08:00-20:00", "08:00-08:05", "20:00-08:00"]),
        "offset": st.sampled_from(["auto", "0s", "1s", "4m"]),
    })


@given(keys(), st.dictionaries(st.sampled_from(["gmail", "yahoo"]), keys(), max_size=2))
def test_what_is_not_refused_keeps_every_rule_for_every_provider(
    own: dict[str, object], providers: dict[str, dict[str, object]],
) -> None:
    try:
        table = RampTable.model_validate(own | {"providers": providers})
    except ValidationError:
        return
    for provider in ("", *providers):
        ramp = resolve_table(table, provider).ramp
        opens, closes = ramp.hours
        assert 1 <= ramp.start <= ramp.ceiling
        assert opens < closes
        assert ramp.every <= min(ramp.step, (closes - opens) * 60_000)
        assert ramp.step == DAY or (DAY % ramp.step == 0 and ramp.step % ramp.every == 0 and ramp.hours == (0, 1440))
        assert ramp.offset is None or ramp.offset * 2 <= ramp.every
        assert not ramp.steps or ramp.start == ramp.steps[0]
