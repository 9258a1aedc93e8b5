"""What one customer would get of a campaign, and whether they would get it now."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from config.addresses import normalise
from dispatcher.content.check import sample_message
from dispatcher.content.faults import MessageFault, TemplateFaults
from dispatcher.content.skeleton import Preview, SenderIdentity, prepare
from dispatcher.core import audience
from dispatcher.core.audience import Candidate, Send, Verdict, Wait
from dispatcher.core.lanes import Route, route
from dispatcher.core.model import Campaign, Customer
from dispatcher.engine.standing import read_standing
from dispatcher.engine.ways import identity_of
from dispatcher.operations.office import Args, Given, Office, OperationError, Result, said
from dispatcher.store import controls, customers, incidents
from dispatcher.store.incidents import Thread

_NO_ADDRESS = "nobody@example.org"
"""Stands for the address of a customer who has none, so that the words can be shown all the same."""


class PreviewArgs(Args):
    """A campaign, a customer, and where the words need it the producer's data."""

    id: Given
    customer: Given
    data: dict[str, Any] | None = Field(default=None)


async def preview(office: Office, args: PreviewArgs) -> Result:
    """The words that a customer would get now, and the verdict on the message."""
    works = office.works
    now = works.clock.now()
    async with works.database.transaction() as tx:
        known = (await works.book.known(tx, {args.id})).get(args.id)
        if known is None:
            raise OperationError("unknown", f"no campaign is called {args.id}; apply it first")
        customer = (await customers.get(tx, [args.customer])).get(args.customer)
        if customer is None:
            raise OperationError("unknown", f"no customer is called {args.customer}; import customers first")
        campaign = known.campaign
        thread = await incidents.thread(tx, campaign, [customer.id])
        meant = audience.as_owed(campaign, informed=customer.id in thread.informed)
        way = route(meant, customer, works.policy.channels, works.policy.provider_of)
        verdict = await _verdict(tx, office, campaign, _Reader(customer, way, thread), now)
        standing = await read_standing(tx, works.policy, works.book, now)
    sender = way.sender or next((name for name in campaign.senders if name in works.policy.settings.senders), "")
    if not sender:
        raise OperationError("failed", f"none of the campaign's senders is configured: {', '.join(campaign.senders)}")
    identity = identity_of(sender, works.policy.settings.senders[sender])
    words = await asyncio.to_thread(_words, campaign, way, identity, customer, args.data, now)
    held = standing.lane_hold(way.lane) if way.lane else None
    return {
        "from": words.from_, "to": customer.email, "reply_to": words.reply_to, "subject": words.subject,
        "text": words.text, "html": words.html, "segment": way.segment, "lane": way.lane,
        "blocked": standing.blocked.get(args.id) or (held.reason if held is not None else ""),
    } | told(verdict)


def told(verdict: Verdict) -> Result:
    """A verdict as results have it."""
    if isinstance(verdict, Send):
        return {"verdict": "send", "reason": "", "until": None}
    if isinstance(verdict, Wait):
        return {"verdict": "wait", "reason": "quiet_hours", "until": said(verdict.until)}
    return {"verdict": "skip", "reason": str(verdict.reason), "until": None}


@dataclass(frozen=True, slots=True)
class _Reader:
    """Who would get it, which way, and what they have heard of its incident."""

    customer: Customer
    way: Route
    thread: Thread


async def _verdict(tx: AsyncConnection, office: Office, campaign: Campaign, reader: _Reader, now: int) -> Verdict:
    customer, way = reader.customer, reader.way
    rules = office.works.policy.rules
    category = campaign.category
    address = normalise(way.address) if way.address else ""
    suppressed = await controls.suppressed(tx, [address]) if address else {}
    cap = rules.caps.get(category)
    contacts = await controls.contacts(tx, [customer.id], category, now - cap.within) if cap is not None else {}
    stored = (await office.works.book.known(tx, {campaign.id}))[campaign.id].stored
    return audience.verdict(
        Candidate(
            campaign=campaign, customer=customer, route=way,
            suppressed=controls.reason_for(suppressed, address, category) if address else "",
            canceled=stored.canceled_at is not None,
            superseded=reader.thread.overtaken(customer.id, campaign.sequence),
            informed=customer.id in reader.thread.informed,
            contacts=contacts.get(customer.id, ()),
        ),
        rules, now,
    )


def _words(
    campaign: Campaign, way: Route, identity: SenderIdentity, customer: Customer, data: Mapping[str, Any] | None,
    now: int,
) -> Preview:
    segment = way.segment or campaign.segments[0]
    message = sample_message(campaign, segment, data if data is not None else campaign.sample or None, now)
    reader = customer if customer.email else replace(customer, email=_NO_ADDRESS)
    try:
        return prepare(campaign, segment, identity).preview(replace(message, customer=customer.id), reader)
    except TemplateFaults as error:
        raise OperationError("usage", "the words cannot be used", [str(fault) for fault in error.faults]) from None
    except MessageFault as error:
        raise OperationError("usage", error.reason) from None
