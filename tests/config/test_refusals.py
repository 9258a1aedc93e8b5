"""Every rule of the file: what breaks it is refused, at its line, with its key and what is allowed."""

from pathlib import Path

import pytest
from support.config_files import LEAST, faults, loaded, only_fault

RAMP = "[ramps.careful]\n{}\n[senders.support]\nfrom = 'support@acme.example'\nramp = 'careful'\n"
SENDER = "[ramps.careful]\n[senders.support]\nfrom = 'support@acme.example'\nramp = 'careful'\n{}\n"


@pytest.mark.parametrize(("line", "key", "problem"), [
    ("start = 0", "start", "must be from 1 to 1000000000, not 0"),
    ("start = -5", "start", "must be from 1 to 1000000000, not -5"),
    ("start = 1.5", "start", "must be a whole number, not a number"),
    ("start = 100.0", "start", "must be a whole number, not a number"),
    ("start = '100'", "start", "must be a whole number, not a text"),
    ("start = true", "start", "must be a whole number, not true or false"),
    ("start = [1]", "start", "must be a whole number, not a list"),
    ("start = {}", "start", "must be a whole number, not a table"),
    ("start = 2026-01-01", "start", "must be a whole number, not a date or time"),
    ("start = 0x" + "f" * 5000, "start", "must be from 1 to 1000000000"),
    ("growth = 2", "growth", "must be at least 1.0 and below 2.0, not 2.0"),
    ("growth = 0.99", "growth", "must be at least 1.0 and below 2.0, not 0.99"),
    ("growth = -1.2", "growth", "must be at least 1.0 and below 2.0, not -1.2"),
    ("growth = nan", "growth", "must be at least 1.0 and below 2.0"),
    ("growth = inf", "growth", "must be at least 1.0 and below 2.0"),
    ("growth = '1.2'", "growth", "must be a number, not a text"),
    ("ceiling = 0", "ceiling", "must be from 1 to"),
    ("ceiling = 50", "ceiling", "the ceiling, 50, is below start, 100"),
    ("start = 20_000", "start", "the ceiling, 10000, is below start, 20000"),
    ("steps = []", "steps", "must not be empty"),
    ("steps = [0, 1]", "steps[0]", "must be from 1 to"),
    ("steps = [1, '2']", "steps[1]", "must be a whole number, not a text"),
    ("steps = [100, 100]", "steps", "must rise from each to the next; 100 comes after 100"),
    ("steps = [200, 100]", "steps", "must rise from each to the next; 100 comes after 200"),
    ("steps = 5", "steps", "must be a list, not a whole number"),
    ("step = '0s'", "step", 'must be from "1s" to "1d"'),
    ("step = '2d'", "step", 'must be from "1s" to "1d"'),
    ("step = '7h'\nevery = '1m'", "step", '"7h" does not divide a day'),
    ("step = 5", "step", 'must be a text such as "5m", not a whole number'),
    ("step = '1 d'", "step", "is no duration; write a whole number and a unit"),
    ("step = '2m'", "step", 'a slot every "5m" does not fit a whole number of times into the step, "2m"'),
    ("every = 'soon'", "every", "is no duration; write a whole number and a unit"),
    ("every = '99ms'", "every", 'must be from "100ms" to "1d"'),
    ("every = '13h'", "every", 'a slot every "13h" does not fit into the hours, which last "12h"'),
    ("hours = '08:00-08:02'", "hours", 'a slot every "5m" does not fit into the hours, which last "2m"'),
    ("hours = '8-20'", "hours", 'are no hours; write "08:00-20:00"'),
    ("hours = '20:00-08:00'", "hours", "must not pass midnight"),
    ("weekdays = ''", "weekdays", "are no weekdays"),
    ("weekdays = 'monday'", "weekdays", "are no weekdays"),
    ("weekdays = ['mon']", "weekdays", 'must be a text such as "mon-sun", not a list'),
    ("timezone = 'Europe/Berln'", "timezone", 'is no time zone (did you mean "Europe/Berlin"?)'),
    ("timezone = 'Europe'", "timezone", "is no time zone"),
    ("timezone = ''", "timezone", "is no time zone"),
    ("timezone = '../UTC'", "timezone", "is no time zone"),
    ("timezone = 'localtime'", "timezone", "is no time zone"),
    ("timezone = '/etc/localtime'", "timezone", "is no time zone"),
    ('timezone = "a\\u0000b"', "timezone", "is no time zone"),
    ("largest_batch = 0", "largest_batch", "must be from 1 to 100000, not 0"),
    ("largest_batch = 100_001", "largest_batch", "must be from 1 to 100000, not 100001"),
    ("offset = '3m'", "offset", 'an offset of "3m" is more than half of every, "5m"'),
    ("offset = 'none'", "offset", "is no duration"),
    ("offset = 0", "offset", 'must be a text such as "auto", not a whole number'),
    ("guard = 1.0", "guard", "must be above 1.0"),
    ("guard = inf", "guard", "must be above 1.0"),
    ("cold_after = '0d'", "cold_after", 'must be from "1s" to "3660d"'),
    ("preset = 'carefull'", "preset",
     'is no preset (did you mean "careful"?); the presets are "careful", "standard" or "fast"'),
    ("groth = 1.2", "groth", 'is no key here (did you mean "growth"?); the keys here are start, growth, ceiling'),
    ("providers = 5", "providers", "must be a table, not a whole number"),
    ("providers.gmial.start = 5", "providers.gmial", 'is no provider (did you mean "gmail"?)'),
    ("providers.gmail.preset = 'fast'", "providers.gmail.preset", "is no key here"),
    ("providers.gmail.growth = 2.0", "providers.gmail.growth", "must be at least 1.0 and below 2.0"),
    ("providers.gmail.start = 20_000", "providers.gmail.start", "the ceiling, 10000, is below start, 20000"),
    ("providers.gmail.ceiling = 50", "providers.gmail.ceiling", "the ceiling, 50, is below start, 100"),
    ("providers.gmail.steps = [2]\nproviders.gmail.start = 1", "providers.gmail.start", "stands beside steps"),
])
def test_a_ramp_that_cannot_be_meant_is_refused(tmp_path: Path, line: str, key: str, problem: str) -> None:
    found = only_fault(tmp_path, RAMP.format(line))
    at = 3 if "\n" in line and line.endswith(key.rpartition(".")[2] + " = 1") else 2
    assert found.startswith(f"dispatcher.toml:{at}: ramps.careful.{key}: {problem}")


@pytest.mark.parametrize(("lines", "line", "key", "problem"), [
    (["ceiling = 10", "start = 20"], 2, "ceiling", "the ceiling, 10, is below start, 20"),
    (["steps = [20, 30]", "ceiling = 10"], 3, "ceiling", "the ceiling, 10, is below the first of steps, 20"),
    (["steps = [20, 30]", "start = 10"], 3, "start", "stands beside steps"),
    (["growth = 1.1", "steps = [20, 30]"], 2, "growth", "stands beside steps"),
    (["preset = 'fast'", "steps = [20, 30]"], 2, "preset", "stands beside steps"),
    (["step = '1h'", "hours = '08:00-20:00'"], 3, "hours", 'hours must be "00:00-24:00", or left out'),
    (["every = '7m'", "step = '1h'"], 2, "every", 'a slot every "7m" does not fit a whole number of times'),
    (["every = '2h'", "step = '1h'"], 2, "every", 'a slot every "2h" does not fit a whole number of times'),
    (["every = '10m'", "hours = '10:00-10:05'"], 2, "every", 'a slot every "10m" does not fit into the hours'),
    (["offset = '31s'", "every = '1m'"], 2, "offset", 'an offset of "31s" is more than half of every, "1m"'),
    (["hours = '08:00-20:00'", "[ramps.careful.providers.gmail]", "step = '1h'"], 4, "providers.gmail.step",
     'hours must be "00:00-24:00"'),
    (["offset = '2m'", "[ramps.careful.providers.gmail]", "every = '1m'"], 4, "providers.gmail.every",
     'an offset of "2m" is more than half'),
])
def test_ramp_keys_that_do_not_go_together_are_refused_at_the_most_specific(
    tmp_path: Path, lines: list[str], line: int, key: str, problem: str,
) -> None:
    found = only_fault(tmp_path, RAMP.format("\n".join(lines)))
    assert found.startswith(f"dispatcher.toml:{line}: ramps.careful.{key}: {problem}")


def test_a_fault_that_a_provider_only_inherits_is_told_once(tmp_path: Path) -> None:
    lines = "ceiling = 10\n[ramps.careful.providers.gmail]\nevery = '10m'\n[ramps.careful.providers.yahoo]\nguard = 3.0"
    assert only_fault(tmp_path, RAMP.format(lines)).startswith("dispatcher.toml:2: ramps.careful.ceiling: ")


@pytest.mark.parametrize(("line", "key", "problem"), [
    ("channel = 'sms'", "channel", 'is no channel of this version, which has "email"'),
    ("channel = 5", "channel", 'is no channel of this version, which has "email"'),
    ("account_sid = 'AC'", "account_sid", "is no key here; the keys here are from, ramp, channel, reply_to, server"),
    ("conections = 5", "conections", 'is no key here (did you mean "connections"?)'),
    ("from_ = 'a@b.example'", "from_", 'is no key here (did you mean "from"?)'),
    ("reply_to = 'support@acme'", "reply_to", "has a domain without a dot"),
    ("reply_to = 'üser@acme.example'", "reply_to", "must be ASCII before the @"),
    ("reply_to = 5", "reply_to", 'must be a text such as "Acme Support <support@acme.example>", not a whole number'),
    ('reply_to = "a\\r\\nBcc: x@y.example"', "reply_to", "holds a line break (U+000D)"),
    ("server = 'http://localhost'", "server", "has an unknown scheme"),
    ("server = 'smtp://acme:hunter2@localhost'", "server", "holds a user name; write it as username and password"),
    ("server = 25", "server", 'must be a text such as "smtp://localhost:25", not a whole number'),
    ("connections = 0", "connections", "must be from 1 to 1000, not 0"),
    ("connections = 1001", "connections", "must be from 1 to 1000, not 1001"),
    ("in_doubt = 'maybe'", "in_doubt", 'must be "resend" or "hold"'),
    ("username = 'acme'", "username", "needs a password beside it"),
    ("password = { env = 'SECRET' }", "password", "needs a username beside it"),
    ("username = ''", "username", "is empty"),
    ("ca_file = 'missing.pem'", "ca_file", "cannot be read: there is no file"),
    ("ca_file = '.'", "ca_file", "cannot be read: there is no file"),
    ("ca_file = 'dispatcher.toml'", "ca_file", "holds no certificate"),
    ("ca_file = ''", "ca_file", "is empty; write a path"),
    ("helo = 'two words'", "helo", "is no host name"),
    ("helo = ''", "helo", "is no host name"),
])
def test_a_sender_that_cannot_be_meant_is_refused(tmp_path: Path, line: str, key: str, problem: str) -> None:
    found = only_fault(tmp_path, SENDER.format(line), {"SECRET": "hunter2"})
    assert found.startswith(f"dispatcher.toml:5: senders.support.{key}: {problem}")
    assert "hunter2" not in found


@pytest.mark.parametrize(("lines", "line", "key", "problem"), [
    ("connections = 5", 6, "connections", "means nothing to direct://, which keeps to the bounds of each provider"),
    ("username = 'acme'\npassword = { env = 'SECRET' }", 6, "username", "means nothing to direct://"),
])
def test_a_direct_sender_has_neither_an_account_nor_connections_of_its_own(
    tmp_path: Path, lines: str, line: int, key: str, problem: str,
) -> None:
    found = only_fault(tmp_path, SENDER.format(f"server = 'direct://'\n{lines}"), {"SECRET": "hunter2"})
    assert found.startswith(f"dispatcher.toml:{line}: senders.support.{key}: {problem}")


def test_a_direct_sender_without_a_name_to_greet_with_is_worth_a_warning(tmp_path: Path) -> None:
    warned = [loaded(tmp_path, SENDER.format(f"server = 'direct://'\n{line}")).warnings
              for line in ("", "helo = 'mail.acme.example'")]
    assert [str(one).partition(": is direct")[0].rpartition("/")[2] for one in warned[0]] == [
        "dispatcher.toml:5: senders.support.server"]
    assert warned[1] == ()


@pytest.mark.parametrize(("server", "clear"), [
    ("smtp://mail.acme.example?tls=off", True), ("smtp://localhost?tls=off", False), ("smtp://[::1]?tls=off", False),
    ("smtp://mail.acme.example", False), ("smtps://mail.acme.example", False),
])
def test_a_password_never_leaves_the_machine_in_clear(tmp_path: Path, server: str, clear: bool) -> None:  # noqa: FBT001 -- a table's column
    text = SENDER.format(f"server = '{server}'\nusername = 'acme'\npassword = {{ env = 'SECRET' }}")
    if clear:
        assert "would send the password in clear" in only_fault(tmp_path, text, {"SECRET": "hunter2"})
    else:
        assert loaded(tmp_path, text, {"SECRET": "hunter2"}).settings.senders["support"].username == "acme"


@pytest.mark.parametrize(("lines", "line", "key", "problem"), [
    ("[stor]", 1, "stor", 'is no key here (did you mean "store"?)'),
    ("store = 5", 1, "store", "must be a table, not a whole number"),
    ("store = [5]", 1, "store", "must be a table, not a list"),
    ("[store]\nurl = 'mysql://x'", 2, "store.url", "is no store"),
    ("[store]\nurl = 'postgres://user@host/db'", 2, "store.url", 'names PostgreSQL otherwise than "postgresql://"'),
    ("[store]\nurl = 'postgresql+asyncpg://user@host/db'", 2, "store.url", "names PostgreSQL otherwise than"),
    ("[store]\nurl = 'sqlite://'", 2, "store.url", "names no file, and a store in memory"),
    ("[store]\nurl = 'sqlite:///'", 2, "store.url", "names no file, and a store in memory"),
    ("[store]\nurl = 'sqlite:///:memory:'", 2, "store.url", "names no file, and a store in memory"),
    ("[store]\nurl = 'sqlite:///file:x?mode=memory'", 2, "store.url", "names no file, and a store in memory"),
    ("[store]\nurl = 'sqlite:///x.db?cache=shared'", 2, "store.url", "takes no options"),
    ("[store]\nurl = 'sqlite://x.db'", 2, "store.url", "lacks a slash"),
    ("[store]\nurl = 'sqlite:///folder/'", 2, "store.url", "names a folder"),
    ("[store]\nurl = 'sqlite:///~/x.db'", 2, "store.url", 'starts with "~", which only a shell knows'),
    ("[store]\nurl = 'dispatcher.db'", 2, "store.url", "is no store"),
    ("[store]\nurl = 5", 2, "store.url", 'must be a text such as "sqlite:///dispatcher.db"'),
    ("[http]\nadmin = '127.0.0.1:8026'", 2, "http.admin", 'must be "unix:PATH"'),
    ("[http]\nadmin = 'unix:'", 2, "http.admin", "is empty; write a path"),
    ("[http]\nadmin = 'unix:/" + "x" * 107 + "'", 2, "http.admin", "is too long for a socket"),
    ("[http]\npublic = '127.0.0.1:8025'", 2, "http.public", "is no key here; the keys here are admin"),
    ("[audience]\nactivity = []", 2, "audience.activity", "must not be empty"),
    ("[audience]\nactivity = ['orders']", 2, "audience.activity", 'names no kind of activity (did you mean "order"?)'),
    ("[audience]\nactivity = ['order', 'order']", 2, "audience.activity", "names a kind twice"),
    ("[audience]\nactive_within = '0d'", 2, "audience.active_within", 'must be from "1s"'),
    ("[store]\nkeep = 'for ever'", 2, "store.keep", "is no duration"),
    ("[store]\nkeep = '30d'", 2, "store.keep", 'must be longer than "30d": so far back goes audience.active_within'),
    ("[audience]\nactive_within = '1d'\n[store]\nkeep = '7d'", 4, "store.keep",
     'must be longer than "7d": so far back goes the judgement of a lane'),
    ("[store]\nkeep = '50d'\n[retry]\ngive_up_after = '60d'", 2, "store.keep",
     'must be longer than "60d": so far back goes retry.give_up_after'),
    ("[store]\nkeep = '90d'\n[frequency]\npromotional = { most = 1, within = '90d' }", 2, "store.keep",
     'must be longer than "90d": so far back goes frequency.promotional'),
    ("[audience]\nstale_after = '5000d'", 2, "audience.stale_after", 'must be from "1s" to "3660d"'),
    ("[frequency]\nservice = { most = 0, within = '1d' }", 2, "frequency.service.most", "must be from 1 to 10000"),
    ("[frequency]\nservice = { most = 1 }", 2, "frequency.service.within", "is required and missing"),
    ("[frequency]\nservice = 2", 2, "frequency.service", "must be a table, not a whole number"),
    ("[frequency]\nservise = { most = 1, within = '1d' }", 2, "frequency.servise",
     'is no category that may be capped (did you mean "service"?); those are "service" or "promotional"'),
    ("[quiet]\nhours = '00:00-24:00'", 2, "quiet.hours", "leave no time at all"),
    ("[quiet]\nhours = '21-8'", 2, "quiet.hours", "are no hours"),
    ("[mx]\nlookup = 'no'", 2, "mx.lookup", "must be true or false, not a text"),
    ("[mx]\ntimeout = '50ms'", 2, "mx.timeout", 'must be from "100ms" to "1m"'),
    ("[mx]\nnameservers = '127.0.0.1'", 2, "mx.nameservers", "must be a list, not a text"),
    ("[mx]\nnameservers = [\n  '127.0.0.1',\n  'ns.acme.net',\n]", 4, "mx.nameservers[1]",
     "is no nameserver's address"),
    ("[mx]\nnameservers = ['127.0.0.1:0']", 2, "mx.nameservers[0]", "has no valid port"),
    ("[mx]\nnameservers = ['1.2.3.256']", 2, "mx.nameservers[0]", "has no valid IP address"),
    ("[mx]\nnameservers = ['::1']", 2, "mx.nameservers[0]", "is no nameserver's address"),
    ("[mx]\nservers = []", 2, "mx.servers", "is no key here"),
    ("[retry]\ndelays = []", 2, "retry.delays", "must not be empty"),
    ("[retry]\ndelays = [\n  '30m',\n  30,\n]", 4, "retry.delays[1]", 'must be a text such as "5m"'),
    ("[retry]\ndelays = '30m'", 2, "retry.delays", "must be a list, not a text"),
    ("[retry]\njitter = 0.1", 2, "retry.jitter", "is no key here; the keys here are delays, give_up_after"),
    ("[campaigns]\napproval = 'no'", 2, "campaigns.approval", "must be true or false, not a text"),
    ("[campaigns]\ndirectory = ''", 2, "campaigns.directory", "is empty; write a path"),
    ('[campaigns]\ndirectory = "a\\u0000b"', 2, "campaigns.directory", "holds a NUL"),
    ("[service]\nstop_within = '2h'", 2, "service.stop_within", 'must be from "1s" to "1h"'),
    ("[log]\nlevel = 'loud'", 2, "log.level", 'must be "debug", "info", "warning" or "error"'),
])
def test_a_table_that_cannot_be_meant_is_refused(
    tmp_path: Path, lines: str, line: int, key: str, problem: str,
) -> None:
    assert only_fault(tmp_path, f"{lines}\n{LEAST}").startswith(f"dispatcher.toml:{line}: {key}: {problem}")


@pytest.mark.parametrize(("text", "expected"), [
    ("[ramps.careful]\n", ["dispatcher.toml:1: senders: has nobody to send as; write at least one [senders.NAME]"]),
    ("senders = 5\n", ["dispatcher.toml:1: senders: must be a table, not a whole number"]),
    ("[senders.a]\n", ["dispatcher.toml:1: senders.a.from: is required and missing",
                       "dispatcher.toml:1: senders.a.ramp: is required and missing"]),
    ("[senders.a]\nfrom = 'a@b.example'\nramp = 'x'\n",
     ["dispatcher.toml:3: senders.a.ramp: names no ramp; there are none, and [ramps.NAME] makes one"]),
    (LEAST.replace('ramp = "careful"', 'ramp = "carefull"'),
     [('dispatcher.toml:4: senders.support.ramp: names no ramp (did you mean "careful"?); the ramps are "careful", '
       'and [ramps.NAME] makes one')]),
    (LEAST.replace("senders.support", 'senders."sup/port"'),
     [('dispatcher.toml:2: senders."sup/port": is no name: letters, digits, ".", "_" and "-", at most 64, a letter or '
       'digit first')]),
])
def test_tables_that_need_each_other_are_checked_together(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert faults(tmp_path, text) == expected


def test_a_fault_stays_one_line_whatever_names_the_file_holds(tmp_path: Path) -> None:
    text = LEAST + '[ramps."a\\nb"]\n[senders.texts]\nfrom = "a@b.example"\nramp = "a\\rb"\n'
    found = faults(tmp_path, text)
    assert len(found) == 2
    assert all(fault.isprintable() for fault in found)


def test_all_faults_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = """\
[store]
url = "mysql://x"
[ramps.careful]
start = 0
groth = 1.3
[ramps.careful.providers.gmial]
growth = 2
[senders.support]
channel = "sms"
from = "Acme <support@acme>"
ramp = "carefull"
password = "hunter2"
[retry]
delays = ["30m", 5]
[http]
public = "127.0.0.1:8025"
"""
    found = faults(tmp_path, text)
    assert [fault.split(": ")[:2] for fault in found] == [
        ["dispatcher.toml:2", "store.url"],
        ["dispatcher.toml:4", "ramps.careful.start"],
        ["dispatcher.toml:5", "ramps.careful.groth"],
        ["dispatcher.toml:6", "ramps.careful.providers.gmial"],
        ["dispatcher.toml:7", "ramps.careful.providers.gmial.growth"],
        ["dispatcher.toml:9", "senders.support.channel"],
        ["dispatcher.toml:10", "senders.support.from"],
        ["dispatcher.toml:11", "senders.support.ramp"],
        ["dispatcher.toml:12", "senders.support.password"],
        ["dispatcher.toml:14", "retry.delays[1]"],
        ["dispatcher.toml:16", "http.public"],
    ]
    assert "hunter2" not in "".join(found)


def test_faults_between_a_ramps_keys_are_told_beside_those_of_single_keys(tmp_path: Path) -> None:
    text = """\
[ramps.careful]
start = 500
ceiling = 100
growth = 2
hours = "20:00-08:00"
timezone = "Mars"
[ramps.careful.providers.gmail]
every = "2s"
offset = "90s"
[senders.support]
from = "a@b.example"
ramp = "careful"
"""
    assert [fault.split(": ")[:2] for fault in faults(tmp_path, text)] == [
        ["dispatcher.toml:3", "ramps.careful.ceiling"],
        ["dispatcher.toml:4", "ramps.careful.growth"],
        ["dispatcher.toml:5", "ramps.careful.hours"],
        ["dispatcher.toml:6", "ramps.careful.timezone"],
        ["dispatcher.toml:9", "ramps.careful.providers.gmail.offset"],
    ]


@pytest.mark.parametrize(("lines", "at_fault"), [
    ("start = 0\nceiling = 50", ["start"]),                                  # below the default of start
    ('step = "20s"\nevry = "1s"', ["evry"]),                                 # the default of every does not fit
    ('step = "7 hours"\nevery = "2h"\nhours = "08:00-09:00"', ["step"]),
    ('start = 5\nsteps = [1, 2]\ngrowth = "fast"', ["growth", "start"]),
])
def test_no_fault_is_made_up_from_a_key_that_is_wrong(tmp_path: Path, lines: str, at_fault: list[str]) -> None:
    text = f'[ramps.careful]\n{lines}\n[senders.support]\nfrom = "a@b.example"\nramp = "careful"\n'
    assert sorted(fault.split(": ")[1].removeprefix("ramps.careful.") for fault in faults(tmp_path, text)) == at_fault
