"""Campaigns: listed, shown, approved, canceled."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator

from dispatcher.core.model import Campaign, SkipReason
from dispatcher.engine.bounds import TESTED
from dispatcher.engine.keeper import close_campaign
from dispatcher.engine.standing import UNAPPROVED, Standing, read_standing
from dispatcher.engine.underway import held_by
from dispatcher.operations.office import Args, Given, Limit, Office, OperationError, Result, Text, said
from dispatcher.store import campaigns, canaries, events, reading
from dispatcher.store.campaigns import StoredCampaign
from dispatcher.store.canaries import CanaryRow, CanaryState
from dispatcher.store.events import Event, Kind
from dispatcher.store.tallies import WAITING

SHORT: Final = 16
"""Characters of a digest that say well enough which content is meant."""
STATES = ("queued", "sending", "accepted", "rejected", "in_doubt", "skipped")


def _digest(value: str) -> str:
    if value and not re.fullmatch(rf"[0-9a-f]{{{SHORT},64}}", value):
        raise ValueError(f"is no digest; `dispatcher campaign show ID` has it; its first {SHORT} characters will do")
    return value


class ListArgs(Args):
    """A page of campaigns, behind an id."""

    after: Text = ""
    limit: Limit = 1_000


class ShowArgs(Args):
    """One campaign."""

    id: Given


class ApproveArgs(Args):
    """Somebody approves the current version; with a digest, or its beginning, exactly the content that has it."""

    id: Given
    by: Given
    digest: Annotated[Text, AfterValidator(_digest)] = ""


class CancelArgs(Args):
    """End a campaign for good."""

    id: Given
    reason: Given
    by: Text = ""


async def listed(office: Office, args: ListArgs) -> Result:
    """Every campaign with its state and the counts of its messages."""
    works = office.works
    async with works.database.transaction() as tx:
        standing = await read_standing(tx, works.policy, works.book, works.clock.now())
        counts = await reading.counts(tx)
    by_campaign: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for campaign, state, count in counts:
        by_campaign[campaign][_state(state)] += count
    names = [name for name in standing.stored if name > args.after]
    page = names[:args.limit]
    return {
        "campaigns": [
            {"id": name, "version": standing.version(name), "category": standing.stored[name].category,
             "state": state_of(standing, name), "why": standing.blocked.get(name, ""),
             "digest": standing.stored[name].digest, "applied_at": said(standing.stored[name].applied_at)}
            | {state: by_campaign[name][state] for state in STATES}
            for name in page
        ],
        "next": page[-1] if len(names) > len(page) else None,
    }


async def show(office: Office, args: ShowArgs) -> Result:
    """One campaign: what it says, its approval, its messages by state, reason and segment."""
    works = office.works
    async with works.database.transaction() as tx:
        stored = existing(office, args.id, await campaigns.get(tx, args.id))
        standing = await read_standing(tx, works.policy, works.book, works.clock.now())
        text = await campaigns.content(tx, stored.id, stored.version)
        counts = await reading.counts_of(tx, stored.id)
        canary = await canaries.get(tx, stored.id)
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    segments: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for segment, state, reason, count in counts:
        states[_state(state)] += count
        segments[segment][_state(state)] += count
        if reason:
            reasons[reason] += count
    return {
        "id": stored.id, "version": stored.version, "category": stored.category, "digest": stored.digest,
        "state": state_of(standing, stored.id), "why": standing.blocked.get(stored.id, ""),
        "until": said(standing.resumes.get(stored.id)),
        "applied_at": said(stored.applied_at),
        "approved_at": said(stored.approved_at), "approved_by": stored.approved_by,
        "canceled_at": said(stored.canceled_at), "canceled_reason": stored.canceled_reason,
        "messages": _all_states(states), "skipped": dict(reasons),
        "segments": [{"segment": name} | _all_states(found) for name, found in segments.items()],
        "canary": _canary(canary) if canary is not None else None,
        "definition": json.loads(text or "{}"),
    }


def _canary(row: CanaryRow) -> Result:
    waiting = row.state is CanaryState.WAITING
    return {"state": str(row.state), "released": row.released, "until": said(row.until if waiting else None),
            "why": row.why}


async def approve(office: Office, args: ApproveArgs) -> Result:
    """Note who approved the current version; from then on it may send. Says which that is."""
    works = office.works
    async with works.database.transaction() as tx:
        stored = existing(office, args.id, await campaigns.get(tx, args.id))
        if stored.canceled_at is not None:
            raise OperationError("conflict", f"{stored.id} was canceled for good")
        if not stored.digest.startswith(args.digest):
            raise OperationError("conflict", f"{stored.id} has changed since, and was not approved: it is version "
                                             f"{stored.version} now, with the digest {stored.digest}; look at it again")
        if stored.approved_at is None:
            now = works.clock.now()
            await campaigns.approve(tx, stored.id, stored.version, args.by, now)
            await events.note(tx, Event(now, Kind.APPROVED, stored.id, f"version {stored.version}", args.by,
                                        {"version": stored.version, "digest": stored.digest}))
        campaign = await works.book.version(tx, stored.id, stored.version)
    office.wake()
    return {"id": stored.id, "version": stored.version, "digest": stored.digest,
            "by": stored.approved_by or args.by, "subjects": _subjects(campaign)}


def _subjects(campaign: Campaign) -> list[Result]:
    """The subject lines of a campaign: everyone's, and those of segments that have their own."""
    found = [{"segment": "", "subject": words.subject} for words in campaign.words.values() if words.subject]
    for segments in campaign.segment_words.values():
        found += [{"segment": name, "subject": words.subject} for name, words in segments.items()
                  if words.subject not in {"", *(one["subject"] for one in found)}]
    return found


async def cancel(office: Office, args: CancelArgs) -> Result:
    """End a campaign: what is released and has not begun is stopped, what is queued is closed, chunk by chunk."""
    works = office.works
    now = works.clock.now()
    async with works.database.transaction() as tx:
        stored = existing(office, args.id, await campaigns.get(tx, args.id))
        if stored.canceled_at is None:
            await campaigns.cancel(tx, stored.id, args.reason, now)
            await events.note(tx, Event(now, Kind.CANCELED, stored.id, args.reason, args.by))
        elsewhere = await office.elsewhere(tx)
    stopped = await office.stop_items(held_by("campaign", stored.id), SkipReason.CANCELED)
    closed = await close_campaign(works, stored.id, now)
    office.wake()
    return {"id": stored.id, "closed": closed, "stopped": stopped, "elsewhere": elsewhere}


async def sendable(office: Office, name: str) -> None:
    """Refuse to send a campaign that is not known, or that was canceled."""
    async with office.works.database.transaction() as tx:
        stored = await campaigns.get(tx, name)
    if stored is None:
        raise OperationError("unknown", f"no campaign is called {name}; apply it first")
    if stored.canceled_at is not None:
        raise OperationError("conflict", f"{name} was canceled for good; give it a new id to send it anew")


def existing(office: Office, name: str, stored: StoredCampaign | None) -> StoredCampaign:
    """The campaign, or OperationError."""
    if stored is None:
        directory = office.works.policy.settings.campaigns.directory
        raise OperationError("unknown", f"no campaign is called {name}; `dispatcher campaign list` shows those there "
                                        f"are, `dispatcher campaign apply {directory}/{name}` may make it one")
    return stored


def state_of(standing: Standing, name: str) -> str:
    """One word for a campaign's state."""
    if standing.canceled(name):
        return "canceled"
    why = standing.blocked.get(name)
    if why is None:
        return "active"
    return {UNAPPROVED: "unapproved", TESTED: "canary"}.get(why, "held")


def _state(state: str) -> str:
    """A message's state, of that in the tallies."""
    return "queued" if state == WAITING else state


def _all_states(counts: Mapping[str, int]) -> Result:
    return {state: counts.get(state, 0) for state in STATES}
