"""The configuration and the campaigns' folder read anew: whole or not at all, and told in the terms of the plan.

What a reload changes is decided here: the policy in force from the next slot on (ramps, senders, audience, frequency,
quiet hours, retries, approval), and every campaign in the folder whose words have changed. The store and the admin
socket stay until a restart. What a step has spent stays spent, for the ledger knows nothing of settings.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from config.changes import Change, changes
from config.faults import ConfigFaults
from config.load import Loaded, load
from config.model import Settings
from dispatcher.engine.daemon import Engine
from dispatcher.engine.works import Works
from dispatcher.intake.campaign_file import read_campaigns
from dispatcher.operations.applying import Candidate, Judged, follow, judge, store
from dispatcher.operations.office import Args, NoArgs, Office, OperationError, Result
from dispatcher.operations.terms import both, differences, too_fast
from dispatcher.policy import Policy, policy_of
from dispatcher.store import events, reading
from dispatcher.store.events import Event, Kind
from dispatcher.store.tallies import WAITING

MOST_WORDS = 2_000
"""Characters of the event of a reload."""

log = structlog.get_logger()


class CheckArgs(Args):
    """A configuration file that is not in force yet."""

    config: str = Field(min_length=1, max_length=4_096)


@dataclass(slots=True)
class Reloading:
    """What is known of reloads since the start."""

    done: int = 0
    refused: int = 0
    last_at: int = 0         # when the settings in force were read


@dataclass(slots=True)
class Reloader:
    """Reads the configuration anew when asked: one at a time, and however many ask meanwhile, once more after it."""

    works: Works
    engine: Engine
    office: Office
    path: Path
    counted: Reloading = field(default_factory=Reloading)
    _running: asyncio.Task[Result] | None = None
    _pending: asyncio.Task[Result] | None = None

    async def reload(self) -> Result:
        """What the reload that begins after this call came to; OperationError where it was refused."""
        if self._pending is None:
            self._pending = asyncio.create_task(self._after(self._running))
            self._pending.add_done_callback(_looked_at)
        return await asyncio.shield(self._pending)

    async def settle(self) -> None:
        """Return when none is under way any more."""
        under_way = [task for task in (self._running, self._pending) if task is not None]
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _after(self, running: asyncio.Task[Result] | None) -> Result:
        if running is not None:
            await asyncio.wait({running})
        self._running, self._pending = self._pending, None
        try:
            result = await _reload(self.works, self.engine, self.path)
        except OperationError as error:
            self.counted.refused += 1
            for line in error.details or [error.message]:
                log.error("reload_refused", fault=line, effect="the settings in force stay")  # noqa: TRY400 -- a fault of the file, with its line
            raise
        self.counted.done += 1
        self.counted.last_at = self.works.clock.now()
        self.office.faults = ()
        _tell(result)
        return result


async def reload(office: Office, _: NoArgs) -> Result:
    """Read the configuration anew; only a running daemon has one in force."""
    if office.reload is None:
        raise OperationError("failed", "no daemon is running; it reads its configuration when it starts")
    return await office.reload()


async def check_rates(office: Office, args: CheckArgs) -> Result:
    """What a file that is not in force yet would change: the same words as a reload's, and nothing happens."""
    try:
        loaded = await asyncio.to_thread(load, Path(args.config), read_secrets=False)
    except ConfigFaults as error:
        raise OperationError("usage", "the configuration has faults", _lines(error)) from None
    works = office.works
    before, after = await both(works, policy_of(loaded.settings))
    return {"lanes": await differences(before, after), "warnings": too_fast(after)}


async def read_folder(directory: Path) -> tuple[list[Candidate], list[str]]:
    """The campaigns of a folder, and the faults of those that cannot be used. No folder: no campaigns."""
    def read() -> tuple[list[Candidate], list[str]]:
        if not directory.exists():
            return [], []
        found, faults = read_campaigns(directory)
        return ([Candidate(one.campaign, one.content, one.digest, str(one.folder)) for one in found],
                [str(fault) for fault in faults])

    return await asyncio.to_thread(read)


async def apply_folder(works: Works) -> tuple[list[str], list[str]]:
    """At start: apply what is good in the folder, and name the faults of the rest; (applied, faults).

    A new campaign that is wrong must not keep the daemon from its work, so this is not whole or nothing.
    """
    candidates, faults = await read_folder(works.policy.settings.campaigns.directory)
    judged = await judge(works, works.policy, candidates)
    async with works.database.transaction() as tx:
        applied = await _store_all(tx, judged, works.clock.now())
    return applied, [*faults, *(line for lines in judged.faults.values() for line in lines)]


async def _reload(works: Works, engine: Engine, path: Path) -> Result:
    loaded, candidates = await _read(path)
    old = works.policy
    differing = changes(old.settings, loaded.settings)
    policy = policy_of(_without_restart(old.settings, loaded.settings), old.providers)
    judged = await judge(works, policy, candidates)
    if judged.faults:
        raise OperationError("usage", "a campaign has faults; nothing was changed",
                             [line for lines in judged.faults.values() for line in lines])
    before, after = await both(works, policy)
    if works.closing:
        raise OperationError("failed", "the daemon is stopping; nothing was changed")
    applied = await _take(works, engine, policy, judged, differing)
    await _follow(works, applied, differing)
    return {
        "changed": bool(differing or applied),
        "changes": [str(change) for change in differing],
        "lanes": await differences(before, after),
        "campaigns": applied,
        "warnings": [
            *(str(fault) for fault in loaded.warnings), *judged.warnings,
            *(f"{change.key} takes effect only after a restart" for change in differing if change.restart),
            *too_fast(after),
        ],
    }


async def _read(path: Path) -> tuple[Loaded, list[Candidate]]:
    """The files as they are now, or OperationError with all that is wrong in them."""
    try:
        loaded = await asyncio.to_thread(load, path)
    except ConfigFaults as error:
        raise OperationError("usage", "the configuration has faults; nothing was changed", _lines(error)) from None
    candidates, faults = await read_folder(loaded.settings.campaigns.directory)
    if faults:
        raise OperationError("usage", "a campaign has faults; nothing was changed", faults)
    return loaded, candidates


async def _take(
    works: Works, engine: Engine, policy: Policy, judged: Judged, differing: Sequence[Change]
) -> list[str]:
    """Campaigns and policy change together, or neither does; another configuration is an event."""
    old = works.policy
    now = works.clock.now()
    try:
        async with works.database.transaction() as tx:
            applied = await _store_all(tx, judged, now)
            told = [_in_words(str(change)) for change in differing if not change.restart]
            if told:
                await events.note(tx, Event(now, Kind.RELOADED, cause="; ".join(told)[:MOST_WORDS],
                                            data={"changes": len(told)}))
            engine.use(policy)
    except ValueError as error:
        raise OperationError("usage", f"a sender cannot be: {error}; nothing was changed") from None
    except BaseException:
        if works.policy is policy:
            engine.use(old)
        raise
    return applied


async def _store_all(tx: AsyncConnection, judged: Judged, now: int) -> list[str]:
    applied = []
    for candidate in judged.changed:
        version, new = await store(tx, candidate, now)
        if new:
            applied.append(f"{candidate.campaign.id} (version {version})")
    return applied


async def _follow(works: Works, applied: Sequence[str], differing: Sequence[Change]) -> None:
    """What is queued goes where the new words and senders send it."""
    names = {one.partition(" ")[0] for one in applied}
    if any(change.key.startswith(("senders", "mx.lookup")) for change in differing):
        async with works.database.transaction() as tx:
            names |= {name for name, state, _ in await reading.counts(tx) if state in {"queued", WAITING}}
    for name in sorted(names):
        await follow(works, name)
    if names:
        works.changed()


async def follow_all(works: Works, applied: Sequence[str]) -> None:
    """After a start: the queue of campaigns that were applied goes where their new version sends it."""
    await _follow(works, applied, ())


def _without_restart(old: Settings, new: Settings) -> Settings:
    """The new settings, but for what only a restart can change: said again at every reload until there was one."""
    http = new.http.model_copy(update={"admin": old.http.admin})
    store = old.store.model_copy(update={"keep": new.store.keep})
    return new.model_copy(update={"store": store, "http": http})


def _looked_at(task: asyncio.Task[Result]) -> None:
    """Whoever asked may be gone; a refusal has been logged."""
    if not task.cancelled():
        task.exception()


def _tell(result: Result) -> None:
    for line in result["changes"]:
        log.info("setting_changed", change=_in_words(line))
    for lane in result["lanes"]:
        log.info("lane_changed", lane=lane["lane"], allowance=lane["allowance"], batch=lane["next_batch"],
                 done_at=lane["done_at"])
    for line in result["warnings"]:
        log.warning("reload_warning", text=line)
    log.info("reloaded", changes=len(result["changes"]), campaigns=result["campaigns"])


def _in_words(change: str) -> str:
    """A change as logs and events have it.

    Of senders only the key, of replies not even that: addresses and names are nobody's business there.
    """
    if change.startswith("replies"):
        return "replies"
    return change.partition(":")[0] if change.startswith("senders") else change


def _lines(error: ConfigFaults) -> list[str]:
    return [str(fault) for fault in error.faults]
