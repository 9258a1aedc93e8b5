"""The reference tables of the documentation, against what the program really has."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.commands import CHECKOUT
from support.markdown import table

from config.load import load_settings
from config.model import Sender, Settings
from config.ramp_table import RampTable, load_presets
from config.ramps import Ramp
from config.replies import RepliesTable
from config.resolve import resolve_ramp
from config.units import DAY
from dispatcher.core.model import Category, SkipReason
from dispatcher.core.ramp import PastStep, allowance
from dispatcher.core.slip_evidence import Cause
from dispatcher.web.metrics import METRICS

DOCS = CHECKOUT / "docs"


def test_every_skip_reason_is_explained() -> None:
    assert {row[0].strip("`") for row in table(DOCS / "operating.md", "reason")} == set(SkipReason)


def test_every_cause_of_a_slip_is_explained() -> None:
    assert {row[0].strip("`") for row in table(DOCS / "reports.md", "cause")} == set(Cause)


def full_steps(ramp: Ramp) -> list[int]:
    """The allowances of a lane that is full every day, up to the ceiling."""
    past: list[PastStep] = []
    while not past or past[-1].allowance < ramp.ceiling:
        start = len(past) * DAY
        allowed = allowance(ramp, past, start).value
        past.append(PastStep(start, start + DAY, allowed, allowed))
    return [step.allowance for step in past]


@pytest.mark.parametrize("page", [CHECKOUT / "README.md", DOCS / "ramp.md"], ids=lambda page: page.name)
def test_the_timetable_is_what_the_ramp_gives(page: Path) -> None:
    ramp = resolve_ramp(load_settings(CHECKOUT / "deploy" / "dispatcher.toml", {}), "careful", "other")
    slots = (ramp.hours[1] - ramp.hours[0]) * 60_000 // ramp.every
    cells = [int(cell.replace(",", "")) for row in table(page, "day") for cell in row]
    shown = sorted(tuple(cells[i:i + 3]) for i in range(0, len(cells), 3))
    real = full_steps(ramp)
    assert len(shown) > 5
    assert shown == [(day, real[day - 1], -(-real[day - 1] // slots)) for day, _, _ in shown]


def test_the_presets_reach_ten_thousand_on_the_days_that_the_page_names() -> None:
    growths = [preset.growth for preset in load_presets().presets.values()]
    ramp = resolve_ramp(load_settings(CHECKOUT / "deploy" / "dispatcher.toml", {}), "careful", "other")
    days = [len(full_steps(replace(ramp, growth=growth))) for growth in growths if growth is not None]
    assert days == [27, 19, 15]
    text = " ".join((DOCS / "ramp.md").read_text().split())
    assert "reaches its ceiling of 10,000 on day 27." in text
    assert "`standard` and `fast` reach 10,000 on days 19 and 15." in text


def keys_of(table_name: str) -> dict[str, str | None]:
    """The keys of a table and their defaults as they would be written; None where there is none."""
    if table_name == "frequency":
        return dict.fromkeys(category for category in Category if category != Category.CRITICAL)
    if table_name == "ramps.NAME":
        presets = load_presets()
        shown = {name: None for name in RampTable.model_fields if name != "providers"}
        return shown | {"preset": RampTable.model_fields["preset"].default} | {
            name: value for layer in (presets.defaults, presets.presets["careful"])
            for name, value in layer.model_dump(mode="json", include=set(layer.layer)).items()}
    if table_name == "senders.NAME":
        given = {"from": "a@b.example", "ramp": "r"}
        model, plain = Sender, Sender.model_validate(given).model_dump(mode="json", by_alias=True)
        plain |= dict.fromkeys(given, "required")
    elif table_name == "replies.ADDRESS":
        model, plain = RepliesTable, dict.fromkeys(RepliesTable.model_fields, "required")
    else:
        model = Settings.model_fields[table_name].annotation
        plain = model.model_validate({}).model_dump(mode="json")
    return {field.alias or name: plain[field.alias or name] for name, field in model.model_fields.items()}


def written(value: object) -> str:
    """A default as the page shows it."""
    if value is None or value == "required":
        return value or ""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000:
        return f"`{value:_}`"
    return f"`{json.dumps(value)}`"


def documented() -> dict[str, dict[str, str]]:
    """The tables of the configuration page: key -> default, as they stand there."""
    sections = re.split(r"^## `\[(.+)\]`$", (DOCS / "configuration.md").read_text(), flags=re.MULTILINE)
    return {name: {found[1]: found[2].strip() for found in re.finditer(r"^\| `(\w+)` \|([^|]*)\|", body, re.MULTILINE)}
            for name, body in zip(sections[1::2], sections[2::2], strict=True)}


def test_the_configuration_page_has_every_table() -> None:
    assert sorted(documented()) == sorted({"ramps": "ramps.NAME", "senders": "senders.NAME",
                                           "replies": "replies.ADDRESS"}.get(name, name)
                                          for name in Settings.model_fields)


@pytest.mark.parametrize("name", documented())
def test_the_configuration_page_has_every_key_with_its_default(name: str) -> None:
    real = {key: written(default) for key, default in keys_of(name).items()}
    if name == "campaigns":
        real["directory"] = '`"campaigns"`'     # made absolute when read
    assert documented()[name] == real


def test_the_operating_page_has_every_metric() -> None:
    shown = table(DOCS / "operating.md", "metric")
    assert shown == [
        [f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.meaning] for one in METRICS
    ]


def test_every_promise_of_the_readme_names_tests_that_exist() -> None:
    rows = table(CHECKOUT / "README.md", "promise")
    assert len(rows) == 14
    for _, tested in rows:
        named = re.findall(r"`(tests/[\w/.]+)`", tested)
        assert named
        assert all((CHECKOUT / name).exists() for name in named)
