"""What the demo's ops would have written: dispatcher.toml and the campaigns, in a folder of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dispatcher.demo.people import MAILINGS, Mailing

STARTS: Final[Mapping[str, int]] = {"support": 60, "news": 30}
"""The allowance of each sender's first step."""
GROWTH: Final = 1.5
SLOT: Final = 1_000
"""Milliseconds of a slot."""

_CONFIG: Final = """\
[store]
url = "sqlite:///{folder}/store.db"

[service]
stop_within = "5s"

[http]
admin = "unix:{folder}/admin.sock"

[campaigns]
directory = "campaigns"
"""
_SENDER: Final = """
[ramps.{name}]
start         = {start}
growth        = {growth}
ceiling       = 100_000
step          = "{step}s"
every         = "{slot}ms"
hours         = "00:00-24:00"
timezone      = "UTC"
largest_batch = 1_000
offset        = "0s"

[senders.{name}]
from        = "Acme {title} <{name}@acme.example>"
server      = "smtp://127.0.0.1:{port}"
connections = 4
ramp        = "{name}"
"""
_WORDS: Final[Mapping[str, str]] = {
    "delay": '''
[email]
subject = "Your delivery may be late, {{ customer.name }}"
text = """
Dear {{ customer.name }},

the river is high in {{ segment }}, and our van is slow. Your delivery may be a day late.
"""
[email.segments."DE/Berlin"]
subject = "Flooding in Berlin: your delivery will be late"
''',
    "spring": '''
[email]
subject = "{{ customer.name }}, spring is in"
text = """
Dear {{ customer.name }},

what is new for everyone on {{ segment }}.
"""
html = """
<p>Dear {{ customer.name }},</p>
<p>what is new for everyone on <b>{{ segment }}</b>.</p>
"""
''',
}


def write(folder: Path, port: int, step: int) -> Path:
    """Write configuration and campaigns for a mail server on a port of loopback and steps of so many seconds."""
    config = folder / "dispatcher.toml"
    senders = (
        _SENDER.format(name=name, title=name.title(), start=start, growth=GROWTH, step=step, slot=SLOT, port=port)
        for name, start in STARTS.items()
    )
    config.write_text(_CONFIG.format(folder=folder) + "".join(senders), encoding="utf-8")
    for mailing in MAILINGS:
        place = folder / "campaigns" / mailing.id
        place.mkdir(parents=True)
        (place / "campaign.toml").write_text(_campaign(mailing), encoding="utf-8")
    return config


def _campaign(mailing: Mailing) -> str:
    segments = ", ".join(f'"{segment}"' for segment in mailing.segments)
    return f"""\
id         = "{mailing.id}"
category   = "{"promotional" if mailing.promotional else "service"}"
senders    = ["{mailing.sender}"]
segment_by = "{mailing.segment_by}"
segments   = [{segments}]
{_WORDS[mailing.id]}"""
