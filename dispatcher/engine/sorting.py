"""The head of a lane's queue, sorted out: who is sent to, who waits, who is closed, who belongs elsewhere.

Messages are looked at in a batch's order (priority, then the campaign's order of segments, then first come) and in
pages, each with everything that its verdicts need in a few queries: no query per message. Nothing is written here
but by `close`.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from sqlalchemy.ext.asyncio import AsyncConnection

from config.addresses import normalise
from dispatcher.core import audience
from dispatcher.core.audience import Candidate, Skip, Verdict, Wait
from dispatcher.core.lanes import Route, route
from dispatcher.core.model import Campaign, Customer, Message
from dispatcher.core.quotas import NEVER, Purse
from dispatcher.engine.book import CampaignBook
from dispatcher.engine.gate import Gate
from dispatcher.engine.standing import Standing
from dispatcher.policy import Policy
from dispatcher.store import canaries, controls, incidents, queue, tallies
from dispatcher.store.incidents import Thread
from dispatcher.store.queue import Claimed
from dispatcher.store.rows import AnyRow
from dispatcher.store.tallies import Deltas, Run

PAGE = 500
BREATH = 25
"""Messages that are looked at before other work gets a turn: some 0.3 ms, so that no lane's start waits for another's
release."""


@dataclass(slots=True)   # not frozen: made once for every message
class Ready:
    """A message that may leave now, with all that its delivery needs."""

    message: Message
    customer: Customer
    campaign: Campaign
    route: Route


@dataclass(slots=True)
class Sorted:
    """What the look at a queue's head came to."""

    ready: list[Ready] = field(default_factory=list)
    skips: defaultdict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    waits: defaultdict[int, list[Message]] = field(default_factory=lambda: defaultdict(list))
    moves: list[tuple[Message, str, str, int, str]] = field(default_factory=list)
    reached: Counter[tuple[str, str]] = field(default_factory=Counter)   # (customer, category) of the ready ones
    looked: int = 0
    ended: bool = False     # the queue has nothing more that may leave now
    resumes_at: int = NEVER     # when campaigns that are blocked now go on, as far as known

    @property
    def passed_over(self) -> int:
        """How many were looked at and cannot leave."""
        return self.looked - len(self.ready)


@dataclass(frozen=True, slots=True)
class Look:
    """How far to look: until so many may leave, and at no more than so many.

    What the purse allows no more is not looked at, and stays in the queue as it is.
    """

    wanted: int
    at_most: int
    purse: Purse | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What a look goes by."""

    policy: Policy
    book: CampaignBook
    standing: Standing      # holds and the rest that covers whole campaigns, read in this transaction
    now: int


async def sort_out(tx: AsyncConnection, lane: str, look: Look, view: View) -> Sorted:
    """Look at the head of a lane's queue, in order."""
    result = Sorted()
    gate = Gate(lane, look.purse, view.standing.bounds)
    runs = []
    for run in await tallies.runs(tx, lane, "queued"):
        if view.standing.allows(run.campaign):
            runs.append(run)
        else:
            result.resumes_at = min(result.resumes_at, view.standing.resumes.get(run.campaign, NEVER))
    for _, group in groupby(runs, key=lambda run: (run.priority, run.rank)):
        # One for each campaign: two of its segments share a rank where it was applied anew in another order.
        free = {run.campaign: run for run in group if not gate.stops(run.campaign, run.segment)}
        readers = [_Reader(lane, run, view) for run in free.values()]
        while len(result.ready) < look.wanted and result.looked < look.at_most:
            first = await _first(tx, readers, min(PAGE, look.wanted - len(result.ready) + 10))
            if first is None:
                break
            if gate.stops(*first.next_of):
                readers.remove(first)
                continue
            result.looked += 1
            if result.looked % BREATH == 0:
                await asyncio.sleep(0)
            before, look_at = len(result.ready), first.take()
            _place(look_at, lane, view, result)
            if len(result.ready) > before:
                message = look_at.claimed.message
                gate.take(message, new=message.id not in look_at.page.tested)
        else:
            return result
    result.ended = True
    return result


async def close(tx: AsyncConnection, found: Sorted, now: int, deltas: Deltas) -> None:
    """Write down what cannot leave: skips with their reason, waits with their time, moves to other lanes."""
    for reason, messages in found.skips.items():
        await queue.skip(tx, messages, reason, now, deltas)
    for until, messages in found.waits.items():
        await queue.postpone(tx, messages, until, "quiet_hours", deltas)
    await queue.reroute(tx, found.moves, deltas)


@dataclass(slots=True)   # not frozen: made once for every message
class _Look:
    """A message with what its verdict needs."""

    claimed: Claimed
    campaign: Campaign
    page: "_Page"


@dataclass(slots=True)
class _Page:
    """Facts about one page's customers."""

    suppressed: dict[tuple[str, str], str]
    contacts: dict[str, list[int]]
    thread: Thread          # what they have heard of the campaign's incident
    tested: Collection[int] # messages that are part of the campaign's canary, while that is on its way


class _Reader:
    """One run of a lane, read page by page."""

    def __init__(self, lane: str, run: Run, view: View) -> None:
        self._lane, self._run, self._view = lane, run, view
        self._page: deque[_Look] = deque()
        self._after = 0
        self._more = True

    def peek(self) -> int | None:
        """The id of the next message."""
        return self._page[0].claimed.message.id if self._page else None

    @property
    def next_of(self) -> tuple[str, str]:
        """The campaign and segment of the next message, where there is one."""
        message = self._page[0].claimed.message
        return message.campaign, message.segment

    def take(self) -> _Look:
        """The next message."""
        return self._page.popleft()

    async def fill(self, tx: AsyncConnection, size: int) -> None:
        """Read the next page, if the one at hand is used up."""
        if self._page or not self._more:
            return
        run = self._run
        found = await queue.head(tx, self._lane, (run.campaign, run.priority, run.rank), self._after, size)
        rows = await _decoded(found)
        self._more = len(rows) == size
        if rows:
            self._after = rows[-1].message.id
            page = await _facts(tx, rows, run.campaign, self._view)
            for row in rows:
                version = row.message.version or self._view.standing.version(run.campaign)
                campaign = await self._view.book.version(tx, run.campaign, version)
                self._page.append(_Look(row, campaign, page))


async def _decoded(rows: Sequence[AnyRow]) -> list[Claimed]:
    """Messages and customers of rows; other work gets a turn in between."""
    claimed = []
    for number, row in enumerate(rows, 1):
        claimed.append(queue.claimed_of(row))
        if number % BREATH == 0:
            await asyncio.sleep(0)
    return claimed


async def _first(tx: AsyncConnection, readers: Sequence[_Reader], size: int) -> _Reader | None:
    """The reader whose next message came first."""
    best: _Reader | None = None
    best_id = 0
    for reader in readers:
        await reader.fill(tx, size)
        number = reader.peek()
        if number is not None and (best is None or number < best_id):
            best, best_id = reader, number
    return best


async def _facts(tx: AsyncConnection, rows: Sequence[Claimed], campaign: str, view: View) -> _Page:
    addresses = await _addresses(rows)
    ids = [row.message.customer for row in rows]
    category = view.standing.category(campaign)
    current = await view.book.version(tx, campaign, view.standing.version(campaign))
    cap = view.policy.rules.caps.get(category)
    return _Page(
        suppressed=await controls.suppressed(tx, addresses),
        contacts=await controls.contacts(tx, ids, category, view.now - cap.within) if cap is not None else {},
        thread=await incidents.thread(tx, current, ids),
        tested=await canaries.members(tx, campaign, [row.message.id for row in rows])
        if campaign in view.standing.bounds.canaries else (),
    )


async def _addresses(rows: Sequence[Claimed]) -> list[str]:
    """The normalised addresses of rows; other work gets a turn in between."""
    found = []
    for number, row in enumerate(rows, 1):
        if row.customer is not None and row.customer.email:
            found.append(normalise(row.customer.email))
        if number % BREATH == 0:
            await asyncio.sleep(0)
    return found


def _place(look: _Look, lane: str, view: View, result: Sorted) -> None:
    """Put one message where its verdict sends it."""
    message, campaign = look.claimed.message, look.campaign
    customer = as_then(look.claimed)
    meant = audience.as_owed(campaign, informed=message.customer in look.page.thread.informed)
    way = route(meant, customer, view.policy.channels, view.policy.provider_of) if customer else Route()
    verdict = _verdict(look, customer, way, result.reached, view)
    if isinstance(verdict, Skip):
        result.skips[verdict.reason].append(message)
    elif (way.segment, way.rank, way.lane) != (message.segment, message.rank, lane):
        result.moves.append((message, "queued", way.segment, way.rank, way.lane))
    elif isinstance(verdict, Wait):
        result.waits[verdict.until].append(message)
    elif customer is not None:
        result.ready.append(Ready(message, customer, campaign, way))
        result.reached[message.customer, campaign.category] += 1


def _verdict(
    look: _Look, customer: Customer | None, way: Route, reached: Counter[tuple[str, str]], view: View
) -> Verdict:
    message, campaign = look.claimed.message, look.campaign
    # A copy of what was perhaps sent is no further contact; the cap was asked at its first release.
    contacts: Sequence[int] = look.page.contacts.get(message.customer, ()) if not message.doubts else ()
    just_now = reached.get((message.customer, campaign.category), 0)
    if just_now and not message.doubts:
        contacts = [*contacts, *[view.now] * just_now]
    # Active is who is active now, also where the words still go to the customer as he was.
    latest = look.claimed.customer
    return audience.verdict(
        Candidate(
            campaign=campaign, customer=latest if latest is not None else customer, route=way,
            expires_at=message.expires_at,
            suppressed=_suppressed(look.page, way.address, campaign.category),
            superseded=look.page.thread.overtaken(message.customer, campaign.sequence),
            informed=message.customer in look.page.thread.informed,
            contacts=contacts,
            canceled=view.standing.canceled(message.campaign),
        ),
        view.policy.rules, view.now,
    )


def _suppressed(page: _Page, address: str, category: str) -> str:
    """Why an address gets nothing, "" if it may; most pages have no suppressed address at all."""
    return controls.reason_for(page.suppressed, normalise(address), category) if page.suppressed and address else ""


def as_then(claimed: Claimed) -> Customer | None:
    """The customer whose words go out: as at the first release, while the address is still the same."""
    then, latest = claimed.snapshot, claimed.customer
    return then if then is not None and latest is not None and then.email == latest.email else latest
