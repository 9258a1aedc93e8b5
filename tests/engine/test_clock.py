"""The clocks: the machine's, and the one that tests move."""

import asyncio

import pytest

from dispatcher.clock import SystemClock, VirtualClock


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_the_virtual_clock_wakes_sleepers_at_their_instant_in_order() -> None:
    clock, woken = VirtualClock(1000), []

    async def sleep(instant: int) -> None:
        await clock.sleep_until(instant)
        woken.append((instant, clock.now()))

    tasks = [asyncio.create_task(sleep(instant)) for instant in (3000, 2000, 500)]
    await turns()
    assert woken == [(500, 1000)]
    while (following := clock.next_wake()) is not None:
        clock.set(following)
        await turns()
    assert woken == [(500, 1000), (2000, 2000), (3000, 3000)]
    await asyncio.gather(*tasks)


@pytest.mark.asyncio
async def test_a_jump_of_the_wall_clock_wakes_sleepers_but_ends_no_pause() -> None:
    clock = VirtualClock(1000)
    sleeper, pauser = asyncio.create_task(clock.sleep_until(2000)), asyncio.create_task(clock.pause(500))
    await turns()
    clock.jump(5000)
    await turns()
    assert (sleeper.done(), pauser.done(), clock.next_wake(), clock.monotonic()) == (True, False, 5500, 0)
    clock.jump(0)
    clock.set(500)
    await turns()
    assert pauser.done()
    assert (clock.now(), clock.monotonic()) == (500, 0.5)


@pytest.mark.asyncio
@pytest.mark.parametrize("clock", [VirtualClock(), SystemClock()], ids=["virtual", "system"])
async def test_an_event_ends_a_sleep_and_a_pause_at_once(clock: VirtualClock | SystemClock) -> None:
    wake = asyncio.Event()
    tasks = [asyncio.create_task(clock.sleep_until(2**50, wake)), asyncio.create_task(clock.pause(2**40, wake))]
    await turns()
    assert not any(task.done() for task in tasks)
    wake.set()
    await asyncio.gather(*tasks)
    await clock.sleep_until(2**50, wake)
    await clock.pause(2**40, wake)


@pytest.mark.asyncio
async def test_the_systems_clock_is_never_early() -> None:
    clock = SystemClock()
    instant, mark = clock.now() + 5, clock.monotonic()
    await clock.sleep_until(instant)
    await clock.pause(5)
    assert clock.now() >= instant
    assert clock.monotonic() - mark >= 0.009
    assert -1 <= clock.chance() <= 1
