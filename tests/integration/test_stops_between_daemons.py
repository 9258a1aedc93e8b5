"""Promise P6 between processes: what is stopped anywhere reaches nobody a second later, whoever has it in hand.

Both daemons have released messages in hand that they would send for a minute yet: the server takes a second for each.
The truth is what it saw, against the moment at which whoever said the stop was answered, so after its commit. Planted,
and seen caught: stops that another daemon has committed and nobody looks at again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.daemons import Daemon, arrived, enqueue, since
from support.houses import FAST, House, asked, copies_explained, house, until
from support.smtp_server import Act, SmtpServer

pytestmark = pytest.mark.timeout(300)       # processes that start on what may be a busy machine
PARTS = ("first", "second", "third")     # campaigns: one is stopped through a daemon, one by a command, one not at all
WHOLE = (FAST[0], FAST[1].replace('"1s"', '"5s"'))      # a slot has room for everybody
PEOPLE = 1_200
IN_HAND = 20
"""Messages at least that a stop covers, and that each daemon has in hand: ten seconds of work."""
ALSO = "; within a second other daemons stop what they have released"
WITHIN = 3.0
"""Seconds: one is the promise, the rest is for a machine that stands still."""
Say = Callable[[str, Mapping[str, Any], Sequence[str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stop:
    """A way to stop messages, and how they then stand."""

    operation: str
    words: tuple[str, ...]      # the verb of the command line
    state: str
    reason: str
    parts: tuple[str, str] = ("first", "second")


HOLD = Stop("hold", ("hold",), "queued", "")
CANCEL = Stop("campaign.cancel", ("campaign", "cancel"), "skipped", "canceled")
SUPPRESS = Stop("suppress.add", ("suppress", "add", "--reason", "unsubscribe"), "skipped", "unsubscribed")
ERASE = Stop("customers.erase", ("customers", "erase"), "skipped", "unknown_customer", parts=("first", "first"))


@pytest.mark.asyncio
@pytest.mark.parametrize("stop", [HOLD, CANCEL, SUPPRESS, ERASE], ids=lambda stop: stop.reason or "held")
async def test_a_stop_anywhere_stops_all_within_a_second_also_what_is_released_already(
        tmp_path: Path, server: SmtpServer, stack: AsyncExitStack, stop: Stop) -> None:
    server.script = lambda step: Act(b"250 2.0.0 taken\r\n", gap=1 / 17) if step.phase == "dot" else None
    one = await house(tmp_path, server, stack, WHOLE, campaigns=PARTS)
    first, second = await one.start(2)
    await batch_of_all(first)
    for part, through in zip(stop.parts, (first, None), strict=True):
        await until(f"SELECT count(*) = 2 FROM (SELECT owner FROM messages WHERE state = 'sending' "  # noqa: S608 -- our own words
                    f"AND owner IS NOT NULL AND campaign = '{part}' GROUP BY owner HAVING count(*) > {IN_HAND}) AS own")
        stopped = await said(one, stop, part, through)
        people = ", ".join(f"'{customer}'" for customer in stopped)
        await until(f"SELECT count(*) = 0 FROM messages WHERE state = 'sending' AND customer IN ({people})")  # noqa: S608 -- as above
        assert [mail.recipient for mail in server.mails
                if mail.at > stopped.get(mail.recipient.split("@")[0], mail.at) + WITHIN] == []
        left = await asked(f"SELECT DISTINCT state, reason FROM messages WHERE customer IN ({people}) "  # noqa: S608 -- as above
                           "AND state <> 'accepted' AND slot IS NOT NULL")     # of those that were released
        assert [tuple(row) for row in left] == [(stop.state, stop.reason)]
        await copies_explained(server)
    await arrived(server, len(server.mails) + 4)        # the others flow on, through both
    async with second.client() as client:
        assert (await client.call("status"))[1]["result"]["messages"]["sending"] > 0


async def batch_of_all(one: Daemon) -> None:
    """Everybody has a message, and all of them are in the next batch."""
    async with one.client() as client:
        assert (await client.call("hold", {"reason": "until all are there"}))[0] == 200
        await enqueue(one, PEOPLE, await since(one), PARTS)
        assert (await client.call("resume"))[0] == 200


async def said(one: House, stop: Stop, part: str, through: Daemon | None) -> dict[str, float]:
    """Stop a part, through a daemon or by commands elsewhere: whom it covers -> when whoever said it was answered."""
    covered = [row["customer"] for row in await asked(f"SELECT customer FROM messages WHERE campaign = '{part}'")]  # noqa: S608 -- as above
    if stop is HOLD or stop is CANCEL:
        name = "name" if stop is HOLD else "id"
        at = await answered(one, stop, through, {name: part, "reason": "wrong"}, [part, "--reason", "wrong"])
        return dict.fromkeys(covered, at)
    if stop is ERASE:
        some = await in_hand(part)
        return {customer: await answered(one, stop, through, {"id": customer}, [customer]) for customer in some}
    addresses = [f"{customer}@mail.example" for customer in covered]
    for start in range(0, len(addresses), 500):       # of one line at most
        some = addresses[start:start + 500]
        at = await answered(one, stop, through, {"addresses": some, "reason": "unsubscribe"}, some)
    return dict.fromkeys(covered, at)


async def in_hand(part: str) -> list[str]:
    """Of each daemon the one of a part whose message it has in hand and would send last."""
    rows = await asked(
        "SELECT DISTINCT ON (owner) customer FROM messages WHERE state = 'sending' AND owner IS NOT NULL "  # noqa: S608 -- as above
        f"AND campaign = '{part}' ORDER BY owner, id DESC")
    return [row["customer"] for row in rows]


async def answered(one: House, stop: Stop, through: Daemon | None, args: Mapping[str, Any],
                   words: Sequence[str]) -> float:
    """Say a stop; when it was answered, by the server's clock."""
    if through is None:
        assert (ALSO in await one.command(*stop.words, *words)) == (stop is not ERASE)     # that one gives no number
    else:
        async with through.client() as client:
            status, body = await client.call(stop.operation, dict(args))
            assert (status, body["result"].get("elsewhere", True)) == (200, True), body
    return asyncio.get_running_loop().time()
