"""Customers and activity through the operations: good rows stand, bad ones are named, the queue follows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.offices import Desk, faulty, rows
from support.timetables import at
from support.world import DAY, SETTINGS, World, person, world

from dispatcher.operations.office import MOST_ROWS


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as it:
        yield it


@pytest.mark.asyncio
async def test_an_import_counts_new_changed_and_unchanged_rows_and_names_the_bad_ones(one: World) -> None:
    desk = Desk(one)
    first = await desk("customers.import", rows=rows(
        {"id": "a", "email": "a@mail.example"}, {"id": "b", "email": "no address"}, {"email": "c@mail.example"},
        {"id": "d", "last_order_at": "2100-01-01"},
    ))
    assert (first["new"], first["changed"], first["unchanged"]) == (2, 0, 0)
    assert faulty(first) == [3, 4]
    assert "no address" not in str(first["faults"])
    assert first["warnings"] == [{"line": 5, "text": "last_order_at: lies in the future, so it does not count as "
                                                     "activity"}]
    again = await desk("customers.import", rows=rows({"id": "a", "email": "a@mail.example"}, {"id": "d", "name": "D"}))
    assert (again["new"], again["changed"], again["unchanged"]) == (0, 1, 1)


@pytest.mark.asyncio
async def test_so_many_rows_are_taken_and_one_more_is_refused(one: World) -> None:
    desk = Desk(one)
    many = rows(*({"id": f"x{number}"} for number in range(MOST_ROWS)))
    assert (await desk("customers.import", rows=many))["new"] == MOST_ROWS
    refusal = await desk.refused("customers.import", rows=[*many, *rows({"id": "y"})])
    assert refusal.kind == "usage"


@pytest.mark.asyncio
async def test_activity_of_somebody_unknown_is_a_fault_of_its_row(one: World) -> None:
    desk = Desk(one)
    await one.people(1)
    result = await desk("activity.import", rows=rows(
        {"customer": "c0", "kind": "order", "at": "2026-03-01"}, {"customer": "nobody", "kind": "order",
                                                                  "at": "2026-03-01"},
        {"customer": "c0", "kind": "walk", "at": "2026-03-01"}, {"customer": "c0", "kind": "order", "at": "2026-02-01"},
    ))
    assert result["changed"] == 1
    assert faulty(result) == [3, 4]
    shown = await desk("customers.show", id="c0")
    assert shown["last_order_at"] == "2026-03-01T00:00:00Z"
    assert shown["active"] is True


@pytest.mark.asyncio
async def test_a_customer_is_shown_with_activity_suppressions_and_messages(one: World) -> None:
    desk = Desk(one)
    await one.people(1)
    await one.send_to(1)
    await desk("suppress.add", addresses=["C0@mail.example"], category="service", note="asked by phone")
    shown = await desk("customers.show", id="c0")
    assert shown["email"] == "c0@mail.example"
    assert shown["last_active_at"] == "2026-03-02T06:00:00Z"
    assert [(stop["category"], stop["reason"], stop["note"]) for stop in shown["suppressed"]] == \
        [("service", "manual", "asked by phone")]
    assert [(row["campaign"], row["state"]) for row in shown["messages"]] == [("delay", "queued")]


@pytest.mark.asyncio
async def test_nobody_of_that_name_is_told_as_unknown(one: World) -> None:
    desk = Desk(one)
    for name in ("customers.show", "customers.erase"):
        assert (await desk.refused(name, id="nobody")).kind == "unknown"


@pytest.mark.asyncio
async def test_an_erased_customer_gets_nothing_of_what_was_queued_or_released(tmp_path: Path) -> None:
    busy = SETTINGS.replace('offset = "0s"', 'offset = "0s"\nevery = "5m"\nhours = "08:00-20:00"\nstart = 8640')
    async with world(tmp_path, busy, people=100) as one:
        desk = Desk(one)
        await one.send_to(100)
        await one.run_until(at("2026-03-02 08:01:58"))     # 60 are released, 24 have left
        released, queued = "c59", "c99"
        assert await desk("customers.erase", id=released) == {"erased": True}
        assert await desk("customers.erase", id=queued) == {"erased": True}
        await one.run_for(DAY)
        assert not {released, queued} & set(one.post.recipients)
        assert await one.states() == {"accepted": 98, "skipped": 2}
        assert {row.reason for row in await one.rows(state="skipped")} == {"unknown_customer"}


@pytest.mark.asyncio
async def test_an_import_ends_a_stale_hold_at_once(one: World) -> None:
    desk = Desk(one)
    await one.people(3)
    await one.send_to(3)
    await desk("hold", name="delay", reason="wait")
    await one.run_for(8 * DAY)
    await desk("resume")
    await one.run_for(DAY)
    assert one.post.handed == []      # nothing was told about anybody for more than a week
    assert (await desk("status"))["blocked"][0]["why"].startswith("nothing about customers")
    await desk("customers.import", rows=rows(person(0, one.now), person(1, one.now)))
    await one.run_for(DAY)
    assert sorted(one.post.recipients) == ["c0", "c1", "c2"]


@pytest.mark.asyncio
async def test_arguments_that_cannot_be_are_refused_without_repeating_them(one: World) -> None:
    desk = Desk(one)
    for args in ({"rows": "all"}, {"rows": [{"line": 1}]}, {"rows": [], "secret": 1},
                 {"rows": [{"line": -1, "values": {}}]}):
        refusal = await desk.refused("customers.import", **args)
        assert refusal.kind == "usage"
        assert refusal.details
    assert (await desk.refused("customers.forget")).kind == "unknown"
    leak = await desk.refused("customers.show", id="ada@mail.example\n")
    assert "ada" not in f"{leak.message}{leak.details}"
