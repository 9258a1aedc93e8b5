"""Configuration files for tests: the least that loads, and what a text's faults are."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from config.faults import ConfigFaults
from config.load import Loaded, load

LEAST = """\
[ramps.careful]
[senders.support]
from = "support@acme.example"
ramp = "careful"
"""


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    file = folder / "dispatcher.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, environ or {})


def faults(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The refusal's lines, each from `dispatcher.toml:` on."""
    with pytest.raises(ConfigFaults) as refused:
        loaded(folder, text, environ)
    return [str(fault).removeprefix(f"{folder}/") for fault in refused.value.faults]


def only_fault(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> str:
    found = faults(folder, text, environ)
    assert len(found) == 1, found
    return found[0]
