"""kill -9 right before every single commit of a run: whatever the disk then holds, the next start makes good of it.

No message is lost (P1), none has more copies than its doubts explain and all copies are the same (P5), no more was
handed over than the ledger says was spent (P3, P4), and everything comes to rest (P7).
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import event
from support.post import Act, Handed, accepted, deferred, in_doubt, rejected, unreachable
from support.timetables import at
from support.world import HOUR, MINUTE, SETTINGS, World, changed, world

RAMP = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "00:00-24:00"\nstart = 576'))
RETRY = '[retry]\ndelays = ["5m"]\n'
EIGHT = at("2026-03-02 08:00")
PEOPLE = 6
SCRIPT = {
    "c0": [accepted(takes=30_000)], "c1": [deferred(), accepted()], "c2": [in_doubt(), accepted()],
    "c3": [rejected(bad_address=True)], "c4": [unreachable(), accepted()], "c5": [in_doubt(took=False), accepted()],
}


def script(recipient: str, attempt: int) -> Act:
    acts = SCRIPT[recipient.partition("@")[0]]
    return acts[min(attempt, len(acts)) - 1]


@dataclass(frozen=True)
class Moment:
    """What a kill would leave: the disk, the time, and what the provider has seen."""

    folder: Path
    now: int
    handed: list[Handed]
    accepted: int           # requests that a producer was told yes for


async def moments(folder: Path) -> list[Moment]:
    """A run from the first request to rest, with the moments right before each of its commits."""
    found: list[Moment] = []
    told = 0
    async with world(folder, RAMP + RETRY, now=EIGHT - MINUTE, people=PEOPLE) as one:
        one.post.script = script

        def about_to_commit(_connection: object) -> None:
            place = folder / f"moment{len(found)}"
            place.mkdir()
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{one.path}{suffix}", place / f"store.db{suffix}")
            found.append(Moment(place, one.now, list(one.post.handed), told))

        event.listen(one.database._engine.sync_engine, "commit", about_to_commit)
        await one.send_to(PEOPLE // 2)
        told = PEOPLE // 2
        await one.send_to(PEOPLE // 2, first=PEOPLE // 2)
        told = PEOPLE
        await one.run_for(HOUR)
        event.remove(one.database._engine.sync_engine, "commit", about_to_commit)
        assert set(await one.states()) == {"accepted", "rejected"}
    return found


async def look(one: World, moment: Moment) -> None:
    """Go on from a moment to rest, and count."""
    one.post.script = script
    one.post.handed.extend(moment.handed)
    await one.restart()
    await one.run_for(HOUR)
    one.check()
    assert set(await one.states()) <= {"accepted", "rejected"}
    rows = {row.customer: row for row in await one.rows()}
    assert len(rows) >= moment.accepted
    copies = Counter(handed.recipient.partition("@")[0] for handed in one.post.handed if handed.act.took)
    for customer, row in rows.items():
        assert copies[customer] <= (row.state == "accepted") + row.doubts
        assert len({handed.body for handed in one.post.to(f"{customer}@mail.example")}) == 1
    async with one.database.transaction() as tx:
        spent = (await tx.exec_driver_sql("SELECT sum(size) FROM batches")).scalar() or 0
    assert len(one.post.handed) <= spent


@pytest.mark.asyncio
async def test_a_kill_before_any_commit_loses_nothing_and_sends_nothing_twice_unexplained(tmp_path: Path) -> None:
    found = await moments(tmp_path)
    assert len(found) > 30
    for moment in found:
        one = World(moment.folder, RAMP + RETRY, moment.now)
        try:
            await look(one, moment)
        finally:
            await one.crash()
