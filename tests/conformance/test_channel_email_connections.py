"""The connections of the email channel: how many, how long, and that a kept one that has died costs nothing."""

import asyncio
import gc
import ssl
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from support import smtp_server
from support.email_channels import DEADLINES, email_channel, envelope
from support.smtp_server import CLOSE, RESET, SILENCE, Act, SmtpServer, at
from support.until import until

from channels.contract import Result, Trouble


@pytest.fixture(autouse=True, params=[(), ("PIPELINING",)], ids=["one by one", "pipelined"])
def hello(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every outcome is the same whether the commands go one by one or all at once."""
    monkeypatch.setattr(smtp_server, "HELLO", (*smtp_server.HELLO, *request.param))


def descriptors() -> int:
    """Open files and sockets of this process."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.asyncio
async def test_one_connection_carries_many_messages() -> None:
    async with SmtpServer() as server, email_channel(server.port) as channel:
        for _ in range(30):
            assert (await channel.send(envelope())).result is Result.ACCEPTED
        assert [seen.messages for seen in server.seen] == [30]


@pytest.mark.asyncio
@pytest.mark.parametrize("width", [1, 4])
async def test_the_server_never_sees_more_connections_than_configured(width: int) -> None:
    async with (
        SmtpServer() as server,
        email_channel(server.port, connections=width, messages_per_connection=7) as channel,
    ):
        outcomes = await asyncio.gather(*(channel.send(envelope()) for _ in range(100)))
        assert Counter(outcome.result for outcome in outcomes) == {Result.ACCEPTED: 100}
        assert server.most_open == width == channel.width
        assert max(seen.messages for seen in server.seen) == 7


@pytest.mark.asyncio
async def test_who_waits_is_served_in_the_order_of_asking() -> None:
    async with SmtpServer() as server, email_channel(server.port, connections=1) as channel:
        await asyncio.gather(*(channel.send(envelope(f"c{number:02}@customer.example")) for number in range(20)))
        assert [mail.recipient for mail in server.mails] == [f"c{number:02}@customer.example" for number in range(20)]


@pytest.mark.asyncio
async def test_a_connection_idle_for_too_long_is_closed_with_a_goodbye_and_the_next_message_opens_one() -> None:
    async with SmtpServer() as server, email_channel(server.port, connections=3, idle=50) as channel:
        await asyncio.gather(*(channel.send(envelope()) for _ in range(3)))
        await server.all_gone()
        assert [seen.ended for seen in server.seen] == ["quit"] * 3
        assert (await channel.send(envelope())).result is Result.ACCEPTED
        assert len(server.seen) == 4


@pytest.mark.asyncio
async def test_closing_says_goodbye_and_does_not_wait_for_a_server_that_ignores_it() -> None:
    async with SmtpServer(at("quit", SILENCE)) as server:
        async with email_channel(server.port, deadlines=replace(DEADLINES, quit=50)) as channel:
            await channel.send(envelope())
        await server.all_gone()
        assert b"QUIT\r\n" in server.lines


@pytest.mark.asyncio
@pytest.mark.parametrize("act", [CLOSE, RESET], ids=["close", "reset"])
async def test_a_kept_connection_that_dies_at_mail_is_replaced_within_the_same_hand_over(act: Act) -> None:
    async with SmtpServer(at("mail", act, message=2)) as server, email_channel(server.port) as channel:
        for _ in range(2):
            assert (await channel.send(envelope())).result is Result.ACCEPTED
        assert [seen.messages for seen in server.seen] == [2, 1]
        assert len(server.mails) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("act", [
    CLOSE, RESET, Act(b"250 ok\r\n421 4.4.2 idle\r\n"), Act(b"250 ok\r\n421 4.4.2 idle\r\n", end="close"),
], ids=["close", "reset", "421", "421 and close"])
async def test_a_kept_connection_that_the_server_ended_while_idle_costs_no_deferral(act: Act) -> None:
    act = replace(act, say=act.say or b"250 ok\r\n")
    async with SmtpServer(at("dot", act, connection=1)) as server, email_channel(server.port) as channel:
        for _ in range(2):
            assert (await channel.send(envelope())).result in (Result.ACCEPTED, Result.IN_DOUBT)
        assert len(server.seen) == 2
        assert len(server.mails) == 2


@pytest.mark.asyncio
async def test_a_fresh_connection_that_dies_at_mail_is_not_tried_again() -> None:
    async with SmtpServer(at("mail", CLOSE)) as server, email_channel(server.port) as channel:
        outcome = await channel.send(envelope())
        assert (outcome.result, outcome.trouble, outcome.reached) == (Result.DEFERRED, Trouble.NONE, True)
        assert len(server.seen) == 1


@pytest.mark.asyncio
async def test_a_kept_connection_that_falls_silent_is_not_tried_again_at_once() -> None:
    async with (
        SmtpServer(at("mail", SILENCE, message=2)) as server,
        email_channel(server.port, deadlines=replace(DEADLINES, command=400)) as channel,
    ):
        await channel.send(envelope())
        assert (await channel.send(envelope())).result is Result.DEFERRED
        assert len(server.seen) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("phase", ["banner", "ehlo", "mail", "rcpt", "data", "dot"])
async def test_cancelling_in_any_phase_ends_the_connection_and_frees_its_place(phase: str) -> None:
    tasks = asyncio.all_tasks()
    async with SmtpServer(at(phase, SILENCE, connection=1)) as server, \
            email_channel(server.port, connections=1) as channel:
        task = asyncio.create_task(channel.send(envelope()))
        verb = {"banner": b"", "dot": b"DATA"}.get(phase, phase.upper().encode())
        await until(lambda: server.seen and (not verb or any(line.startswith(verb) for line in server.lines)))
        await until(lambda: phase != "dot" or server.mails)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not server.open)
        assert server.seen[0].ended == "hung up"
        assert (await channel.send(envelope())).result is Result.ACCEPTED
    await until(lambda: not asyncio.all_tasks() - tasks)


@pytest.mark.asyncio
async def test_cancelling_at_any_turn_of_the_loop_raises_and_leaves_nothing_behind() -> None:
    tasks, canceled = asyncio.all_tasks(), 0
    async with SmtpServer() as server:
        for turns in range(80):
            async with email_channel(server.port, connections=1) as channel:
                task = asyncio.create_task(channel.send(envelope()))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if task.cancel():
                    canceled += 1
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    await until(lambda: not server.open)
                assert (await channel.send(envelope())).result is Result.ACCEPTED
            await until(lambda: not server.open)
    assert canceled >= 10
    await until(lambda: not asyncio.all_tasks() - tasks)


@pytest.mark.asyncio
async def test_cancelling_who_waits_for_a_place_disturbs_nobody() -> None:
    async with SmtpServer() as server, email_channel(server.port, connections=1) as channel:
        tasks = [asyncio.create_task(channel.send(envelope(f"c{number}@customer.example"))) for number in range(10)]
        await until(lambda: server.seen)
        for task in tasks[1::2]:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(end, asyncio.CancelledError) for end in ends) == 5
        assert [mail.recipient for mail in server.mails] == [f"c{even}@customer.example" for even in range(0, 10, 2)]


@pytest.mark.asyncio
@pytest.mark.parametrize("phase", ["banner", "ehlo", "mail", "dot"])
@pytest.mark.parametrize("secure", ["plain", "tls"])
async def test_silent_servers_leave_no_descriptor_and_no_task_behind(phase: str, secure: str, tmp_path: Path) -> None:
    authority, ca_file, context = trustme.CA(), tmp_path / "ca.pem", None
    if secure == "tls":
        authority.cert_pem.write_to_path(str(ca_file))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    tasks, before = asyncio.all_tasks(), descriptors()
    async with SmtpServer(at(phase, SILENCE), tls=context, implicit=context is not None) as server:
        deadlines = replace(DEADLINES, dot=100) if phase == "dot" else replace(DEADLINES, command=100)
        scheme, ca = ("smtps", str(ca_file)) if context else ("smtp", None)
        async with email_channel(server.port, "", scheme, ca_file=ca, connections=5, deadlines=deadlines) as channel:
            outcomes = await asyncio.gather(*(channel.send(envelope()) for _ in range(10)))
            await until(lambda: not server.open)    # without waiting for the channel to be closed
        assert {one.result for one in outcomes} == {Result.IN_DOUBT if phase == "dot" else Result.DEFERRED}
    await until(lambda: not asyncio.all_tasks() - tasks)
    assert descriptors() == before
