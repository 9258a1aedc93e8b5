"""Lines of NDJSON -> the send requests in them, those that cannot stand with their reasons. Pure, and able to travel.

Most of the work that a file of requests takes in Python is done here, so it can be done in another process
(operations/aside.py): what goes there and comes back are values.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from dispatcher.intake.requests import SendRequest, parse_request
from dispatcher.intake.rows import ROW_BYTES, TOO_LONG, BadRow, object_row
from dispatcher.intake.strict import RowFault

_BLANK: Final = " \t\r\x0b\x0c"    # what bytes have as white space; for texts there is more


class Requested(NamedTuple):
    """What lines came to."""

    numbers: list[int]          # of the lines of
    requests: list[SendRequest]
    bad: list[BadRow]
    read: int                   # lines that hold an object


def read_requests(lines: Sequence[str], first: int, campaign: str, now: int) -> Requested:
    """The requests in some lines of a file, the first of which has this number; all are for one campaign."""
    numbers: list[int] = []
    requests: list[SendRequest] = []
    bad: list[BadRow] = []
    unread = 0
    for number, line in enumerate(lines, first):
        if not line.strip(_BLANK):
            unread += 1
            continue
        row = BadRow(number, TOO_LONG) if len(line) > ROW_BYTES else object_row(number, line)
        if isinstance(row, BadRow):
            bad.append(row)
            unread += 1
            continue
        named = row.values.setdefault("campaign", campaign)
        if named != campaign:
            bad.append(BadRow(number, f"campaign: is {named!r}, and this sends {campaign}; send it by itself"))
            continue
        try:
            requests.append(parse_request(row.values, now))
        except RowFault as fault:
            bad.append(BadRow(number, str(fault)))
        else:
            numbers.append(number)
    return Requested(numbers, requests, bad, len(lines) - unread)
