"""Connections to PostgreSQL that break in the commit, before or after the server has done it, again and again.

Whatever the daemon then believes is what the server says: no message is lost or forgotten on its way (P1, P7), none is
handed over more often than its doubts explain (P5), and nothing leaves that the ledger has not (P3, P4). Planted, and
seen caught: to take a commit without an answer for one that was undone (the batch's messages stay `sending` for ever),
and to take it for done (what was never written is taken for written).
"""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support import world as worlds
from support.post import Act, accepted, deferred, in_doubt
from support.postgresql import emptied, need_postgresql
from support.tcp_proxy import proxy
from support.timetables import at
from support.world import HOUR, MINUTE, SETTINGS, World, changed

from dispatcher.store import postgresql

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 2880'))
RETRY = '[retry]\ndelays = ["5m"]\n'
PEOPLE = 40


def script(recipient: str, attempt: int) -> Act:
    if attempt > 1 or recipient > "c3":
        return accepted()
    return deferred() if recipient.startswith("c1") else in_doubt()


class Trouble:
    """Says of each commit whether its connection is to break now."""

    def __init__(self, one_of: int) -> None:
        self.one_of = one_of      # so many; 0: of none
        self.chance = random.Random(one_of)  # noqa: S311 -- the same each time
        self.broken = 0

    def __call__(self, data: bytes) -> bool:
        if b"COMMIT" not in data or not self.one_of or self.chance.randrange(self.one_of):
            return False
        self.broken += 1
        return True


@pytest.mark.timeout(60)
@pytest.mark.asyncio
@pytest.mark.parametrize(("unanswered", "unheard"), [(7, 0), (0, 7)])
async def test_whatever_becomes_of_commits_each_message_is_sent_as_its_doubts_explain(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unanswered: int, unheard: int) -> None:
    need_postgresql()
    monkeypatch.setattr(worlds, "KEPT_IN", "postgresql")
    monkeypatch.setattr(postgresql, "ASKED_EVERY", 0.01)
    address = await emptied()
    async with proxy(address.database.host, address.database.port) as door:
        one = World(tmp_path, RAMP + RETRY, at("2026-03-02 08:00"))
        one.address = replace(address, database=replace(address.database, port=door.port))
        await one.open()
        await one.apply()
        await one.people(PEOPLE)
        await one.start()
        one.post.script = script
        await one.send_to(PEOPLE)
        door.lose_answer, door.lose_request = Trouble(unanswered), Trouble(unheard)
        await one.run_for(HOUR)
        broken = door.lose_answer.broken + door.lose_request.broken
        door.lose_answer, door.lose_request = Trouble(0), Trouble(0)
        await one.run_for(10 * MINUTE)
        one.check()
        assert broken > 20
        assert await one.states() == {"accepted": PEOPLE}
        copies = Counter(handed.recipient for handed in one.post.handed if handed.act.took)
        for row in await one.rows():
            assert 1 <= copies[f"{row.customer}@mail.example"] <= 1 + row.doubts
        await one.drain()
