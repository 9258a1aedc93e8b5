"""Logs: one form for our events and the libraries', times in UTC, and keys that nobody allowed are left out.

Each test logs in a process of its own: the test runner has hands of its own on a process's logging.
"""

import ast
import json
import sys
from datetime import datetime, timedelta

from support.commands import CHECKOUT, run

from dispatcher import logs

BEGIN = """
import logging
import structlog
from dispatcher import logs
logs.configure("info")
log = structlog.get_logger("dispatcher.engine")
"""


def logged(code: str) -> list[dict[str, object]]:
    """What a process that logs so writes to standard error."""
    done = run(sys.executable, "-c", BEGIN + code, env={"PYTHONPATH": str(CHECKOUT)})
    assert (done.returncode, done.stdout) == (0, "")
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_an_event_is_one_line_of_json_with_its_time_in_utc() -> None:
    line, = logged('log.info("lane_slowed", lane="support/gmail", share=0.5)')
    assert {name: line[name] for name in ("event", "level", "lane", "share")} == \
        {"event": "lane_slowed", "level": "info", "lane": "support/gmail", "share": 0.5}
    assert datetime.fromisoformat(str(line["timestamp"])).utcoffset() == timedelta(0)


def test_a_key_that_is_not_allowed_is_left_out_and_named() -> None:
    first, second = logged("""
log.warning("attempt_failed", lane="support/gmail", address="ada@mail.example", detail="550 <ada@mail.example>")
log.bind(name="Ada").error("attempt_failed")
""")
    assert (first["left_out"], second["left_out"]) == (["address", "detail"], ["name"])
    assert "ada" not in json.dumps([first, second]).lower()


def test_every_key_may_be_seen_at_debug_and_debug_is_off_at_info() -> None:
    line, = logged("""
log.debug("unheard", address="ada@mail.example")
logs.set_level("debug")
log.debug("looked", address="ada@mail.example")
logs.set_level("error")
log.warning("unheard")
""")
    assert (line["event"], line["address"]) == ("looked", "ada@mail.example")


def test_a_librarys_warning_takes_the_same_way_and_its_chatter_is_not_written() -> None:
    line, = logged("""
logging.getLogger("aiosmtplib").info("chatter")
logging.getLogger("aiohttp.server").warning("trouble with %s", "a request")
""")
    assert (line["event"], line["level"]) == ("trouble with a request", "warning")


def test_a_traceback_shows_no_values() -> None:
    line, = logged("""
def fails(address):
    raise ValueError("it cannot be used")
try:
    fails(chr(64).join(["ada", "mail.example"]))
except ValueError:
    log.exception("broke", lane="support/gmail")
""")
    assert "ValueError: it cannot be used" in str(line["exception"])
    assert "ada@mail.example" not in json.dumps(line)


def test_every_key_that_the_program_logs_is_allowed() -> None:
    """Read from the source: a key that is not on the list would be left out of the very line that needs it."""
    methods = {"info", "warning", "error", "exception"}
    calls = [
        (file.name, call) for file in sorted((CHECKOUT / "dispatcher").rglob("*.py"))
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in methods
        and isinstance(call.func.value, ast.Name) and call.func.value.id == "log"
    ]
    assert len(calls) > 20
    assert [(name, keyword.arg) for name, call in calls for keyword in call.keywords
            if keyword.arg not in logs.ALLOWED | {"exc_info"}] == []
