"""What a drill file expects, held against what came of it. Pure."""

from collections.abc import Iterator

from dispatcher.drill.checks import Check
from dispatcher.drill.evidence import Evidence
from dispatcher.drill.rehearsal import Rehearsal
from dispatcher.drill.tables import LaneExpectTable


def judge(rehearsal: Rehearsal, evidence: Evidence) -> list[Check]:
    """One check for each expectation."""
    return list(_judged(rehearsal, evidence))


def _judged(rehearsal: Rehearsal, evidence: Evidence) -> Iterator[Check]:
    expect, drill = rehearsal.drill.table.expect, rehearsal.drill
    open_still = sum(one.state in {"queued", "sending"} for one in evidence.told)
    if expect.done_before is not None:
        before = expect.done_before.instant(drill.start, drill.table.timezone)
        last = max((one.at for one in evidence.seen), default=drill.start)
        yield Check("expect", f"done before {expect.done_before.text}", not open_still and last < before,
                    f"the last left on {rehearsal.when(last)}, {open_still:,} are still to leave")
    if expect.nobody_late is not None:
        late = sum(one.state == "skipped" and one.reason == "expired" for one in evidence.told)
        yield Check("expect", "nobody late" if expect.nobody_late else "somebody late",
                    (late == 0) == expect.nobody_late, f"{late:,} would have heard too late")
    if expect.accepted_at_least is not None:
        accepted = sum(one.state == "accepted" for one in evidence.told)
        yield Check("expect", f"at least {expect.accepted_at_least:,} accepted",
                    accepted >= expect.accepted_at_least, f"{accepted:,} were")
    if expect.copies_at_most is not None:
        copies = sum(one.took for one in evidence.seen) - len({one.message for one in evidence.seen if one.took})
        yield Check("expect", f"at most {expect.copies_at_most} copies beyond one each",
                    copies <= expect.copies_at_most, f"{copies} were")
    if expect.plan_kept_from is not None:
        yield _plan(expect.plan_kept_from.text, rehearsal, evidence)
    for number, lane in enumerate(expect.lanes):
        yield _lane(lane, rehearsal.stood.get(number))


def _lane(expected: LaneExpectTable, found: tuple[str, int] | None) -> Check:
    """How a lane stood at its moment; nobody knows where the drill's daemon did not run then."""
    state, allowance = found or ("unknown", 0)
    least, most = expected.allowance_at_least, expected.allowance_at_most
    ok = ((expected.state in {None, state}) and (least is None or allowance >= least)
          and (most is None or allowance <= most))
    wanted = [*([expected.state] if expected.state else []), *([f"at least {least:,}"] if least else []),
              *([f"at most {most:,}"] if most else [])]
    return Check("expect", f"{expected.lane} at {expected.at.text}: {', '.join(wanted)}", ok and found is not None,
                 f"{state}, {allowance:,} allowed")


def _plan(since: str, rehearsal: Rehearsal, evidence: Evidence) -> Check:
    """Whether the plan of a moment is what happened, batch by batch."""
    if rehearsal.planned is None:
        return Check("expect", f"the plan of {since} kept", ok=False, figures="the daemon did not run then")
    planned = {(one.lane, one.at, one.size) for one in rehearsal.planned if one.until <= evidence.end}
    released = {(row.lane, row.released_at, row.size) for row in evidence.batches
                if row.released_at >= rehearsal.planned_at and row.ends <= evidence.end}
    missing, more = sorted(planned - released), sorted(released - planned)
    first = [f"{lane} {rehearsal.when(at)}: {size} {what}" for what, some in (("planned", missing), ("released", more))
             for lane, at, size in some[:1]]
    kept = f"{len(planned & released)} of {len(planned)} batches as planned"
    return Check("expect", f"the plan of {since} kept", not missing and not more, "; ".join([kept, *first]))
