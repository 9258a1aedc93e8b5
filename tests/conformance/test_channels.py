"""What every channel does (channels/contract.py), against a provider on this machine; a new channel joins RIGS."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from support.channel_rigs import RIGS, Rig
from support.until import until

from channels.contract import Result, Trouble


@pytest_asyncio.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with RIGS[request.param]() as made:
        yield made


@pytest.mark.asyncio
async def test_what_is_accepted_has_arrived_byte_for_byte_at_its_recipient_only(rig: Rig) -> None:
    envelopes = [rig.envelope(number) for number in range(20)]
    outcomes = await asyncio.gather(*(rig.channel.send(one) for one in envelopes))
    assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
    assert sorted(rig.received()) == sorted((one.recipient, one.body) for one in envelopes)


@pytest.mark.asyncio
@pytest.mark.parametrize(("deed", "result", "trouble", "reached"), [
    ("accept", Result.ACCEPTED, Trouble.NONE, True),
    ("defer", Result.DEFERRED, Trouble.NONE, True),
    ("reject", Result.REJECTED, Trouble.BAD_ADDRESS, True),
    ("vanish", Result.IN_DOUBT, Trouble.NONE, True),
    ("refuse", Result.DEFERRED, Trouble.UNREACHABLE, False),
])
async def test_an_outcome_says_what_the_provider_did(
        rig: Rig, deed: str, result: Result, trouble: Trouble, reached: bool) -> None:  # noqa: FBT001 -- a table's column
    rig.will(deed)
    outcome = await rig.channel.send(rig.envelope(1))
    assert (outcome.result, outcome.trouble, outcome.reached) == (result, trouble, reached)
    assert outcome.detail
    assert outcome.detail.isprintable()
    assert len(outcome.detail) <= 500


@pytest.mark.asyncio
@pytest.mark.parametrize("deed", ["defer", "reject", "vanish", "refuse"])
async def test_a_misdeed_harms_no_later_message(rig: Rig, deed: str) -> None:
    rig.will(deed)
    await rig.channel.send(rig.envelope(1))
    rig.will("accept")
    outcome = await rig.channel.send(rig.envelope(2))
    assert outcome.result is Result.ACCEPTED
    assert rig.received()[-1] == (rig.envelope(2).recipient, rig.envelope(2).body)


@pytest.mark.asyncio
async def test_no_more_hand_overs_run_side_by_side_than_the_width(rig: Rig) -> None:
    await asyncio.gather(*(rig.channel.send(rig.envelope(number)) for number in range(50)))
    assert rig.busy() == rig.channel.width


@pytest.mark.asyncio
async def test_a_cancelled_hand_over_raises_frees_its_place_and_leaves_no_connection(rig: Rig) -> None:
    rig.will("hang")
    width = rig.channel.width
    hand_overs = [asyncio.create_task(rig.channel.send(rig.envelope(number))) for number in range(width)]
    await until(lambda: len(rig.received()) == width)
    for hand_over in hand_overs:
        hand_over.cancel()
    ends = await asyncio.gather(*hand_overs, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * width
    await until(lambda: not rig.open())
    rig.will("accept")
    assert (await rig.channel.send(rig.envelope(9))).result is Result.ACCEPTED


@pytest.mark.asyncio
async def test_close_ends_everything_may_be_repeated_and_what_comes_later_is_deferred(rig: Rig) -> None:
    tasks = asyncio.all_tasks()
    await asyncio.gather(*(rig.channel.send(rig.envelope(number)) for number in range(10)))
    rig.will("hang")
    width = rig.channel.width
    under_way = [asyncio.create_task(rig.channel.send(rig.envelope(10 + number))) for number in range(2 * width)]
    await until(lambda: len(rig.received()) == 10 + width)
    await rig.channel.close()
    await rig.channel.close()
    ends = [outcome.result for outcome in await asyncio.gather(*under_way)]
    assert ends == [Result.IN_DOUBT] * width + [Result.DEFERRED] * width
    await until(lambda: not rig.open())
    late = await rig.channel.send(rig.envelope(99))
    assert (late.result, late.reached) == (Result.DEFERRED, False)
    assert len(rig.received()) == 10 + width
    await until(lambda: not asyncio.all_tasks() - tasks)
