"""The same days with the real email channel and a real server: what it saw is what the store says."""

from collections import Counter
from pathlib import Path

import pytest
from support.letters import contents, read
from support.smtp_server import CLOSE, SmtpServer, at, say
from support.timetables import at as instant
from support.world import HOUR, MINUTE, SETTINGS, changed, world

EIGHT = instant("2026-03-02 08:00")


def settings(port: int) -> str:
    return changed(
        SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'),
        ('ramp = "careful"\n', f'ramp = "careful"\nserver = "smtp://127.0.0.1:{port}"\nconnections = 3\n'))


@pytest.mark.asyncio
async def test_everyone_gets_one_message_in_the_words_of_his_segment(tmp_path: Path) -> None:
    async with SmtpServer() as server:
        async with world(tmp_path, settings(server.port), now=EIGHT, people=20, real=True) as one:
            await one.people(5, first=20, location="FR")
            await one.send_to(25)
            await one.run_for(HOUR)
            assert await one.states() == {"accepted": 25}
            await one.drain()
        assert Counter(mail.recipient for mail in server.mails) == Counter(
            f"c{number}@mail.example" for number in range(25))
        for mail in server.mails:
            number = int(mail.recipient.partition("@")[0][1:])
            text = contents(mail.data)["text/plain"]
            assert text.strip() == f"Dear N{number}, {'DE/Berlin' if number < 20 else '*'}."
            assert read(mail.data)["To"] == mail.recipient


@pytest.mark.asyncio
async def test_a_server_that_closes_after_the_dot_gets_the_same_bytes_again(tmp_path: Path) -> None:
    async with SmtpServer(at("dot", CLOSE, connection=1)) as server:
        async with world(tmp_path, settings(server.port), now=EIGHT, people=2, real=True) as one:
            await one.send_to(2)
            await one.run_for(HOUR)
            assert [(row.state, row.doubts) for row in await one.rows()] == [("accepted", 1), ("accepted", 0)]
            await one.drain()
        first, _, again = server.mails
        assert (first.recipient, first.data) == (again.recipient, again.data)


@pytest.mark.asyncio
async def test_a_mailbox_that_is_none_is_suppressed_and_a_421_slows_the_lane(tmp_path: Path) -> None:
    def script(step):
        if step.phase == "rcpt" and step.recipient.startswith("c3@"):
            return say("550 5.1.1 no such user")
        return say("421 4.7.0 too many") if step.phase == "mail" and len(server.mails) == 5 else None

    async with (
        SmtpServer() as server,
        world(tmp_path, settings(server.port), now=EIGHT, people=10, real=True) as one,
    ):
        server.script = script
        await one.send_to(10)
        await one.run_for(4 * MINUTE)
        async with one.database.transaction() as tx:
            assert list(await tx.exec_driver_sql("SELECT address FROM suppressions")) == [("c3@mail.example",)]
        assert one.works.reputation["support/other"].state == "slow"
        assert len(server.mails) == 5
        await one.drain()
