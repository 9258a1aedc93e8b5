"""The slips of a campaign's promise: what the store says, as core/slip_causes.py asks for it."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from dispatcher.core import slips
from dispatcher.core.slip_causes import Slip, explain
from dispatcher.core.slip_evidence import Cause, Evidence, Gone, Guest, Reload, Span, Trouble
from dispatcher.core.slips import Met, Released
from dispatcher.operations.report_reading import Found
from dispatcher.store.report_reads import CRASH
from dispatcher.store.tallies import WAITING

_AGAIN: Final = {"deferred": Cause.DEFERRAL, "in_doubt": Cause.DOUBT, CRASH: Cause.CRASH}
_LEFT: Final = ("queued", WAITING, "sending")


def matched(found: Found) -> list[Met]:
    """Every promised batch with what became of it."""
    return slips.match(found.promised, released(found), found.now)


def explained(found: Found, met: Sequence[Met], spans: Sequence[Span], reloads: Sequence[Reload], *,
              bounded: bool) -> list[Slip]:
    """The promised batches that slipped, and why; `bounded`: the campaign keeps to the answers people can give."""
    lacking = Counter[str]()
    for one in met:
        lacking[one.batch.lane] += one.missing
    gone = Counter[str]()
    for (lane, _, _), count in found.gone.items():
        gone[lane] += count
    left = Counter[str]()
    for lane, state, _, count in found.by_lane:
        if state in _LEFT:
            left[lane] += count
    fewer = {lane: min(max(count - left[lane], 0), gone[lane]) for lane, count in lacking.items()}
    since = found.promise.stored_at if found.promise is not None else found.now
    return explain(met, Evidence(
        spans=spans, guests=_guests(found), reloads=[one for one in reloads if one.at >= since],
        troubles=_troubles(found),
        fewer=fewer, gone=[Gone(lane, at, count, reason) for (lane, at, reason), count in found.gone.items()],
        moved=_moved(found, lacking, fewer),
        late=_late(found), replies=bounded,
    ))


def _late(found: Found) -> dict[tuple[str, int], int]:
    """Slots released late, by how much; what was promised for the rest of a slot leaves the later, the less of it."""
    late = {(row.lane, row.slot): row.released_at - row.slot for rows in found.slots.values() for row in rows
            if (row.released_at - row.slot) * 10 > row.slot_ends - row.slot}
    begun = {(one.lane, one.at): one.until - one.at for one in found.promised
             if found.promise is not None and one.at == found.promise.stored_at}
    return begun | late


def released(found: Found) -> list[Released]:
    """What slots sent of the campaign for the first time, since the promise."""
    since = found.promise.stored_at if found.promise is not None else 0
    at = {(part.lane, part.slot): part.released_at for part in found.parts if part.released_at >= since}
    return [Released(lane, slot, at[lane, slot], size) for (lane, slot), size in found.firsts().items()
            if (lane, slot) in at]


def _guests(found: Found) -> list[Guest]:
    """Who else was in the lanes' slots: the campaign's own further attempts, and other campaigns."""
    since = found.promise.stored_at if found.promise is not None else found.now
    again: Counter[tuple[str, int, Cause]] = Counter()
    if found.pruned:        # nobody knows any more what came of the attempts before
        for part in found.parts:
            again[part.lane, part.slot, Cause.DEFERRAL] += part.size - part.first
    else:
        for (lane, slot, before), count in found.again.items():
            again[lane, slot, _AGAIN.get(before, Cause.UNSENT)] += count
    return [
        *(Guest(cause, lane, slot, size) for (lane, slot, cause), size in again.items() if size),
        *(Guest(Cause.NEW_CAMPAIGN if found.started.get(one.campaign, 0) > since else Cause.OTHERS, one.lane, one.slot,
                one.size, one.campaign) for one in found.others),
    ]


def _troubles(found: Found) -> list[Trouble]:
    """Slots in which the server deferred, or could not be reached: an attempt was made, and is no answer of it."""
    troubles = []
    for lane, rows in found.slots.items():
        for row in rows:
            tried = found.tried.get((lane, row.slot, "deferred"))
            unseen = min(max(tried.count - row.deferred, 0), row.unsent) if tried is not None else 0
            # Which of both it was stands in attempts alone; where those are pruned, neither is claimed.
            unsent = row.unsent - unseen if not found.pruned else 0
            if row.deferred or unseen or unsent or row.in_doubt:
                troubles.append(Trouble(lane, row.slot, row.deferred, unseen, unsent, row.in_doubt))
    return troubles


def _moved(found: Found, lacking: Counter[str], fewer: dict[str, int]) -> dict[str, int]:
    """What lanes lack because others had more than was promised to them, later arrivals not counted."""
    promised, had = Counter[str](), Counter[str]()
    for batch in found.promised:
        promised[batch.lane] += batch.size
    for one in released(found):
        had[one.lane] += one.size
    more = sum(max(had[lane] - promised[lane], 0) for lane in had) - found.added
    moved = {}
    for lane in sorted(lacking):
        count = min(lacking[lane] - fewer[lane], more)
        if count > 0:
            moved[lane] = count
            more -= count
    return moved
