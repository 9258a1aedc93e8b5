"""The loop that asks the DNS who runs a domain's mail, beside everything else: nothing ever waits for it.

Questions are rows of the store (acceptance writes them with the messages that raise them) or notes of the provider
book. They are asked a few at a time; an answer is written down, and only then the book knows it. Where a domain's
provider turns out to be another one, its queued messages go to the other lane, chunk by chunk. Domains belong to people
too, sometimes: they are named in the log at debug only.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.mail_hosts import Finding, MailHosts
from config.providers import load_providers
from dispatcher.core.domains import Domain, answered
from dispatcher.core.model import Message
from dispatcher.engine.works import Works
from dispatcher.providers import MOST
from dispatcher.store import domains, queue
from dispatcher.store.database import CHUNK
from dispatcher.store.tallies import Deltas, apply

AT_ONCE: Final = 8
"""Questions under way side by side."""
BATCH: Final = 256
"""Questions that are taken up in one turn."""
PAUSE: Final = 1_000
"""Milliseconds between two turns at least."""
LONGEST: Final = 3_600_000
TOO_MANY_FAILURES: Final = 5
"""Questions in a row without an answer, after which a person is told."""

log = structlog.get_logger()
Answer = tuple[Domain, MailHosts]
"""What was known of a domain, and what the DNS said."""


async def load(works: Works, since: int = 0) -> None:
    """Fill the provider book from the store: with all that it has, or what was asked since an instant, by whomever."""
    book, now = works.policy.providers, works.clock.now()
    after: str | None = ""
    while after is not None:
        async with works.database.transaction() as tx:
            found = await (domains.asked_since(tx, since, after, CHUNK * 10) if since
                           else domains.page(tx, after, CHUNK * 10))
        for one in found:
            book.learn(one, now)
        after = found[-1].domain if len(found) == CHUNK * 10 else None


class Resolver:
    """The loop; `run` until cancelled."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._failed = 0     # in a row

    async def run(self) -> None:
        """Look, ask, sleep."""
        works = self._works
        while not works.closing:
            book = works.policy.providers
            book.wake.clear()
            if works.ask is None or not works.policy.settings.mx.lookup:
                await book.wake.wait()
                continue
            try:
                following = await self.turn(works.clock.now())
            except DBAPIError as error:
                log.error("domains_unwritten", why=str(error.orig), effect="tried again in a second")  # noqa: TRY400 -- the store's trouble, not a fault to trace
                following = 0
            await works.clock.pause(PAUSE)
            await works.clock.sleep_until(following, book.wake)

    async def turn(self, now: int) -> int:
        """Ask what is due; when to look again."""
        works = self._works
        book = works.policy.providers
        book.expire(now)
        async with works.database.transaction() as tx:
            await domains.ask(tx, book.noted(), now)
            due = await domains.due(tx, now, BATCH)
            next_due = await domains.next_due(tx)
            if due:
                await _trim(tx, works)
        for one in due:
            book.learn(one, now)
        if due:
            await self._ask(due)
            return now
        return min(one for one in (next_due, book.next_end, now + LONGEST) if one is not None)

    async def _ask(self, due: Sequence[Domain]) -> None:
        """Ask about these; each answer is taken in when it comes."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(domain: Domain) -> Answer:
            async with limit:
                return domain, await ask(self._works, domain.domain)

        tasks = {asyncio.create_task(one(domain)) for domain in due}
        try:
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                answers = [task.result() for task in done]
                self._tell(answers)
                await take_in(self._works, answers)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self, answers: Sequence[Answer]) -> None:
        """Say it, once, when nothing is answered any more, and when it is again."""
        failed = [found for _, found in answers if found.finding is Finding.FAILED]
        if len(failed) < len(answers):
            if self._failed >= TOO_MANY_FAILURES:
                log.info("names_resolved_again")
            self._failed = 0
        elif self._failed < TOO_MANY_FAILURES:
            self._failed += len(failed)
            if self._failed >= TOO_MANY_FAILURES:
                log.warning("names_unresolved", why=failed[0].why,
                            effect="providers are as known before, else by the table; asked again, nothing waits")


async def ask(works: Works, domain: str) -> MailHosts:
    """One question; whatever goes wrong is an answer too."""
    if works.ask is None:
        return MailHosts(Finding.FAILED, why="nobody is asked here")
    try:
        return await works.ask(works.policy.settings.mx, domain)
    except Exception as fault:  # noqa: BLE001 -- one odd domain must not end the loop
        log.debug("question_failed", domain=domain, error=repr(fault))
        return MailHosts(Finding.FAILED, why=f"internal error: {type(fault).__name__}")


async def take_in(works: Works, answers: Sequence[Answer]) -> list[Domain]:
    """Write answers down, then go by them: what is known now, in their order."""
    now = works.clock.now()
    known = [answered(before, found, load_providers(), now) for before, found in answers]
    async with works.database.transaction() as tx:
        await domains.put(tx, known)
    book, moved = works.policy.providers, []
    for (before, _), one in zip(answers, known, strict=True):
        book.learn(one, now)
        log.debug("domain_asked", domain=one.domain, provider=one.provider, reason=str(one.reason))
        if one.provider != before.provider:
            moved.append(one.domain)
    for domain in moved:
        await _follow(works, domain)
    return known


async def _trim(tx: AsyncConnection, works: Works) -> None:
    """Forget the least recently asked domains, where there are too many, and some more so that it is done seldom."""
    count, _ = await domains.count(tx)
    if count > MOST:
        works.policy.providers.forget(await domains.forget_oldest(tx, count - MOST + MOST // 100))


async def _follow(works: Works, domain: str) -> None:
    """Queued messages to a domain go to the lane of its provider."""
    after: str | None = ""
    moved = 0
    while after is not None and not works.closing:
        async with works.database.transaction() as tx:
            people = await domains.people(tx, domain, after, CHUNK)
            deltas = Deltas()
            for (lane, old), some in _strays(works, domain, await queue.queued_of(tx, people)).items():
                await domains.relane(tx, some, lane, deltas)
                moved += len(some)
                log.debug("messages_moved", domain=domain, lane=lane, before=old, count=len(some))
            await apply(tx, deltas)
        after = people[-1] if len(people) == CHUNK else None
    if moved:
        works.changed()


def _strays(
    works: Works, domain: str, queued: Sequence[tuple[Message, str]]
) -> dict[tuple[str, str], list[tuple[Message, str]]]:
    """Messages that stand in the lane of another provider, by the lane where they belong and the one where they are."""
    provider = works.policy.provider_of(domain)
    strays: defaultdict[tuple[str, str], list[tuple[Message, str]]] = defaultdict(list)
    for message, state in queued:
        sender, _, current = message.lane.partition("/")
        if current != provider and works.policy.channels.get(sender) == "email":
            strays[f"{sender}/{provider}", message.lane].append((message, state))
    return strays
