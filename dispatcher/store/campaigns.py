"""Campaigns and their versions, as texts; intake/campaign_file.py knows what the texts mean."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import String, bindparam, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store import changes
from dispatcher.store.changes import Change
from dispatcher.store.rows import among, fields, insert_into
from dispatcher.store.tables import LIVE, campaign_versions, campaigns, expansions, tallies


@dataclass(frozen=True, slots=True)
class StoredCampaign:
    """A campaign in its current version."""

    id: str
    version: int
    category: str
    incident: str
    sequence: int
    canceled_at: int | None
    canceled_reason: str
    digest: str
    applied_at: int
    approved_at: int | None
    approved_by: str
    closes: int = 0           # 1: its incident's last word


@dataclass(frozen=True, slots=True)
class Heading:
    """What the store itself needs to know of a campaign."""

    id: str
    category: str
    incident: str
    sequence: int
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Expansion:
    """A campaign on its way to its whole audience: how far it is."""

    id: int
    campaign: str
    cursor: str
    accepted: int
    duplicate: int


_CURRENT = (
    select(
        campaigns.c.id, campaigns.c.version, campaigns.c.category, campaigns.c.incident, campaigns.c.sequence,
        campaigns.c.canceled_at, campaigns.c.canceled_reason, campaign_versions.c.digest,
        campaign_versions.c.applied_at, campaign_versions.c.approved_at, campaign_versions.c.approved_by,
        campaigns.c.closes,
    )
    .join(campaign_versions,
          (campaign_versions.c.campaign == campaigns.c.id) & (campaign_versions.c.version == campaigns.c.version))
)


_ONE = _CURRENT.where(campaigns.c.id == bindparam("campaign", type_=String()))


async def get(tx: AsyncConnection, campaign: str) -> StoredCampaign | None:
    """A campaign, None if there is none of this id."""
    row = (await tx.execute(_ONE, {"campaign": campaign})).first()
    return StoredCampaign(*fields(row)) if row is not None else None


async def every(tx: AsyncConnection) -> list[StoredCampaign]:
    """All campaigns."""
    return [StoredCampaign(*fields(row)) for row in await tx.execute(_CURRENT.order_by(campaigns.c.id))]


_GOING = union_all(
    select(tallies.c.campaign).where(LIVE), select(expansions.c.campaign).where(expansions.c.finished_at.is_(None)),
).subquery()
_IS_GOING = campaigns.c.id.in_(select(_GOING.c.campaign))
_ALL_GOING = _CURRENT.where(_IS_GOING).order_by(campaigns.c.id)     # asked at every release


async def going(tx: AsyncConnection, others: Collection[str] = ()) -> list[StoredCampaign]:
    """The campaigns that have something queued or are being put on the queue, and these others."""
    asked = _ALL_GOING
    if others:
        asked = _CURRENT.where(or_(_IS_GOING, among(campaigns.c.id, sorted(others)))).order_by(campaigns.c.id)
    return [StoredCampaign(*fields(row)) for row in await tx.execute(asked)]


async def versions(tx: AsyncConnection, names: Collection[str]) -> dict[str, int]:
    """The current version of each of these campaigns."""
    rows = await tx.execute(select(campaigns.c.id, campaigns.c.version).where(among(campaigns.c.id, sorted(names))))
    return {name: version for name, version in rows}  # noqa: C416 -- dict() of rows is not typed


async def content(tx: AsyncConnection, campaign: str, version: int) -> str | None:
    """The text of one version."""
    found: str | None = (await tx.execute(
        select(campaign_versions.c.content)
        .where(campaign_versions.c.campaign == campaign, campaign_versions.c.version == version)
    )).scalar()
    return found


async def apply(tx: AsyncConnection, heading: Heading, text: str, digest: str, now: int) -> tuple[int, bool]:
    """Make this content the campaign's current version, unless it is; the version, and whether it is a new one."""
    before = await get(tx, heading.id)
    if before is not None and before.digest == digest:
        return before.version, False
    version = 1 if before is None else before.version + 1
    values = {"version": version, "category": heading.category, "incident": heading.incident,
              "sequence": heading.sequence, "closes": int(heading.closes), "applied_at": now}
    if before is None:
        await tx.execute(insert_into(tx, campaigns), values | {"id": heading.id, "canceled_reason": ""})
    else:
        await tx.execute(update(campaigns).where(campaigns.c.id == heading.id).values(values))
    await tx.execute(insert_into(tx, campaign_versions), {
        "campaign": heading.id, "version": version, "digest": digest, "content": text, "applied_at": now,
        "approved_by": "",
    })
    return version, True


async def approve(tx: AsyncConnection, campaign: str, version: int, by: str, now: int) -> None:
    """Note that a person approved exactly this version."""
    await tx.execute(
        update(campaign_versions)
        .where(campaign_versions.c.campaign == campaign, campaign_versions.c.version == version)
        .values(approved_at=now, approved_by=by)
    )


async def cancel(tx: AsyncConnection, campaign: str, reason: str, now: int) -> None:
    """End a campaign for good; its queued messages are closed by whoever calls this, in chunks."""
    await tx.execute(
        update(campaigns).where(campaigns.c.id == campaign).values(canceled_at=now, canceled_reason=reason)
    )
    await changes.tell(tx, Change.STOPS)


async def start_expansion(tx: AsyncConnection, campaign: str, now: int) -> Expansion:
    """Begin, or go on, to take a campaign to its whole audience: durable, so that a crash only delays it."""
    unfinished = [one for one in await unfinished_expansions(tx) if one.campaign == campaign]
    if unfinished:
        return unfinished[0]
    key = (await tx.execute(insert_into(tx, expansions).returning(expansions.c.id), {
        "campaign": campaign, "cursor": "", "accepted": 0, "duplicate": 0, "started_at": now,
    })).scalar_one()
    await changes.tell(tx, Change.STOPS)       # earlier updates of its incident wait until it is done
    return Expansion(key, campaign, "", 0, 0)


_UNFINISHED = (
    select(expansions.c.id, expansions.c.campaign, expansions.c.cursor, expansions.c.accepted, expansions.c.duplicate)
    .where(expansions.c.finished_at.is_(None)).order_by(expansions.c.id)
)


async def unfinished_expansions(tx: AsyncConnection) -> list[Expansion]:
    """Expansions that a crash or a stop cut short, and those under way."""
    return [Expansion(*row) for row in await tx.execute(_UNFINISHED)]


async def expanded(tx: AsyncConnection, one: Expansion, finished_at: int | None) -> None:
    """Note how far an expansion is."""
    await tx.execute(
        update(expansions).where(expansions.c.id == one.id)
        .values(cursor=one.cursor, accepted=one.accepted, duplicate=one.duplicate, finished_at=finished_at)
    )


_CANCELED = (      # asked at every turn of the keeper, so put together once
    select(tallies.c.campaign).distinct()
    .join(campaigns, campaigns.c.id == tallies.c.campaign)
    .where(LIVE, campaigns.c.canceled_at.is_not(None))
)


async def canceled_with_queue(tx: AsyncConnection) -> list[str]:
    """Canceled campaigns that still have queued messages."""
    return [campaign for (campaign,) in await tx.execute(_CANCELED)]
