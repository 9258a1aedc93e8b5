"""Work beside the loop: in a thread, or in a process that ends with whom it helps, and is missed when it dies."""

import gc
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from support.offices import Desk, faulty
from support.world import World, world

from dispatcher import collector
from dispatcher.operations.aside import Aside, AsideEndedError
from dispatcher.operations.office import PART

HELPED = """
import asyncio, os, sys
from dispatcher.operations.aside import Aside

async def main():
    aside = Aside(process=True)
    print(await aside.at_length(os.getpid), flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def one(tmp_path) -> AsyncIterator[World]:
    async with world(tmp_path, people=10) as it:
        yield it


@pytest.fixture
def aside() -> Iterator[Aside]:
    it = Aside(process=True)
    yield it
    it.close()


@pytest.mark.asyncio
async def test_little_is_done_in_a_thread_and_much_in_one_process(aside: Aside) -> None:
    assert await aside.briefly(threading.get_ident) != threading.get_ident()
    assert await aside.briefly(os.getpid) == os.getpid()
    helper = await aside.at_length(os.getpid)
    assert helper != os.getpid()
    assert await aside.at_length(os.getpid) == helper
    aside.close()
    with pytest.raises(ProcessLookupError):
        os.kill(helper, 0)
    assert await aside.at_length(os.getpid) not in {helper, os.getpid()}


@pytest.mark.asyncio
async def test_a_daemon_has_no_process_beside_it() -> None:
    assert await Aside().at_length(os.getpid) == os.getpid()


@pytest.mark.asyncio
async def test_what_a_function_raises_comes_back(aside: Aside) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await aside.at_length(int, "x")


@pytest.mark.asyncio
async def test_a_helper_that_is_killed_is_missed_and_the_next_one_works(aside: Aside) -> None:
    helper = await aside.at_length(os.getpid)
    os.kill(helper, signal.SIGKILL)
    with pytest.raises(AsideEndedError):    # what was asked before its end is seen is answered by nobody either
        await aside.at_length(os.getpid)
    assert await aside.at_length(os.getpid) not in {helper, os.getpid()}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_helper_ends_with_the_one_that_it_helps(how: signal.Signals) -> None:
    words = [sys.executable, "-c", HELPED]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as helped:  # noqa: S603 -- our own words
        assert helped.stdout is not None
        helper = int(helped.stdout.readline())
        watched = os.pidfd_open(helper)
        try:
            assert os.getpgid(helper) != os.getpgid(helped.pid)     # what the keyboard says is for the other to heed
            helped.send_signal(how)
            helped.wait()
            assert select.select([watched], [], [], 60)[0] == [watched]
        finally:
            os.close(watched)


@pytest.mark.asyncio
async def test_lines_are_read_part_by_part_and_each_keeps_its_number(one: World) -> None:
    desk = Desk(one, daemon=False)
    count = PART * 4 + 7
    lines = [f'{{"customer": "c{number % 10}", "key": "k{number}"}}' for number in range(count)]
    wrong = {0, PART - 1, PART, PART * 3 + 5, count - 1}
    for number in wrong:
        lines[number] = "[]"
    result = await desk("send.lines", campaign="delay", first=5, text="\n".join([*lines, ""]))
    assert faulty(result) == [number + 5 for number in sorted(wrong)]
    assert (result["queued"], result["read"]) == (count - len(wrong), count - len(wrong))
    again = await desk("send.lines", campaign="delay", first=5, text="\n".join(lines))
    assert (again["queued"], again["duplicate"], faulty(again)) == (0, count - len(wrong), faulty(result))


@pytest.mark.asyncio
async def test_lines_are_for_one_campaign_that_must_be_there(one: World) -> None:
    desk = Desk(one)
    text = '{"customer": "c0"}\n{"customer": "c1", "campaign": "else"}\n{"customer": "c0", "data": {"n": 1}}\n'
    result = await desk("send.lines", campaign="delay", first=1, text=text)
    assert [fault["reason"] for fault in result["faults"]] == [
        "campaign: is 'else', and this sends delay; send it by itself",
        "key: was taken before with other content, and the first stands; give another key",
    ]
    unknown = await desk.refused("send.lines", campaign="nothing", first=1, text=text)
    assert (unknown.kind, unknown.message) == ("unknown", "no campaign is called nothing; apply it first")
    await desk("campaign.cancel", id="delay", reason="solved")
    canceled = await desk.refused("send.lines", campaign="delay", first=1, text=text)
    assert (canceled.kind, canceled.message) == (
        "conflict", "delay was canceled for good; give it a new id to send it anew")


@pytest.mark.asyncio
async def test_a_reader_that_is_killed_refuses_what_it_had_and_sending_it_again_adds_the_rest(
    one: World, aside: Aside,
) -> None:
    desk = Desk(one, daemon=False)
    desk.office.aside = aside
    helper = await aside.at_length(os.getpid)
    os.kill(helper, signal.SIGKILL)
    text = "\n".join(f'{{"customer": "c{number % 10}", "key": "k{number}"}}' for number in range(PART * 3))
    refusal = await desk.refused("send.lines", campaign="delay", first=1, text=text)
    assert (refusal.kind, refusal.message) == (
        "failed", "the process that reads the file was ended; send it again, nobody is added twice")
    again = await desk("send.lines", campaign="delay", first=1, text=text)
    assert (again["queued"], again["duplicate"]) == (PART * 2, PART)


def test_who_spares_the_collector_has_it_look_seldom_and_at_what_is_new() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        collector.spare(collector.COMMAND)
        assert gc.get_threshold() == collector.COMMAND
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
