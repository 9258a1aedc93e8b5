"""The daemon as a process: ready, watched, reloaded, stopped, and refused where another one runs."""

import asyncio
import os
import signal
import sqlite3
from pathlib import Path

import pytest
from support.daemons import CONFIG, arrived, daemon, enqueue, since
from support.smtp_server import SILENCE, SmtpServer, at
from support.world import CAMPAIGN

from dispatcher.store.lock import acquire


@pytest.fixture
def folder(tmp_path: Path, server: SmtpServer) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "dispatcher.toml").write_text(CONFIG.format(port=server.port))
    (tmp_path / "campaigns" / "delay").mkdir(parents=True)
    (tmp_path / "campaigns" / "delay" / "campaign.toml").write_text(CAMPAIGN)
    return tmp_path


def write(folder: Path, config: str) -> None:
    """Write the configuration."""
    (folder / "dispatcher.toml").write_text(config)


@pytest.mark.asyncio
async def test_it_says_ready_when_it_answers_and_leaves_no_socket_behind(folder: Path) -> None:
    async with daemon(folder, environ={"WATCHDOG_USEC": "400000"}) as one:
        await one.until_told("READY=1")
        async with one.client() as client:
            assert await client.get("/readyz") == (200, "ready\n")
            assert (await client.call("campaign.list"))[1]["result"]["campaigns"][0]["id"] == "delay"
        for _ in range(3):
            await one.until_told("WATCHDOG=1")
        one.process.send_signal(signal.SIGTERM)
        await one.until_told("STOPPING=1")
        assert await one.ended() == 0
    assert not (folder / "admin.sock").exists()


@pytest.mark.asyncio
async def test_mail_goes_out_and_a_stop_in_the_middle_sends_nothing_twice(folder: Path, server: SmtpServer) -> None:
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        await enqueue(one, 40, await since(one))
        await arrived(server, 5)
        for _ in range(2):      # twice does no harm
            one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0
    first = len(server.mails)
    assert first < 40
    with sqlite3.connect(folder / "store.db") as store:
        states = dict(store.execute("SELECT state, count(*) FROM messages GROUP BY state"))
    store.close()
    assert states == {"accepted": first, "queued": 40 - first}
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        await arrived(server, 40)
        one.process.send_signal(signal.SIGINT)
        assert await one.ended() == 0
    assert len({mail.recipient for mail in server.mails}) == len(server.mails) == 40


@pytest.mark.asyncio
async def test_a_server_that_never_answers_does_not_keep_it_beyond_stop_within(folder: Path) -> None:
    async with SmtpServer(at("dot", SILENCE)) as silent:
        write(folder, CONFIG.format(port=silent.port).replace('"5s"', '"1s"'))
        async with daemon(folder) as one:
            await one.until_told("READY=1")
            await enqueue(one, 5, await since(one))
            await arrived(silent, 2)
            one.process.send_signal(signal.SIGTERM)
            assert await one.ended() == 0
            assert "stopped_in_flight" in {line["event"] for line in one.logged}


@pytest.mark.asyncio
async def test_a_second_daemon_ends_at_once_and_says_who_has_the_store(folder: Path) -> None:
    async with daemon(folder) as first:
        await first.until_told("READY=1")
        async with daemon(folder) as second:
            assert await second.ended() == 1
            why = second.logged[-1]["why"]
            assert f"process {first.process.pid} (dispatcher run)" in why
        async with first.client() as client:
            assert (await client.get("/healthz"))[0] == 200


@pytest.mark.asyncio
async def test_a_command_that_has_the_store_is_waited_for(folder: Path) -> None:
    lock = acquire(folder / "store.db", "customers import")
    async with daemon(folder) as one:
        busy = await one.until_logged("store_busy")
        assert (busy["role"], busy["process"]) == ("customers import", os.getpid())
        lock.release()
        await one.until_told("READY=1")


@pytest.mark.asyncio
async def test_a_stop_while_it_waits_ends_it(folder: Path) -> None:
    lock = acquire(folder / "store.db", "customers import")
    async with daemon(folder) as one:
        await one.until_logged("store_busy")
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 1
    lock.release()


@pytest.mark.asyncio
async def test_a_wrong_configuration_is_told_line_by_line_with_exit_code_2(folder: Path) -> None:
    (folder / "dispatcher.toml").write_text("[ramps.quick]\nevery = 'soon'\ngrowht = 2\n")
    async with daemon(folder) as one:
        assert await one.ended() == 2
        told = "\n".join(line["event"] for line in one.logged)
        assert "dispatcher.toml:2: ramps.quick.every" in told
        assert 'did you mean "growth"?' in told
    assert not (folder / "store.db").exists()


@pytest.mark.asyncio
@pytest.mark.parametrize(("replacement", "told"), [
    (('"sqlite:///store.db"', '"sqlite:////nowhere/store.db"'), "does not exist"),
    (('"unix:admin.sock"', '"unix:/nowhere/admin.sock"'), "[http] admin"),
])
async def test_places_that_cannot_be_used_are_told(folder: Path, replacement: tuple[str, str], told: str) -> None:
    file = folder / "dispatcher.toml"
    file.write_text(file.read_text().replace(*replacement))
    async with daemon(folder) as one:
        assert await one.ended() == 1
        assert told in one.logged[-1]["why"]


@pytest.mark.asyncio
async def test_a_socket_that_a_crash_left_is_no_obstacle(folder: Path) -> None:
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        one.process.kill()
        await one.ended()
    assert (folder / "admin.sock").is_socket()
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        async with one.client() as client:
            assert (await client.get("/readyz"))[0] == 200


@pytest.mark.asyncio
async def test_a_bad_campaign_at_start_is_named_and_keeps_nobody_from_work(folder: Path) -> None:
    bad = folder / "campaigns" / "bad"
    bad.mkdir()
    (bad / "campaign.toml").write_text('id = "bad"\n')
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        async with one.client() as client:
            status = (await client.call("status"))[1]["result"]
            assert any("bad/campaign.toml" in fault for fault in status["faults"])
            (bad / "campaign.toml").unlink()
            await client.call("reload")
            assert (await client.call("status"))[1]["result"]["faults"] == []
        assert (await one.until_logged("campaign_not_applied"))["level"] == "error"


@pytest.mark.asyncio
async def test_a_hangup_reloads_and_a_thousand_of_them_only_as_often_as_there_is_time(folder: Path) -> None:
    file = folder / "dispatcher.toml"
    good = file.read_text()
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        file.write_text(good.replace("start = 36000", "start = 18000"))
        one.process.send_signal(signal.SIGHUP)
        await one.until_told("RELOADING=1")
        await one.until_told("READY=1")
        changed = await one.until_logged("setting_changed")
        assert changed["change"] == "ramps.quick.start: 36000 -> 18000"
        file.write_text(good.replace('"1s"', '"soon"'))
        one.process.send_signal(signal.SIGHUP)
        refused = await one.until_logged("reload_refused")
        line = good.splitlines().index('every = "1s"') + 1
        assert f"dispatcher.toml:{line}: ramps.quick.every" in refused["fault"]
        file.write_text(good)
        for number in range(1_000):
            file.write_text(good.replace("start = 36000", f"start = {36_000 - number % 2}"))
            one.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0)
        file.write_text(good.replace("start = 36000", "start = 7"))
        one.process.send_signal(signal.SIGHUP)
        async with one.client() as client:
            assert (await client.call("reload"))[0] == 200      # after this, the last file is in force
            assert (await client.call("reload"))[1]["result"]["changed"] is False
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0


@pytest.mark.asyncio
async def test_nobodys_data_is_in_the_log(folder: Path) -> None:
    async with daemon(folder) as one:
        await one.until_told("READY=1")
        await enqueue(one, 3, await since(one))
        async with one.client() as client:
            await client.call("suppress.add", {"addresses": ["c1@mail.example"], "note": "asked"})
            await client.call("customers.show", {"id": "c1"})
            await client.call("customers.show", {"id": ["c1@mail.example"]})
        one.process.send_signal(signal.SIGTERM)
        assert await one.ended() == 0
        assert "mail.example" not in str(one.logged)
        assert "N1" not in str(one.logged)
