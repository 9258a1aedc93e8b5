"""Campaigns: listed, shown, approved, canceled."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping

from dispatcher.core.model import SkipReason
from dispatcher.engine.keeper import close_campaign
from dispatcher.engine.standing import UNAPPROVED, Standing, read_standing
from dispatcher.engine.underway import held_by
from dispatcher.operations.office import Args, Given, Limit, Office, OperationError, Result, Text, said
from dispatcher.store import campaigns, reading
from dispatcher.store.campaigns import StoredCampaign
from dispatcher.store.tallies import WAITING

STATES = ("queued", "sending", "accepted", "rejected", "in_doubt", "skipped")


class ListArgs(Args):
    """A page of campaigns, behind an id."""

    after: Text = ""
    limit: Limit = 1_000


class ShowArgs(Args):
    """One campaign."""

    id: Given


class ApproveArgs(Args):
    """Somebody approves the current version; with a digest exactly that one."""

    id: Given
    by: Given
    digest: Text = ""


class CancelArgs(Args):
    """End a campaign for good."""

    id: Given
    reason: Given


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
             "applied_at": said(standing.stored[name].applied_at)}
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
        "applied_at": said(stored.applied_at),
        "approved_at": said(stored.approved_at), "approved_by": stored.approved_by,
        "canceled_at": said(stored.canceled_at), "canceled_reason": stored.canceled_reason,
        "messages": _all_states(states), "skipped": dict(reasons),
        "segments": [{"segment": name} | _all_states(found) for name, found in segments.items()],
        "definition": json.loads(text or "{}"),
    }


async def approve(office: Office, args: ApproveArgs) -> Result:
    """Note who approved the current version; from then on it may send."""
    works = office.works
    async with works.database.transaction() as tx:
        stored = existing(office, args.id, await campaigns.get(tx, args.id))
        if stored.canceled_at is not None:
            raise OperationError("conflict", f"{stored.id} was canceled for good")
        if args.digest not in {"", stored.digest}:
            raise OperationError("conflict", f"{stored.id} has changed since: its digest is {stored.digest}")
        if stored.approved_at is None:
            await campaigns.approve(tx, stored.id, stored.version, args.by, works.clock.now())
    office.wake()
    return {"id": stored.id, "version": stored.version, "digest": stored.digest,
            "by": stored.approved_by or args.by}


async def cancel(office: Office, args: CancelArgs) -> Result:
    """End a campaign: what is released and has not begun is stopped, what is queued is closed, chunk by chunk."""
    works = office.works
    now = works.clock.now()
    async with works.database.transaction() as tx:
        stored = existing(office, args.id, await campaigns.get(tx, args.id))
        if stored.canceled_at is None:
            await campaigns.cancel(tx, stored.id, args.reason, now)
    stopped = await office.stop_items(held_by("campaign", stored.id), SkipReason.CANCELED)
    closed = await close_campaign(works, stored.id, now)
    office.wake()
    return {"id": stored.id, "closed": closed, "stopped": stopped}


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
    return "unapproved" if why == UNAPPROVED else "held"


def _state(state: str) -> str:
    """A message's state, of that in the tallies."""
    return "queued" if state == WAITING else state


def _all_states(counts: Mapping[str, int]) -> Result:
    return {state: counts.get(state, 0) for state in STATES}
