"""The daemon's life in one process: an engine that fails, a store that cannot be written."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.admin import admin
from support.offices import Desk, rows
from support.world import MONDAY, SETTINGS, World, person, world

from dispatcher import service

TABLES = ("meta", "customers", "campaign_versions")


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[World]:
    """A world whose daemon ends within the test."""
    one = World(folder, SETTINGS, MONDAY)
    await one.open()
    await one.start()
    yield one
    await one._ended()


async def never() -> dict[str, object]:
    raise AssertionError("nobody asked for a reload")


async def fill_disk(one: World) -> None:
    """From now on the store refuses to write."""
    async with one.database.transaction() as tx:
        for table in TABLES:
            await tx.exec_driver_sql(f"CREATE TRIGGER full_{table} BEFORE INSERT ON {table} "
                                     "BEGIN SELECT RAISE(ABORT, 'disk is full'); END")


async def free_disk(one: World) -> None:
    """From now on it writes again."""
    async with one.database.transaction() as tx:
        for table in TABLES:
            await tx.exec_driver_sql(f"DROP TRIGGER full_{table}")


@pytest.mark.asyncio
async def test_an_engine_that_fails_ends_the_daemon(tmp_path: Path) -> None:
    async with started(tmp_path) as one:
        one.engine.failed.set_exception(RuntimeError("a loop ended"))
        assert await service.run(one.engine, service.Signals(), never) is False
        assert one.works.closing


@pytest.mark.asyncio
async def test_a_signal_ends_it_well(tmp_path: Path) -> None:
    async with started(tmp_path) as one:
        running = asyncio.create_task(service.run(one.engine, service.Signals(), never))
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running is True


@pytest.mark.asyncio
async def test_outcomes_that_cannot_be_written_do_not_keep_it_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "WRITING_TAKES", 0.1)

    async def stuck(_: float) -> None:
        one.works.closing = True
        await asyncio.Event().wait()

    async with started(tmp_path) as one:
        within = one.works.policy.settings.service.model_copy(update={"stop_within": 0})
        settings = one.works.policy.settings.model_copy(update={"service": within})
        one.works.policy = replace(one.works.policy, settings=settings)
        drain = one.engine.drain
        monkeypatch.setattr(one.engine, "drain", stuck)
        signals = service.Signals()
        signals.stop.set()
        assert await service.run(one.engine, signals, never) is False
        await drain(0)


@pytest.mark.asyncio
async def test_a_store_that_cannot_be_written_refuses_and_recovers_by_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as one, admin(one) as client:
        await fill_disk(one)
        status, body = await client.call("customers.import", {"rows": rows(person(0, one.now))})
        assert (status, body["error"]["kind"]) == (500, "failed")
        assert "disk is full" in body["error"]["message"]
        assert (await client.get("/readyz"))[0] == 503
        assert (await client.get("/healthz"))[0] == 200
        assert (await client.call("status"))[0] == 200
        await free_disk(one)
        assert (await client.get("/readyz"))[0] == 200
        assert (await client.call("customers.import", {"rows": rows(person(0, one.now))}))[0] == 200


@pytest.mark.asyncio
async def test_a_reload_whose_campaigns_cannot_be_stored_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        desk = Desk(one)
        before = one.works.policy
        one.folder.joinpath("dispatcher.toml").write_text(SETTINGS.replace('offset = "0s"', 'offset = "0s"\nstart = 7'))
        folder = one.folder / "campaigns" / "delay"
        file = folder / "campaign.toml"
        file.write_text(file.read_text().replace("Late", "Very late"))
        await fill_disk(one)
        assert (await desk.refused("reload")).kind == "failed"
        assert one.works.policy is before
        await free_disk(one)
        assert (await desk("reload"))["campaigns"] == ["delay (version 2)"]
        assert one.works.policy.settings.ramps["careful"].start == 7
