"""All that the checks of a drill look at, read from the store once at its end, beside what the servers saw."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from config.ramps import Ramp
from dispatcher.content.mime import identity
from dispatcher.core.model import Campaign
from dispatcher.drill.rehearsal import Rehearsal, Stop
from dispatcher.drill.servers import Seen
from dispatcher.policy import Policy, split_lane
from dispatcher.store.record_tables import events
from dispatcher.store.tables import attempts, batch_parts, batches, messages, steps


@dataclass(frozen=True, slots=True)
class Told:
    """A message, as the store has it."""

    id: int
    campaign: str
    key: str
    customer: str
    state: str
    reason: str
    doubts: int
    waiting: int            # 1: it is queued, but not before not_before
    not_before: int
    lane: str
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """What of one campaign and segment was in a batch."""

    campaign: str
    released_at: int
    size: int


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch of the ledger."""

    lane: str
    slot: int
    ends: int
    step: int
    size: int
    allowance: int
    released_at: int


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step of the ledger."""

    lane: str
    step: int
    ends: int
    allowance: int
    spent: int
    unsent: int
    accepted: int
    deferred: int
    rejected: int
    in_doubt: int
    complaints: int
    state: str

    @property
    def sent(self) -> int:
        """What the provider saw, or may have seen."""
        return self.spent - self.unsent


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the store."""

    at: int
    kind: str
    subject: str
    cause: str
    by: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to judge by."""

    seen: Sequence[Seen]
    told: Sequence[Told]
    named: Mapping[bytes, Told]                     # Message-ID -> message
    tried: Mapping[int, Sequence[tuple[str, int, str]]]    # message -> (lane, slot, outcome) of its attempts, in order
    batches: Sequence[BatchRow]
    steps: Sequence[StepRow]
    happened: Sequence[Happened]
    stops: Sequence[Stop]
    policies: Sequence[Policy]
    parts: Sequence[Part]                           # of batches, in the order of release
    campaigns: Mapping[str, Campaign]
    timezones: Mapping[str, str]                    # customer -> zone
    everyone: frozenset[str]                        # campaigns that go to inactive customers too
    inactive: frozenset[str]                        # customers who are
    accepted: int                                   # messages that producers were told of
    crashes: int
    exact: bool
    end: int
    disturbed: frozenset[str]                       # lanes whose servers were slow, or gone
    unfinal: Sequence[str]
    untrue: Sequence[str]
    told_in_logs: Sequence[str]
    most_underway: int
    history: Mapping[str, Sequence[int]]            # lane -> what it sent on the days before the drill
    unplanned: int                                  # queued messages that the plan does not know of

    def ramps(self, lane: str) -> list[Ramp]:
        """The ramps that a lane had in the drill."""
        found = (policy.ramp_of(lane) for policy in self.policies)
        return [ramp for ramp in found if ramp is not None]


async def gather(rehearsal: Rehearsal) -> Evidence:
    """Read the store."""
    m, a, b, p = messages.c, attempts.c, batches.c, batch_parts.c
    tried: dict[int, list[tuple[str, int, str]]] = {}
    async with rehearsal.stage.database.transaction() as tx:
        told = [Told(*row) for row in await tx.execute(select(
            m.id, m.campaign, m.key, m.customer, m.state, m.reason, m.doubts, m.waiting, m.not_before, m.lane,
            m.expires_at,
        ).order_by(m.id))]
        for message, lane, slot, outcome in await tx.execute(
                select(a.message, a.lane, a.slot, a.outcome).order_by(a.message, a.number)):
            tried.setdefault(message, []).append((lane, slot, outcome))
        spent = [BatchRow(*row) for row in await tx.execute(select(
            b.lane, b.slot, b.slot_ends, b.step, b.size, b.allowance, b.released_at).order_by(b.lane, b.slot))]
        ledger = [StepRow(*row) for row in await tx.execute(select(*_STEP).order_by(steps.c.step, steps.c.lane))]
        happened = [Happened(*row) for row in await tx.execute(select(*_EVENT).order_by(events.c.id))]
        released = [Part(*row) for row in await tx.execute(
            select(p.campaign, p.released_at, p.size).order_by(p.released_at))]
        known = await rehearsal.stage.works.book.known(tx, set(rehearsal.drill.campaigns.values()))
    diary, people = rehearsal.diary, rehearsal.people
    campaigns = {name: one.campaign for name, one in known.items()}
    return Evidence(
        seen=rehearsal.servers.seen, told=told, named=_named(rehearsal, told), tried=tried, batches=spent,
        steps=ledger, happened=happened, stops=diary.stops, policies=diary.policies,
        parts=released, campaigns=campaigns,
        timezones={people.identity(number): people.timezone(number) for number in range(people.table.count)},
        everyone=frozenset(name for name, one in campaigns.items() if one.everyone),
        inactive=frozenset(people.identity(number) for number in range(people.table.count)
                           if not people.is_active(number)),
        accepted=diary.accepted, crashes=diary.crashes, exact=rehearsal.drill.table.exact, end=rehearsal.now,
        disturbed=_disturbed(rehearsal, spent), unfinal=diary.unfinal, untrue=diary.untrue,
        told_in_logs=diary.told, most_underway=diary.most_underway, unplanned=rehearsal.unplanned,
        history={one.lane: one.sent for one in rehearsal.drill.table.history},
    )


def outcomes(evidence: Evidence) -> Counter[str]:
    """How many messages are in each state."""
    return Counter(one.state for one in evidence.told)


def _named(rehearsal: Rehearsal, told: Sequence[Told]) -> dict[bytes, Told]:
    """Every message by each Message-ID that it may have."""
    domains = {sender.from_.address.ascii_domain.encode("ascii")
               for policy in rehearsal.diary.policies for sender in policy.settings.senders.values()}
    return {identity(one.campaign, one.key, domain).message_id: one for one in told for domain in domains}


def _disturbed(rehearsal: Rehearsal, spent: Sequence[BatchRow]) -> frozenset[str]:
    """Lanes of senders some of whose servers were slow: their hand-overs share the sender's connections."""
    events = [one for one in rehearsal.drill.table.events if one.kind in {"slow", "unreachable"}]
    senders = {name for one in events for name in ([one.sender] if one.sender else rehearsal.drill.senders)}
    return frozenset(row.lane for row in spent if split_lane(row.lane).sender in senders)


_STEP = [steps.c[name] for name in ("lane", "step", "step_ends", "allowance", "spent", "unsent", "accepted", "deferred",
                                    "rejected", "in_doubt", "complaints", "state")]
_EVENT = [events.c[name] for name in ("at", "kind", "subject", "cause", "by")]
