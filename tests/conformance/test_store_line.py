"""The line for the store: one at a time, in order, the urgent first, and nobody who gives up keeps a place."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.store.line import Line


async def stand(line, name, seen, *, urgent=False):
    async with line.turn(urgent=urgent):
        seen.append(name)
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_first_come_first_served_but_the_urgent_go_first():
    line, seen = Line(), []
    async with asyncio.TaskGroup() as tasks, line.turn():
        for name, urgent in (("a", False), ("b", False), ("c", True), ("d", True), ("e", False)):
            tasks.create_task(stand(line, name, seen, urgent=urgent))
        await asyncio.sleep(0)
        assert seen == []
    assert seen == ["c", "d", "a", "b", "e"]
    assert not line.taken


@pytest.mark.asyncio
async def test_nobody_slips_in_between_two_who_stand_in_it():
    line, seen = Line(), []
    async with line.turn():
        waiting = asyncio.create_task(stand(line, "first", seen))
        await asyncio.sleep(0)
    late = asyncio.create_task(stand(line, "late", seen))     # the place was given on, and not yet taken
    await asyncio.gather(waiting, late)
    assert seen == ["first", "late"]


@pytest.mark.asyncio
async def test_an_error_inside_gives_the_place_back():
    line = Line()
    with pytest.raises(ValueError, match="mine"):
        async with line.turn():
            raise ValueError("mine")
    assert not line.taken


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=12), st.data())
def test_whoever_is_cancelled_whenever_one_at_a_time_and_nobody_is_forgotten(people, data):
    """`people`: urgent or not, and the turn of the loop in which they come; some are cancelled at any turn."""
    given_up = data.draw(st.lists(st.tuples(st.integers(0, len(people) - 1), st.integers(0, 30)), max_size=6))

    async def live():
        line, inside, done = Line(), 0, []

        async def one(number, urgent, at):
            nonlocal inside
            for _ in range(at):
                await asyncio.sleep(0)
            async with line.turn(urgent=urgent):
                inside += 1
                assert inside == 1
                try:
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                finally:
                    inside -= 1
            done.append(number)

        tasks = [asyncio.create_task(one(number, *person)) for number, person in enumerate(people)]
        for turn in range(31):
            for number, at in given_up:
                if at == turn:
                    tasks[number].cancel()
            await asyncio.sleep(0)
        found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert not line.taken
        cancelled = {number for number, one in enumerate(found) if isinstance(one, asyncio.CancelledError)}
        assert cancelled <= {number for number, _ in given_up}
        assert set(done) | cancelled == set(range(len(people)))

    asyncio.run(live())
