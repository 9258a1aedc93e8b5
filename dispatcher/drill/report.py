"""What a drill came to, as one result: plain values that are JSON, for the command line and for programs."""

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from config.units import DAY
from dispatcher.core.times import format_instant, local_date
from dispatcher.drill.checks import Check, check
from dispatcher.drill.evidence import Evidence, Happened, StepRow, gather
from dispatcher.drill.expectations import judge
from dispatcher.drill.rehearsal import Entry, Rehearsal
from dispatcher.operations.office import OperationError, Result
from dispatcher.operations.registry import OPERATIONS


async def report(rehearsal: Rehearsal, seconds: float, *, reports: bool = True) -> Result:
    """The whole result of a drill that has come to its end; without `reports` those of its campaigns are left out."""
    evidence = await gather(rehearsal)
    checks = check(evidence)
    expected = judge(rehearsal, evidence)
    drill, table = rehearsal.drill, rehearsal.drill.table
    states = Counter(one.state for one in evidence.told)
    skipped = Counter(one.reason for one in evidence.told if one.state == "skipped")
    return {
        "drill": drill.place, "seed": table.seed, "customers": table.customers.count,
        "days": (drill.end - drill.start) // DAY,
        "start": format_instant(drill.start), "end": format_instant(rehearsal.now), "timezone": table.timezone,
        "exact": table.exact, "seconds": round(seconds, 1),
        "messages": dict(sorted(states.items())), "skipped": dict(sorted(skipped.items())),
        "handed_over": len(evidence.seen), "batches": len(evidence.batches),
        "timeline": timeline(rehearsal, evidence.happened),
        "lanes": [_day(rehearsal, row) for row in evidence.steps],
        "checks": [_shown(one) for one in checks], "expected": [_shown(one) for one in expected],
        "reports": await _reports(rehearsal) if reports else [], "digest": digest(evidence),
        "ok": all(one.ok for one in (*checks, *expected)),
    }


def timeline(rehearsal: Rehearsal, happened: Sequence[Happened]) -> list[Result]:
    """What the drill did, and what the dispatcher made of it, in order."""
    entries = [*rehearsal.diary.entries, *(_entry(one) for one in happened)]
    return [{"at": format_instant(one.at), "when": rehearsal.when(one.at), "by": one.by, "what": one.what,
             "cause": one.cause} for one in sorted(entries, key=lambda one: one.at)]


def digest(evidence: Evidence) -> str:
    """What the servers saw, all of it and in its order, as one number: two runs that agree in it were the same."""
    whole = blake2b(digest_size=16)
    for one in evidence.seen:
        whole.update(f"{one.at} {one.lane} {one.recipient} {one.result} ".encode() + one.digest)
    return whole.hexdigest()


def _entry(one: Happened) -> Entry:
    words = one.kind.replace("_", " ")
    return Entry(one.at, f"{one.subject}: {words}" if one.subject else words, one.by or "dispatcher", one.cause)


def _day(rehearsal: Rehearsal, row: StepRow) -> Result:
    zone = rehearsal.drill.table.timezone
    day = local_date(row.step, zone)
    return {"day": (day - local_date(rehearsal.drill.start, zone)).days + 1, "date": day.isoformat(),
            "step": format_instant(row.step), "lane": row.lane, "allowance": row.allowance, "sent": row.sent,
            "accepted": row.accepted, "deferred": row.deferred, "rejected": row.rejected, "in_doubt": row.in_doubt,
            "complaints": row.complaints, "state": row.state}


def _shown(one: Check) -> Result:
    return {"promise": one.promise, "name": one.name, "ok": one.ok, "judged": one.judged,
            "figures": one.figures}


async def _reports(rehearsal: Rehearsal) -> list[Any]:
    """The report of every campaign that was sent, as `dispatcher report` has it."""
    if "report" not in OPERATIONS:
        return []
    found = []
    for name in rehearsal.drill.campaigns.values():
        try:
            found.append(await rehearsal.perform("report", campaign=name))
        except OperationError:
            continue    # nothing of it was sent
    return found
