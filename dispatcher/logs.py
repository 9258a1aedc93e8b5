"""Logs: one pipeline to standard error, for our own events and for the libraries', and nobody's data in it.

JSON under systemd or where nobody reads along, readable lines on a terminal. At info and above only keys of the list
below are written; any other is left out and named, so that a careless event cannot carry an address (promise P12).
"""

import logging
import os
import sys
from typing import Final

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

ALLOWED: Final = frozenset({
    # of every event
    "event", "level", "timestamp", "logger", "exception", "left_out",
    # names of things that ops wrote, and counts
    "lane", "sender", "campaign", "campaigns", "operation", "reason", "kind", "key", "path", "process", "role",
    "messages", "message", "count", "changes", "change", "allowance", "batch", "done_at", "share", "seconds", "code",
    "back_in_queue", "attempts", "finished_before", "in_doubt", "version", "signal", "level_is", "slot", "expansion",
    "instance", "living",
    # words of ours, and of the store
    "why", "effect", "do", "fault", "text", "error",
})
_LIBRARIES: Final = logging.WARNING
"""The least that a library's own words must be to be written."""


def configure(level: str) -> None:
    """Log from this level on."""
    plain = sys.stderr.isatty() and "JOURNAL_STREAM" not in os.environ
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if not plain else _unchanged,
        only_allowed,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[ProcessorFormatter.remove_processors_meta, _console() if plain else _json()],
    ))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(_LIBRARIES)
    set_level(level)


def set_level(level: str) -> None:
    """Our own events from this level on are written; a library's from warnings on, whatever the level."""
    least = logging.getLevelNamesMapping()[level.upper()]
    for ours in ("dispatcher", "channels", "config"):
        logging.getLogger(ours).setLevel(least)


def only_allowed(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Leave out, at info and above, every key that is not on the list, and say which."""
    if event.get("level") == "debug":
        return event
    hidden = sorted(key for key in event if key not in ALLOWED and not key.startswith("_") and key != "exc_info")
    for key in hidden:
        del event[key]
    if hidden:
        event["left_out"] = hidden
    return event


def _unchanged(_logger: object, _method: str, event: EventDict) -> EventDict:
    return event


def _json() -> Processor:
    return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)


def _console() -> Processor:
    # Plain tracebacks: the rich ones show local variables, which hold people's data.
    colours = "NO_COLOR" not in os.environ
    return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
