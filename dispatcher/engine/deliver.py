"""A batch on its way: rendered, marked, spread evenly over its slot, handed over one by one, each outcome noted.

The planned starts are absolute, so that no delay adds to the next; after a long one (the process or its machine stood
still, the server was stuck) what is late comes at twice the planned pace at most, not in one burst. Rendering and
marking run a little ahead of them, in groups, so that at its planned start a message is only handed over. Right before
that it is looked at once more: who stopped it meanwhile wins (promise P6). An error of this program in one message ends
that message, not the batch.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from channels.contract import Envelope, Outcome, Result
from dispatcher.content.faults import MessageFault, TemplateFaults
from dispatcher.content.skeleton import Letter
from dispatcher.core import retry
from dispatcher.core.ramp import start_time
from dispatcher.core.retry import Next, Tried
from dispatcher.core.states import State
from dispatcher.engine import outcomes
from dispatcher.engine.release import Batch
from dispatcher.engine.underway import Item
from dispatcher.engine.ways import Way
from dispatcher.engine.works import Works
from dispatcher.policy import split_lane
from dispatcher.store.journal import Finding

AHEAD: Final = 500
"""Milliseconds before their planned start at which messages are rendered and marked."""
LATE: Final = 1_000
"""Milliseconds behind its planned start from which on a message keeps half a planned gap to the one before it."""
GROUP: Final = 250
"""Messages that are rendered and marked together at most."""
BREATH: Final = 8
"""Messages that are rendered before other work gets a turn: some 0.3 ms."""

log = structlog.get_logger()


@dataclass(slots=True)   # not frozen: made once for every message
class Prepared:
    """A message ready to be handed over at its planned start."""

    item: Item
    start: int
    letter: Letter


@dataclass(frozen=True, slots=True)
class Group:
    """Messages that are prepared together, each with its planned start."""

    starts: Sequence[tuple[Item, int]]
    marked: bool = False      # as perhaps handed over, by their release


async def deliver(works: Works, batch: Batch, items: Sequence[Item]) -> None:
    """Take a released batch to its channel; returns when every hand-over of it has begun, or was stopped before.

    `items` are the batch's messages as works.underway knows them since the release.
    """
    sender = split_lane(batch.lane).sender
    starts = _starts(works, batch, len(items))
    apart = (starts[1] - starts[0]) // 2 if len(starts) > 1 else 0
    if works.watch is not None and batch.size:
        apart *= works.watch.living     # all together at twice the planned pace
    earliest = works.clock.monotonic()      # for one that is late
    following: asyncio.Queue[list[Prepared]] = asyncio.Queue(maxsize=1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_prepare_all(works, sender, list(_groups(items, starts, batch.marked)), following))
        while group := await following.get():
            for prepared in group:
                await works.clock.sleep_until(prepared.start)
                await _keep_apart(works, prepared, earliest)
                await _start(works, prepared)
                earliest = works.clock.monotonic() + apart / 1000
    if any(not item.begun and not item.stopped for item in items):
        # A reload took the sender away, perhaps only for a moment.
        mine = frozenset(items)
        await outcomes.give_back(works, works.underway.stop(lambda item: item in mine))


def _starts(works: Works, batch: Batch, count: int) -> list[int]:
    """The planned starts of our messages; of a batch that several daemons deliver, as they are in the whole."""
    if not batch.size:
        return works.starts(batch.slot, count, works.clock.now())
    begin = max(batch.slot.start, batch.released_at)
    return [start_time(begin, batch.slot.end, batch.size, batch.first + number) for number in range(count)]


async def _prepare_all(
    works: Works, sender: str, groups: Sequence[Group], following: asyncio.Queue[list[Prepared]]
) -> None:
    """Prepare group after group, one ahead of the hand-overs; an empty one is the end."""
    to_come = deque(groups)
    while to_come:
        group = to_come.popleft()
        await works.clock.sleep_until(group.starts[0][1] - AHEAD)
        group = _with_late(group, to_come, works.clock.now())
        way = works.ways.of(sender)
        if way is None:
            break
        prepared = await _prepare(works, way, group)
        if prepared:
            await following.put(prepared)
    await following.put([])


def _with_late(group: Group, to_come: deque[Group], now: int) -> Group:
    """A group, and those after it whose time has come too: marks that come late are one mark, so that they catch up."""
    starts = list(group.starts)
    while (not group.marked and to_come and to_come[0].starts[0][1] - AHEAD <= now
           and len(starts) + len(to_come[0].starts) <= GROUP):
        starts += to_come.popleft().starts
    return Group(starts, group.marked)


async def _keep_apart(works: Works, prepared: Prepared, earliest: float) -> None:
    """Let a message that is late wait for its distance to the one before; `earliest` in seconds, monotonic."""
    clock = works.clock
    wait = earliest - clock.monotonic()
    if wait > 0 and clock.now() - prepared.start > LATE and not prepared.item.stopped:
        await clock.pause(round(wait * 1000))


async def _start(works: Works, prepared: Prepared) -> None:
    """Begin a hand-over as soon as the sender has a turn, unless somebody stopped the message before."""
    lane = split_lane(prepared.item.lane)
    way = await works.ways.turn(lane)
    if way is None:
        return
    if works.watch is not None and not works.watch.may_begin:
        await works.watch.until_it_may()
    if works.closing or not works.underway.begin(prepared.item):
        way.turns.free(lane.provider)
        return
    task = asyncio.create_task(_hand_over(works, way, prepared))
    works.in_flight.add(task)
    task.add_done_callback(works.in_flight.discard)


def _groups(items: Sequence[Item], starts: Sequence[int], marked: int) -> Iterator[Group]:
    """Neighbours whose planned starts lie close enough together to be prepared at once.

    The first of them, so many, were marked by their release.
    """
    whole = list(zip(items, starts, strict=True))
    if marked:
        yield Group(whole[:marked], marked=True)
    group: list[tuple[Item, int]] = []
    for item, start in whole[marked:]:
        if group and (len(group) == GROUP or start - group[0][1] > AHEAD // 2):
            yield Group(group)
            group = []
        group.append((item, start))
    if group:
        yield Group(group)


async def _prepare(works: Works, way: Way, group: Group) -> list[Prepared]:
    """Render and mark what nobody has stopped; what cannot be rendered ends here, with its reason."""
    prepared = []
    for number, (item, start) in enumerate(group.starts, 1):
        if item.stopped or works.closing:
            continue
        try:
            prepared.append(Prepared(item, start, way.letter(item)))
        except Exception as error:  # noqa: BLE001 -- one poison message must not stop its batch (promise P14)
            await _unrenderable(works, item, error)
        if number % BREATH == 0:
            await asyncio.sleep(0)
    if prepared and not group.marked:
        marked = await works.journal.begin([one.item.ready.message.id for one in prepared])
        return _still_ours(works, prepared, marked)
    return prepared


def _still_ours(works: Works, prepared: Sequence[Prepared], marked: Collection[int]) -> list[Prepared]:
    """Without what another daemon has taken from us; whatever becomes of it is that one's to write."""
    lost = [one.item for one in prepared if one.item.ready.message.id not in marked and not one.item.stopped]
    works.underway.forget(lost)
    return [one for one in prepared if not one.item.stopped]


async def _unrenderable(works: Works, item: Item, error: Exception) -> None:
    """A message that cannot be put into words or bytes is rejected with its reason; its batch goes on."""
    if not works.underway.begin(item):
        return
    if isinstance(error, MessageFault | TemplateFaults):
        detail = str(error)
    else:
        detail = f"{type(error).__name__} while rendering: a fault in the dispatcher; see its log"
        log.error("rendering_failed", message=item.ready.message.id, error=type(error).__name__)
    outcome = Outcome(Result.REJECTED, detail=detail[:500], reached=False)
    works.underway.end(item)
    following = Next(State.REJECTED, reason="unrenderable")
    finding = Finding(item.ready.message, item.slot.start, works.clock.now(), str(outcome.result), "", outcome.detail,
                      reached=False, following=following)
    await outcomes.noted(works, item, finding, outcome)


async def _hand_over(works: Works, way: Way, prepared: Prepared) -> None:
    """One attempt."""
    item = prepared.item
    at = works.clock.now()
    letter = prepared.letter
    envelope = Envelope(letter.recipient, letter.body, split_lane(item.lane).provider, letter.smtputf8)
    try:
        outcome = await way.channel.send(envelope)
    except asyncio.CancelledError:
        outcome = Outcome(Result.IN_DOUBT, detail="the daemon was stopped during the hand-over")
    except Exception as error:
        log.exception("hand_over_failed", lane=item.lane, message=item.ready.message.id)
        outcome = Outcome(Result.IN_DOUBT, detail=f"{type(error).__name__} during the hand-over")
    finally:
        way.turns.free(envelope.provider)
    works.underway.end(item)
    await outcomes.noted(works, item, _finding(works, way, item, outcome, at), outcome)


def _finding(works: Works, way: Way, item: Item, outcome: Outcome, at: int) -> Finding:
    message = item.ready.message
    tried = Tried(
        attempts=message.attempts + 1, first_released_at=message.released_at or item.released_at,
        expires_at=message.expires_at, resend_in_doubt=way.resend_in_doubt,
    )
    following = retry.after(outcome.result, tried, works.policy.retry, works.clock.now(), works.clock.chance())
    return Finding(message, item.slot.start, at, str(outcome.result), outcome.code, outcome.detail, outcome.reached,
                   following, outcomes.suppressed_by(item, outcome))
