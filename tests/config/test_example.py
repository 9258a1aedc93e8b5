"""The configuration that the product's page shows, as far as this version has it, loads and means what it says."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from support.config_files import LEAST, loaded

from config.ramps import Ramp
from config.resolve import resolve_ramp
from config.servers import Server, Tls
from config.units import DAY, MILLISECONDS

MINUTE, HOUR = MILLISECONDS["m"], MILLISECONDS["h"]
EXAMPLE = """\
[store]
url = "sqlite:///var/lib/dispatcher/dispatcher.db"

[audience]
active_within = "30d"
activity      = ["product", "order", "support"]
stale_after   = "7d"

[ramps.careful]
start         = 100
growth        = 1.2
ceiling       = 10_000
step          = "1d"
every         = "5m"
hours         = "08:00-20:00"
weekdays      = "mon-fri"
timezone      = "Europe/Berlin"
largest_batch = 200
offset        = "auto"
[ramps.careful.providers.gmail]
start = 50

[ramps.listed]
steps = [200, 500, 1000]
[ramps.quick]
preset = "fast"
step = "20s"
every = "1s"

[senders.support]
channel     = "email"
from        = "Acme Support <support@acme.example>"
reply_to    = "support@acme.example"
server      = "smtp://localhost:25"
username    = "acme"
password    = { credential = "smtp" }
connections = 10
in_doubt    = "resend"
ramp        = "careful"

[frequency]
service     = { most = 2, within = "1d" }
promotional = { most = 1, within = "7d" }
[quiet]
hours = "21:00-08:00"

[retry]
delays = ["30m", "30m", "1h", "2h", "3h"]
give_up_after = "4d"

[http]
admin      = "unix:/run/dispatcher/admin.sock"

[campaigns]
directory = "campaigns"
approval  = false
"""
EVERY_DAY = frozenset(range(7))
CAREFUL = Ramp(start=100, growth=1.2, ceiling=10_000, steps=(), step=DAY, every=5 * MINUTE, hours=(480, 1200),
               weekdays=EVERY_DAY, timezone="UTC", largest_batch=200, offset=None, guard=2.0, cold_after=30 * DAY)


def credentials(folder: Path) -> dict[str, str]:
    (folder / "smtp").write_text("hunter2\n")
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def test_the_example_loads(tmp_path: Path) -> None:
    found = loaded(tmp_path, EXAMPLE, credentials(tmp_path))
    settings, sender = found.settings, found.settings.senders["support"]
    assert found.warnings == ()
    assert settings.store.path == Path("/var/lib/dispatcher/dispatcher.db")
    assert (settings.audience.active_within, settings.audience.stale_after) == (30 * DAY, 7 * DAY)
    assert str(sender.from_) == "Acme Support <support@acme.example>"
    assert str(sender.reply_to) == "support@acme.example"
    assert sender.server == Server("localhost", 25, Tls.OFFERED)
    assert (sender.username, sender.password) == ("acme", SecretStr("hunter2"))
    assert {name: (cap.most, cap.within) for name, cap in settings.frequency.items()} == {
        "service": (2, DAY), "promotional": (1, 7 * DAY)}
    assert settings.quiet.hours == (1260, 480)
    assert settings.retry.delays == (30 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR)
    assert settings.http.socket == Path("/run/dispatcher/admin.sock")
    assert settings.campaigns.directory == tmp_path / "campaigns"


def test_the_examples_ramps_come_to_what_they_say(tmp_path: Path) -> None:
    settings = loaded(tmp_path, EXAMPLE, credentials(tmp_path)).settings
    assert resolve_ramp(settings, "careful", "gmail").start == 50
    assert resolve_ramp(settings, "careful", "yahoo").start == 100
    assert resolve_ramp(settings, "careful", "yahoo").weekdays == frozenset(range(5))
    listed = resolve_ramp(settings, "listed", "gmail")
    assert (listed.steps, listed.start, listed.ceiling) == ((200, 500, 1000), 200, 1000)
    quick = resolve_ramp(settings, "quick", "gmail")
    assert (quick.growth, quick.step, quick.every, quick.hours) == (1.4, 20_000, 1_000, (0, 1440))


def test_what_a_file_leaves_out_has_its_default(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LEAST).settings
    sender = settings.senders["support"]
    assert resolve_ramp(settings, "careful", "other") == CAREFUL
    assert settings.service.stop_within == 30_000
    assert settings.log.level == "info"
    assert settings.store.path == Path("/var/lib/dispatcher/dispatcher.db")
    assert (settings.audience.active_within, settings.audience.stale_after) == (30 * DAY, 7 * DAY)
    assert settings.audience.activity == ("product", "order", "support")
    assert (settings.frequency, settings.quiet.hours) == ({}, None)
    assert settings.retry.delays == (30 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR)
    assert settings.retry.give_up_after == 4 * DAY
    assert settings.http.socket == Path("/run/dispatcher/admin.sock")
    assert (settings.campaigns.directory, settings.campaigns.approval) == (tmp_path / "campaigns", False)
    assert (sender.channel, sender.connections, sender.in_doubt) == ("email", 10, "resend")
    assert (sender.server, sender.username, sender.password) == (Server("localhost", 25, Tls.OFFERED), None, None)
    assert (sender.reply_to, sender.ca_file, sender.helo) == (None, None, None)


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LEAST).settings
    with pytest.raises(ValidationError, match="frozen"):
        settings.campaigns.approval = True      # type: ignore[misc] # that it is refused is the point
