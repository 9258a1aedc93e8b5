"""`plan`, as its users see it: days, ends, and what keeps lanes back."""

from pathlib import Path
from typing import Any

import pytest
from support.offices import Desk
from support.timetables import at
from support.world import CAMPAIGN, DAY, HOUR, SETTINGS, changed, world

from dispatcher.cli.campaigns import campaign_view
from dispatcher.cli.output import Grid
from dispatcher.cli.plan import plan_view
from dispatcher.core import reputation
from dispatcher.core.calendar import Slot
from dispatcher.engine import evidence

STAGES = changed(SETTINGS, ('timezone = "UTC"', 'timezone = "Europe/Berlin"\nsteps = [20, 50, 100, 200]'))
SECOND = changed(CAMPAIGN, ('id = "delay"', 'id = "news"'), ("[email]", 'useful_for = "40h"\n[email]'))


def lines(result: dict[str, Any]) -> list[str]:
    """The tables of a plan but for the batches, and the lines behind them."""
    found = []
    for block in list(plan_view(result, 3))[1:]:
        if isinstance(block, Grid):
            found += [" ".join(str(cell) for cell in row if cell not in ("", None)) for row in block.rows]
        elif block:
            found.append(block)
    return found


@pytest.mark.asyncio
async def test_a_cold_lane_until_thursday_as_a_timetable(tmp_path: Path) -> None:
    async with world(tmp_path, STAGES, people=200) as one:
        await one.send_to(200)
        found = await Desk(one)("plan", until="2026-03-04T23:00:00Z")
        assert found["days"] == [
            {"day": "2026-03-02", "lane": "support/other", "batches": 20, "messages": 20, "allowance": 20},
            {"day": "2026-03-03", "lane": "support/other", "batches": 50, "messages": 50, "allowance": 50},
            {"day": "2026-03-04", "lane": "support/other", "batches": 100, "messages": 100, "allowance": 100},
        ]
        assert found["campaigns"] == [{"campaign": "delay", "queued": 200, "done_at": None, "late": 0, "left": 30}]
        assert lines(found) == [
            "and 167 more batches: --all shows them",
            "2026-03-02 support/other 20 20 20", "2026-03-03 support/other 50 50 50",
            "2026-03-04 support/other 100 100 100",
            "delay 200 0 30",
            "support/other: 30 stay in the queue (later)",
        ]
        assert [batch["after"] for batch in found["batches"]].count("hours") == 2


@pytest.mark.asyncio
async def test_a_batch_says_what_its_lane_waited_for_and_what_limits_it(tmp_path: Path) -> None:
    async with world(tmp_path, people=20) as one:
        desk = Desk(one)
        await one.send_to(10)
        assert [(batch["after"], batch["limit"]) for batch in (await desk("plan"))["batches"]][:2] == \
            [("hours", "allowance"), ("", "allowance")]
        await desk("hold", name="support/other", reason="a look", for_ms=6 * HOUR)
        found = await desk("plan")
        assert [batch["after"] for batch in found["batches"]][:2] == ["hold", ""]
        assert found["lanes"] == [{"lane": "support/other", "state": "held", "why": "a look",
                                   "until": "2026-03-02T13:00:00Z"}]
        assert any(line.startswith("support/other held a look ") for line in lines(found))


@pytest.mark.asyncio
async def test_a_slow_lane_is_named_with_its_cause(tmp_path: Path) -> None:
    async with world(tmp_path, people=20) as one:
        await one.send_to(20)
        slot = Slot(0, DAY, 0, 1, one.now - HOUR, one.now)
        slow = reputation.busy(reputation.UNBLEMISHED, slot, "421 too many", one.now)
        async with one.database.transaction() as tx:
            await evidence.note(tx, "support/other", reputation.UNBLEMISHED, slow, one.now)
        found = await Desk(one)("plan")
        assert found["lanes"] == [{"lane": "support/other", "state": "slow", "why": "421 too many", "until": None}]
        assert found["batches"][0]["limit"] == "slow"


@pytest.mark.asyncio
async def test_each_campaign_has_its_end_and_who_hears_too_late(tmp_path: Path) -> None:
    async with world(tmp_path, changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nstart = 30')), people=60) as one:
        await one.apply(SECOND)
        await one.apply(changed(CAMPAIGN, ('id = "delay"', 'id = "last"')))
        await one.send_to(10)
        await one.send_to(60, campaign="news")
        await one.send_to(5, campaign="last")
        await one.hold("campaign", "last")
        desk = Desk(one)
        found = await desk("plan")
        assert [(end["campaign"], end["queued"], end["late"], end["left"], end["done_at"] is not None)
                for end in found["campaigns"]] == \
            [("delay", 10, 0, 0, True), ("news", 60, 4, 0, True), ("last", 5, 0, 5, False)]
        assert (found["late"], found["late_campaigns"]) == (4, {"news": 4})
        part = await desk("plan", campaign="news")
        assert part["campaigns"] == found["campaigns"][1:2]
        assert (part["done_at"], part["late"]) == (found["campaigns"][1]["done_at"], 4)
        assert [day["messages"] for day in part["days"]] == [20, 36]
        assert (await desk("plan", campaign="last"))["campaigns"] == found["campaigns"][2:]


@pytest.mark.asyncio
async def test_what_waits_for_a_canary_is_planned_as_if_it_passes_and_the_plan_says_so(tmp_path: Path) -> None:
    settings = changed(SETTINGS, ('offset = "0s"', 'start = 2_880\noffset = "0s"\nhours = "08:00-20:00"'))
    tested = changed(CAMPAIGN, ("[email]", 'canary = { size = 20, wait = "20m" }\nuseful_for = "40h"\n[email]'))
    async with world(tmp_path, settings, campaign=tested, people=60) as one:
        desk = Desk(one)
        await one.send_to(60)
        [assumed] = (await desk("plan"))["assumed"]
        await one.run_until(at("2026-03-02 08:06"))
        shown = await desk("campaign.show", id="delay")
        assert (shown["state"], shown["until"]) == ("canary", assumed["canary_passes_at"])
        fields = next(block for block in campaign_view(shown) if isinstance(block, Grid))
        assert {("canary", "size=20, wait=20m"), ("useful_for", "40h"), ("state", "canary")} <= set(fields.rows)
        found = await desk("plan")
        assert found["assumed"] == [assumed]
        assert found["batches"][0]["at"] >= assumed["canary_passes_at"]
        assert found["batches"][0]["after"] == "canary"
        (end,) = found["campaigns"]
        (blocked,) = found["blocked"]
        assert (end["queued"], end["left"], end["done_at"]) == (40, 0, found["done_at"])
        assert (blocked["queued"], blocked["until"]) == (40, assumed["canary_passes_at"])
        assert not [line for line in lines(found) if "40 stay in the queue" in line]
        assert lines(found)[-1].startswith("campaign delay: what follows its canary leaves as planned if the canary p")
        assert (await desk("plan", campaign="delay"))["assumed"] == [assumed]
        await one.run_until(at("2026-03-02 08:40"))
        assert ((await desk("plan"))["assumed"], (await desk("campaign.show", id="delay"))["until"]) == ([], None)


@pytest.mark.asyncio
async def test_what_is_released_and_on_its_way_belongs_to_its_day(tmp_path: Path) -> None:
    settings = changed(SETTINGS, ('offset = "0s"', 'offset = "0s"\nstart = 24\nevery = "1h"'))
    async with world(tmp_path, settings, people=10) as one:
        await one.send_to(5)
        await one.run_until(at("2026-03-02 08:00") + 1_000)
        found = await Desk(one)("plan")
        assert [(batch["limit"], batch["size"]) for batch in found["batches"]] == \
            [("released", 1), ("allowance", 2), ("backlog", 1)]
        assert found["days"] == [{"day": "2026-03-02", "lane": "support/other", "batches": 3, "messages": 4,
                                  "allowance": 24}]


@pytest.mark.asyncio
async def test_a_reload_that_brings_a_bound_says_the_new_end(tmp_path: Path) -> None:
    async with world(tmp_path, people=100) as one:
        await one.send_to(100)
        desk = Desk(one)
        (one.folder / "dispatcher.toml").write_text(
            SETTINGS + '[replies."support@acme.example"]\nagents = 1\nper_hour = 3.0\nexpected = 1.0\n')
        found = await desk("reload")
        assert found["changes"] == ['replies."support@acme.example": added']
        (lane,) = found["lanes"]
        assert lane["allowance"] == [100, 100]
        assert lane["done_at"][0] < "2026-03-03" < lane["done_at"][1]
