"""The email channel against a real server that misbehaves: every row of the table of outcomes, phase by phase.

What was sent is what the server read. Silences end by deadlines of 400 ms; all other deadlines are out of reach.
"""

import asyncio
import socket
from dataclasses import replace

import pytest
from support import smtp_server
from support.email_channels import BODY, DEADLINES, email_channel, envelope
from support.smtp_server import CLOSE, RESET, SILENCE, Act, Script, SmtpServer, at, say
from support.until import until

from channels import smtp_session
from channels.contract import Outcome, Result, Trouble
from channels.smtp_connect import Deadlines
from channels.smtp_outcomes import Phase, outcome_of_reply
from channels.smtp_replies import Reply


@pytest.fixture(autouse=True, params=[(), ("PIPELINING",)], ids=["one by one", "pipelined"])
def hello(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every outcome is the same whether the commands go one by one or all at once."""
    monkeypatch.setattr(smtp_server, "HELLO", (*smtp_server.HELLO, *request.param))

ACCEPTED, DEFERRED, REJECTED, IN_DOUBT = Result.ACCEPTED, Result.DEFERRED, Result.REJECTED, Result.IN_DOUBT
NONE, BAD_ADDRESS, UNREACHABLE, BUSY, SETUP = (
    Trouble.NONE, Trouble.BAD_ADDRESS, Trouble.UNREACHABLE, Trouble.BUSY, Trouble.SETUP)
SHORT = {
    "banner": replace(DEADLINES, command=400), "ehlo": replace(DEADLINES, command=400),
    "mail": replace(DEADLINES, command=400), "rcpt": replace(DEADLINES, command=400),
    "data": replace(DEADLINES, data=400), "body": replace(DEADLINES, block=400), "dot": replace(DEADLINES, dot=400),
}
BEFORE_MAIL = ("banner", "ehlo")
BEFORE_THE_DOT = (*BEFORE_MAIL, "mail", "rcpt", "data")
LONG = BODY + b"x" * 70 + b"\r\n" + (b"y" * 998 + b"\r\n") * 40_000


async def outcome_of(script: Script, deadlines: Deadlines = DEADLINES) -> tuple[Outcome, SmtpServer]:
    """One message to a server with this script."""
    async with SmtpServer(script) as server, email_channel(server.port, deadlines=deadlines) as channel:
        return await channel.send(envelope()), server


REPLIES = [
    # phase, reply, result, trouble, code
    ("banner", "450 4.3.2 later", DEFERRED, UNREACHABLE, "450 4.3.2"),
    ("banner", "554 no SMTP service here", DEFERRED, UNREACHABLE, "554"),
    ("banner", "421 4.7.0 too many connections", DEFERRED, BUSY, "421 4.7.0"),
    ("ehlo", "451 4.3.0 later", DEFERRED, UNREACHABLE, "451 4.3.0"),
    ("ehlo", "550 go away", DEFERRED, UNREACHABLE, "550"),
    ("ehlo", "421 busy", DEFERRED, BUSY, "421"),
    ("mail", "451 4.7.1 greylisted", DEFERRED, NONE, "451 4.7.1"),
    ("mail", "421 4.7.0 slow down", DEFERRED, BUSY, "421 4.7.0"),
    ("mail", "550 5.1.8 sender refused", DEFERRED, SETUP, "550 5.1.8"),
    ("mail", "530 5.7.0 authenticate first", DEFERRED, SETUP, "530 5.7.0"),
    ("mail", "552 5.3.4 too big", REJECTED, NONE, "552 5.3.4"),
    ("mail", "550 5.6.7 not in ASCII", REJECTED, NONE, "550 5.6.7"),
    ("rcpt", "450 4.2.1 later", DEFERRED, NONE, "450 4.2.1"),
    ("rcpt", "421 4.7.0 slow down", DEFERRED, BUSY, "421 4.7.0"),
    ("rcpt", "550 5.1.1 no such user", REJECTED, BAD_ADDRESS, "550 5.1.1"),
    ("rcpt", "556 5.1.10 null MX", REJECTED, BAD_ADDRESS, "556 5.1.10"),
    ("rcpt", "550 5.7.1 policy", REJECTED, NONE, "550 5.7.1"),
    ("rcpt", "550 no such user", REJECTED, NONE, "550"),
    ("rcpt", "552 5.2.2 mailbox full", REJECTED, NONE, "552 5.2.2"),
    ("rcpt", "550 Domain frequency limited", DEFERRED, BUSY, "550"),
    ("data", "451 4.3.0 later", DEFERRED, NONE, "451 4.3.0"),
    ("data", "421 4.3.2 going down", DEFERRED, BUSY, "421 4.3.2"),
    ("data", "554 5.5.1 no valid recipients", REJECTED, NONE, "554 5.5.1"),
    ("data", "250 ok", DEFERRED, NONE, "250"),
    ("dot", "200 ok", ACCEPTED, NONE, "200"),
    ("dot", "250 2.6.0 queued as 17", ACCEPTED, NONE, "250 2.6.0"),
    ("dot", "251 will forward", ACCEPTED, NONE, "251"),
    ("dot", "450 4.7.1 later", DEFERRED, NONE, "450 4.7.1"),
    ("dot", "421 4.3.2 going down", DEFERRED, BUSY, "421 4.3.2"),
    ("dot", "550 5.1.1 no such user after all", REJECTED, BAD_ADDRESS, "550 5.1.1"),
    ("dot", "550 5.7.515 access denied", REJECTED, NONE, "550 5.7.515"),
    ("dot", "550 Ip frequency limited", DEFERRED, BUSY, "550"),
    ("dot", "354 go on", IN_DOUBT, NONE, "354"),
    ("dot", "hello there", IN_DOUBT, NONE, ""),
    ("dot", "250ok", IN_DOUBT, NONE, ""),
    ("dot", "999 what", IN_DOUBT, NONE, ""),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("phase", "reply", "result", "trouble", "code"), REPLIES)
async def test_a_reply_means_what_its_phase_says(
        phase: str, reply: str, result: Result, trouble: Trouble, code: str) -> None:
    outcome, _ = await outcome_of(at(phase, say(reply)))
    assert (outcome.result, outcome.trouble, outcome.code) == (result, trouble, code)
    assert outcome.reached == (phase not in BEFORE_MAIL)
    assert reply in outcome.detail


@pytest.mark.asyncio
@pytest.mark.parametrize("phase", BEFORE_THE_DOT)
@pytest.mark.parametrize("act", [
    CLOSE, RESET, SILENCE, Act(b"nonsense\r\n"), Act(b"25", end="close"), Act(b"250-half\r\n", end="silence"),
    Act(b"250-" + b"x" * 40_000, end="silence"), Act(b"\xff\x00\r\n"),
], ids=["close", "reset", "silence", "nonsense", "half a code", "half a reply", "endless", "bytes"])
async def test_what_breaks_before_the_final_dot_is_surely_not_sent(phase: str, act: Act) -> None:
    outcome, server = await outcome_of(at(phase, act), SHORT[phase])
    assert outcome.result is DEFERRED
    assert (outcome.trouble, outcome.reached) == ((UNREACHABLE, False) if phase in BEFORE_MAIL else (NONE, True))
    assert not server.mails


@pytest.mark.asyncio
@pytest.mark.parametrize("act", [
    CLOSE, RESET, SILENCE, Act(b"25", end="close"), Act(b"250-half\r\n", end="silence"),
    Act(b"250 " + b"x" * 40_000, end="silence"), Act(b"\xff\x00\r\n"),
], ids=["close", "reset", "silence", "half a code", "half a reply", "endless", "bytes"])
async def test_what_breaks_after_the_final_dot_is_in_doubt(act: Act) -> None:
    outcome, server = await outcome_of(at("dot", act), SHORT["dot"])
    assert (outcome.result, outcome.trouble, outcome.code, outcome.reached) == (IN_DOUBT, NONE, "", True)
    assert len(server.mails) == 1
    assert server.seen[0].ended == "hung up"


@pytest.mark.asyncio
@pytest.mark.parametrize("phase", [*BEFORE_THE_DOT, "dot"])
async def test_a_dripping_reply_gets_no_more_time_than_a_silent_one(phase: str) -> None:
    drip = Act(b"250-" + b"x" * 2_000, gap=0.01)
    outcome, _ = await outcome_of(at(phase, drip), SHORT[phase])
    assert outcome.result is (IN_DOUBT if phase == "dot" else DEFERRED)
    assert "in time" in outcome.detail


@pytest.mark.asyncio
@pytest.mark.parametrize("phase", [*BEFORE_THE_DOT, "dot"])
async def test_a_reply_that_drips_to_its_end_in_time_is_a_reply(phase: str) -> None:
    reply = b"354 go\r\n" if phase == "data" else b"220 hi\r\n" if phase == "banner" else b"250-a\r\n250 ok\r\n"
    outcome, server = await outcome_of(at(phase, Act(reply, gap=0.001)))
    assert (outcome.result, len(server.mails)) == (ACCEPTED, 1)


@pytest.mark.asyncio
@pytest.mark.parametrize(("act", "result", "trouble"), [
    (CLOSE, DEFERRED, NONE), (RESET, DEFERRED, NONE), (SILENCE, DEFERRED, NONE),
    (Act(b"552 5.3.4 enough\r\n", end="silence"), REJECTED, NONE),
    (Act(b"452 4.3.1 disk full\r\n", end="silence"), DEFERRED, NONE),
    (Act(b"421 4.3.2 going down\r\n", end="silence"), DEFERRED, BUSY),
    (Act(b"250 thanks\r\n", end="silence"), DEFERRED, NONE),
], ids=["close", "reset", "silence", "552", "452", "421", "250"])
async def test_a_long_body_that_is_cut_short_is_surely_not_sent(act: Act, result: Result, trouble: Trouble) -> None:
    async with SmtpServer(at("body", act), offers=()) as server, \
            email_channel(server.port, deadlines=SHORT["body"]) as channel:
        outcome = await channel.send(envelope(body=LONG))
        assert (outcome.result, outcome.trouble, outcome.reached) == (result, trouble, True)
        assert not server.mails


@pytest.mark.asyncio
async def test_a_long_body_arrives_whole() -> None:
    async with SmtpServer(offers=()) as server, email_channel(server.port) as channel:
        assert (await channel.send(envelope(body=LONG))).result is ACCEPTED
        assert server.mails[0].data == LONG


@pytest.mark.asyncio
async def test_a_refused_connection_and_an_unknown_name_are_deferred_as_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))    # bound and not listening: refuses
        async with email_channel(taken.getsockname()[1]) as channel:
            refused = await channel.send(envelope())
    assert (refused.result, refused.trouble, refused.reached, refused.code) == (DEFERRED, UNREACHABLE, False, "")
    assert "while connecting" in refused.detail


@pytest.mark.asyncio
async def test_a_name_that_does_not_resolve_is_deferred_as_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)    # no test asks a name server
    async with email_channel(25) as channel:
        outcome = await channel.send(envelope())
    assert (outcome.result, outcome.trouble, outcome.reached) == (DEFERRED, UNREACHABLE, False)
    assert "cannot be resolved" in outcome.detail


@pytest.mark.asyncio
async def test_a_black_hole_costs_its_deadline_and_leaves_nothing_open() -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(50)    # the system answers, nobody accepts
        tasks = asyncio.all_tasks()
        async with email_channel(
                hole.getsockname()[1], connections=5, deadlines=replace(DEADLINES, command=100)) as channel:
            outcomes = await asyncio.gather(*(channel.send(envelope()) for _ in range(20)))
        assert {(one.result, one.trouble) for one in outcomes} == {(DEFERRED, UNREACHABLE)}
        await until(lambda: not asyncio.all_tasks() - tasks)


@pytest.mark.asyncio
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data"])
@pytest.mark.parametrize("reply", ["450 4.2.1 later", "550 5.7.1 never"])
async def test_a_clean_refusal_keeps_the_connection_and_resets_the_transaction(phase: str, reply: str) -> None:
    async with SmtpServer(at(phase, say(reply), message=1)) as server, email_channel(server.port) as channel:
        await channel.send(envelope("first@customer.example"))
        assert (await channel.send(envelope("second@customer.example"))).result is ACCEPTED
        assert len(server.seen) == 1
        assert b"RSET\r\n" in server.lines
        assert [mail.recipient for mail in server.mails] == ["second@customer.example"]


@pytest.mark.asyncio
@pytest.mark.parametrize("act", [say("500 no"), say("421 bye"), CLOSE])
async def test_a_reset_that_fails_costs_a_connection_and_no_message(act: Act) -> None:
    refuse, fail = at("rcpt", say("450 later"), connection=1), at("rset", act)
    async with SmtpServer(lambda step: refuse(step) or fail(step)) as server, email_channel(server.port) as channel:
        await channel.send(envelope("first@customer.example"))
        assert (await channel.send(envelope("second@customer.example"))).result is ACCEPTED
        assert len(server.seen) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("act", [say("421 4.7.0 bye"), Act(b"what\r\n")], ids=["421", "nonsense"])
async def test_after_anything_but_a_clean_reply_the_next_message_has_a_fresh_connection(phase: str, act: Act) -> None:
    async with SmtpServer(at(phase, act, connection=1)) as server, email_channel(server.port) as channel:
        assert (await channel.send(envelope("first@customer.example"))).result in (DEFERRED, IN_DOUBT)
        assert (await channel.send(envelope("second@customer.example"))).result is ACCEPTED
        assert [seen.messages for seen in server.seen] == [1, 1]


@pytest.mark.asyncio
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
async def test_replies_beyond_those_asked_for_are_never_taken_for_a_later_message(
    phase: str, request: pytest.FixtureRequest,
) -> None:
    good = "354 go on" if phase == "data" else "250 ok"
    twice = at(phase, say(good, "550 5.1.1 no such user"), connection=1)
    async with SmtpServer(twice) as server, email_channel(server.port) as channel:
        first = await channel.send(envelope("first@customer.example"))
        # Sent all at once, a reply too many is taken for the next command's, of the same message.
        early = REJECTED if "pipelined" in request.node.name and phase in {"mail", "rcpt"} else DEFERRED
        assert first.result is (ACCEPTED if phase == "dot" else early)
        second = await channel.send(envelope("second@customer.example"))
        assert (second.result, second.trouble) == (ACCEPTED, NONE)
        assert len(server.seen) == 2
        assert len(server.mails) == (2 if phase == "dot" else 1)


@pytest.mark.asyncio
@pytest.mark.parametrize(("phase", "result"), [(Phase.RCPT, DEFERRED), (Phase.DOT, IN_DOUBT)])
async def test_a_fault_of_our_own_is_an_outcome_too_and_never_less_careful(
        monkeypatch: pytest.MonkeyPatch, phase: Phase, result: Result) -> None:
    def fail(at_phase: Phase, reply: Reply) -> Outcome | None:
        if at_phase is phase:
            raise ZeroDivisionError
        return outcome_of_reply(at_phase, reply)

    monkeypatch.setattr(smtp_session, "outcome_of_reply", fail)
    async with SmtpServer() as server, email_channel(server.port, connections=1) as channel:
        for _ in range(2):    # the place is free again, the connection gone
            outcome = await channel.send(envelope())
            assert (outcome.result, outcome.reached) == (result, True)
            assert "ZeroDivisionError" in outcome.detail
        assert len(server.seen) == 2
