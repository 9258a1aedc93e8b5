"""Drills of a few customers, written as their files are."""

from pathlib import Path

from dispatcher.drill.file import Drill, read_drill
from dispatcher.drill.main import run_drill

SMALL = """\
start = "2026-03-02 07:00"
days = 2
timezone = "UTC"
exact = true

[ramps.careful]
start = 60
every = "30m"
timezone = "UTC"
offset = "0s"

[senders.support]
from = "Acme <support@acme.example>"
ramp = "careful"

[customers]
count = 40
providers = { gmail = 0.5, outlook = 0.5 }

[[sends]]
id = "delay"
at = "day 1 07:30"
"""

SHORT = SMALL.replace("days = 2", 'until = "day 1 21:00"').replace("count = 40", "count = 24")


def written(folder: Path, text: str = SMALL, *more: str) -> Path:
    """A drill file."""
    path = folder / "drill.toml"
    path.write_text("\n".join([text, *more]))
    return path


def drilled(folder: Path, *more: str, text: str = SHORT) -> dict:
    """What the short drill comes to, with more in its file."""
    return run_drill(drill(folder, *more, text=text))


def drill(folder: Path, *more: str, text: str = SMALL) -> Drill:
    return read_drill(written(folder, text, *more))


def event(at: str, kind: str, **keys: object) -> str:
    """An event, as a file has it."""
    lines = [f"{name.rstrip('_')} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
             for name, value in keys.items()]
    return "\n".join(["[[events]]", f'at = "{at}"', f'kind = "{kind}"', *lines])


def failed(result: dict) -> list[str]:
    """The promises and expectations that did not hold."""
    return [f"{one['promise']}: {one['name']}; {one['figures']}"
            for one in (*result["checks"], *result["expected"]) if not one["ok"]]


def happened(result: dict, *words: str) -> list[tuple[str, str]]:
    """When, and what, of the entries that hold one of these words."""
    return [(one["when"], one["what"]) for one in result["timeline"] if any(word in one["what"] for word in words)]
