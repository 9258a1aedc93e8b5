"""A campaign's folder becomes its current version: checked first, then stored, then its queue follows.

`campaign apply`, the start of the daemon and a reload all come through here.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from config.faults import any_of, nearest
from dispatcher.content.check import check_campaign
from dispatcher.core.lanes import route
from dispatcher.core.model import Campaign, Customer
from dispatcher.core.segments import EVERYONE_ELSE, segment_of
from dispatcher.engine.ways import identity_of
from dispatcher.engine.works import Works
from dispatcher.intake.campaign_file import campaign_from_json, campaign_to_json
from dispatcher.intake.strict import canonical_json
from dispatcher.operations.office import Args, Office, OperationError, Result, Text
from dispatcher.operations.threads import Update, misfits, update_of
from dispatcher.policy import Policy
from dispatcher.store import campaigns, customers, events, queue, tallies
from dispatcher.store.campaigns import Heading, StoredCampaign
from dispatcher.store.database import CHUNK
from dispatcher.store.events import Event, Kind
from dispatcher.store.tallies import Deltas

SAMPLED = 1_000
"""Customers among whom one of every segment is looked for, so that the words are tried on a real one."""


class ApplyArgs(Args):
    """A campaign as intake/campaign_file.py writes it: canonical JSON, or the same as an object."""

    campaign: str | dict[str, Any]
    digest: Text = ""
    place: str = Field(default="", max_length=4_096)     # the folder, for messages
    by: Text = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A campaign that is to be the current version, and where it comes from."""

    campaign: Campaign
    content: str
    digest: str
    place: str


@dataclass(slots=True)
class Judged:
    """What a look at candidates came to."""

    changed: list[Candidate] = field(default_factory=list)      # can and should be applied
    unchanged: list[Candidate] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)  # campaign -> one line for each
    warnings: list[str] = field(default_factory=list)


async def apply(office: Office, args: ApplyArgs) -> Result:
    """Check a campaign and make it the current version; what is queued and was never released follows it."""
    works = office.works
    candidate = _candidate(args)
    judged = await judge(works, works.policy, [candidate])
    if judged.faults:
        lines = [line for found in judged.faults.values() for line in found]
        raise OperationError("usage", "the campaign has faults, and was not applied", lines)
    async with works.database.transaction() as tx:
        before = await campaigns.get(tx, candidate.campaign.id)
        if before is not None and before.canceled_at is not None and before.digest != candidate.digest:
            raise OperationError("conflict", f"{before.id} was canceled for good; give the new words a new id")
        version, new = await store(tx, candidate, works.clock.now(), args.by)
        stored = await campaigns.get(tx, candidate.campaign.id)
    moved = await follow(works, candidate.campaign.id) if new else 0
    if new:
        office.wake()
    return {"id": candidate.campaign.id, "version": version, "new": before is None, "unchanged": not new,
            "warnings": [*judged.warnings, *_warnings(works.policy, stored)], "queued_moved": moved}


async def judge(works: Works, policy: Policy, candidates: Sequence[Candidate]) -> Judged:
    """Check candidates against a policy: senders of all, words and place in their incident of those that are new."""
    judged = Judged()
    async with works.database.transaction() as tx:
        stored = {one.id: one for one in await campaigns.every(tx)}
        fresh = any(one.campaign.id not in stored or stored[one.campaign.id].digest != one.digest for one in candidates)
        page = await customers.page(tx, "", SAMPLED) if fresh else []
    updates = {one.id: update_of(one) for one in stored.values() if one.canceled_at is None}
    for candidate in candidates:
        before = stored.get(candidate.campaign.id)
        if before is not None and before.canceled_at is not None:
            if before.digest != candidate.digest:
                judged.warnings.append(f"{candidate.place}: {before.id} was canceled for good and is left as it was")
            continue
        faults = _senders(candidate, policy)
        same = before is not None and before.digest == candidate.digest
        if not same and not faults:
            faults = await asyncio.to_thread(_words, candidate, policy, page, works.clock.now())
            faults += _misfits(candidate, updates, judged)
        if faults:
            judged.faults[candidate.campaign.id] = faults
        else:
            (judged.unchanged if same else judged.changed).append(candidate)
    return judged


async def store(tx: AsyncConnection, candidate: Candidate, now: int, by: str = "") -> tuple[int, bool]:
    """Make a candidate the current version; the version, and whether it is a new one."""
    campaign = candidate.campaign
    heading = Heading(campaign.id, str(campaign.category), campaign.incident, campaign.sequence, campaign.closes)
    version, new = await campaigns.apply(tx, heading, candidate.content, candidate.digest, now)
    if new:
        await events.note(tx, Event(now, Kind.CAMPAIGN_APPLIED, campaign.id, f"version {version}", by,
                                    {"version": version, "digest": candidate.digest}))
    return version, new


async def follow(works: Works, name: str) -> int:
    """Queued messages that were never released go where the current version sends them, chunk by chunk; how many.

    One that has no place any more stays where it is: the release closes it with its reason.
    """
    total = after = 0
    while not works.closing:
        async with works.database.transaction() as tx:
            known = await works.book.known(tx, {name})
            found = await queue.of_campaign(tx, name, after, CHUNK)
            fresh = [(message, state) for message, state in found if message.released_at is None]
            people = await customers.get(tx, [message.customer for message, _ in fresh])
            moves = []
            for message, state in fresh:
                customer = people.get(message.customer)
                if customer is None:
                    continue
                way = route(known[name].campaign, customer, works.policy.channels, works.policy.provider_of)
                if way.lane and (way.segment, way.rank, way.lane) != (message.segment, message.rank, message.lane):
                    moves.append((message, state, way.segment, way.rank, way.lane))
            deltas = Deltas()
            await queue.reroute(tx, moves, deltas)
            await tallies.apply(tx, deltas)
        total += len(moves)
        if len(found) < CHUNK:
            break
        after = found[-1][0].id
    return total


def samples_of(campaign: Campaign, page: Sequence[Customer]) -> dict[str, Customer]:
    """For every segment the customer of whom most is known, where the page has one."""
    best: dict[str, Customer] = {}
    for customer in page:
        found = segment_of(campaign, customer)
        if found is not None and (found[0] not in best or _told(customer) > _told(best[found[0]])):
            best[found[0]] = customer
    return best


def _told(customer: Customer) -> int:
    fields = (customer.email, customer.phone, customer.name, customer.locale, customer.timezone, customer.location,
              customer.plan, customer.engagement)
    return sum(map(bool, fields)) + len(customer.attributes)


def _candidate(args: ApplyArgs) -> Candidate:
    try:
        content = args.campaign if isinstance(args.campaign, str) else canonical_json(args.campaign)
        campaign = campaign_from_json(content, 0)
        canonical = campaign_to_json(campaign)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OperationError("usage", "campaign is no campaign as `campaign apply` reads it from its folder") from None
    if canonical_json(json.loads(content)) != canonical:
        raise OperationError("usage", "campaign is not written as this version writes it; use its own `campaign apply`")
    digest = sha256(canonical.encode()).hexdigest()
    if args.digest not in {"", digest}:
        raise OperationError("usage", "digest is not that of the campaign")
    return Candidate(campaign, canonical, digest, args.place or campaign.id)


def _senders(candidate: Candidate, policy: Policy) -> list[str]:
    configured = policy.settings.senders
    return [f'{candidate.place}: senders: "{name}" is not configured{nearest(name, configured)}; the senders are '
            f"{any_of(configured)}" for name in candidate.campaign.senders if name not in configured]


def _words(candidate: Candidate, policy: Policy, page: Sequence[Customer], now: int) -> list[str]:
    """The faults of a campaign's words, each once whatever number of senders meets it."""
    campaign = candidate.campaign
    samples: Mapping[str, Customer] = samples_of(campaign, page)
    lines: dict[str, None] = {}
    for name in campaign.senders:
        identity = identity_of(name, policy.settings.senders[name])
        for fault in check_campaign(replace(campaign, version=1), identity, samples, now):
            lines[f"{candidate.place}: {fault}"] = None
    return list(lines)


def _misfits(candidate: Candidate, updates: dict[str, Update], judged: Judged) -> list[str]:
    """The faults of a candidate's place in its incident, among those there are and those accepted before it."""
    campaign = candidate.campaign
    mine = update_of(campaign)
    faults = misfits(mine, updates.values())
    if not faults:
        updates[campaign.id] = mine
    if campaign.closes and EVERYONE_ELSE not in campaign.segments:
        judged.warnings.append(f'{candidate.place}: it closes an incident and has no segment "*": whoever got an '
                               "update and falls into none of its segments will not hear that it is over")
    return [f"{candidate.place}: {fault}" for fault in faults]


def _warnings(policy: Policy, stored: StoredCampaign | None) -> list[str]:
    if stored is None or not policy.settings.campaigns.approval or stored.approved_at is not None:
        return []
    return [f"it waits for approval: dispatcher campaign approve {stored.id} --by NAME --digest {stored.digest}"]
