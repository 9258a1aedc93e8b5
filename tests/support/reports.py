"""A report as the operation `report` answers: a storm at gmail, a hold, a crash. Made, not measured."""

from typing import Any

from dispatcher.core.times import format_instant, parse_instant

BEGIN = parse_instant("2026-03-02T08:00:00Z")
MADE_AT = parse_instant("2026-03-06T12:00:00Z")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
GMAIL, OTHER = "support/gmail", "support/other"


def storm(days: int = 2, every: int = 60) -> dict[str, Any]:
    """So many days of two lanes, slots of so many minutes from 8 to 20; ten promised for each."""
    promised, released = [], []
    for day in range(days):
        for slot in range(12 * 60 // every):
            at = BEGIN + day * DAY + slot * every * MINUTE
            for lane in (GMAIL, OTHER):
                slow = lane == GMAIL and day == 0 and 3 <= slot * every // 60 < 7
                promised.append(_promised(at, lane, every, slow=slow))
                released.append(_released(at, lane, 3 if slow else 10))
    late = [_released(BEGIN + days * DAY + slot * HOUR, GMAIL, 7) for slot in range(4)]
    whole = len(promised) * 10
    return {
        "campaign": "delivery-delay", "category": "service", "version": 2, "now": format_instant(MADE_AT),
        "started_at": format_instant(BEGIN - HOUR), "canceled_at": None, "canceled_reason": "", "blocked": [],
        "messages": {"queued": 12, "sending": 0, "accepted": whole - 40, "rejected": 4, "in_doubt": 1, "skipped": 23},
        "total": whole, "added_later": 3, "first_at": format_instant(BEGIN), "left": 0, "late_now": 0,
        "last_at": format_instant(BEGIN + days * DAY + 3 * HOUR), "expected_end": None, "complete": True, "pruned": 0,
        "promise_kept": False,
        "summary": "The promise was not kept: it ended 15 h later than promised, as the lane was slowed: deferrals.",
        "promise": {
            "stored_at": format_instant(BEGIN - HOUR), "queued": whole, "late": 0, "cut": False,
            "done_at": promised[-1]["until"],
            "kept": {"on_time": len(promised) - 4, "smaller": 4, "later": 0, "missing": 0, "coming": 0},
            "batches": promised,
        },
        "slips": [{
            "lane": GMAIL, "from": format_instant(BEGIN + 3 * HOUR), "until": format_instant(BEGIN + 7 * HOUR),
            "batches": 4, "promised": 40, "in_time": 12, "missing": 0, "rest_at": late[-1]["released_at"],
            "cause": "lane_slowed", "follows": False, "count": 0, "since": format_instant(BEGIN + 3 * HOUR),
            "ended": format_instant(BEGIN + 9 * HOUR), "why": "the lane was slowed: deferrals: 20 of 21",
        }],
        "attempts": {"accepted": whole - 40, "deferred": 36}, "deferred_now": 12, "left_out": 23,
        "skipped": {"inactive": 20, "unsubscribed": 3}, "sent": whole - 40,
        "segments": [_segment("DE/Berlin", whole - 100, 20), _segment("*", 100, 3)],
        "batches": [*released, *late], "more_batches": 0, "bucket": HOUR,
        "lanes": [_lane(GMAIL, days, deferred=6), _lane(OTHER, days, deferred=0)],
    }


def _promised(at: int, lane: str, every: int, *, slow: bool) -> dict[str, Any]:
    return {"at": format_instant(at), "until": format_instant(at + every * MINUTE), "lane": lane, "size": 10,
            "segments": {"*": 10}, "limit": "allowance", "kept": "smaller" if slow else "on_time",
            "in_time": 3 if slow else 10, "missing": 0, "rest_at": None}


def _released(at: int, lane: str, size: int) -> dict[str, Any]:
    return {"at": format_instant(at), "released_at": format_instant(at), "lane": lane, "size": size, "first": size,
            "segments": {"*": size}, "accepted": size}


def _segment(name: str, count: int, skipped: int) -> dict[str, Any]:
    return {"segment": name, "messages": count, "released": count - skipped, "deferred_now": 6, "queued": 6,
            "sending": 0, "accepted": count - skipped - 8, "rejected": 2, "in_doubt": 0, "skipped": skipped,
            "reasons": {"inactive": skipped}}


def _lane(name: str, days: int, deferred: int) -> dict[str, Any]:
    hours = [BEGIN + day * DAY + hour * HOUR for day in range(days) for hour in range(12)]
    slow = [{"state": "slow", "cause": "lane_slowed", "from": format_instant(BEGIN + 3 * HOUR), "why": "deferrals",
             "until": format_instant(BEGIN + 9 * HOUR)},
            {"state": "held", "cause": "hold", "from": format_instant(BEGIN + 10 * HOUR), "why": "a look (Eve)",
             "until": None}] if deferred else []
    return {
        "lane": name, "state": "healthy", "why": "", "promised": 120 * days, "released": 120 * days, "states": slow,
        "events": [],
        "buckets": [{"at": format_instant(at), "size": 10, "accepted": 10 - (deferred if 3 <= place < 7 else 0),
                     "deferred": deferred if 3 <= place < 7 else 0, "rejected": 0, "in_doubt": 0, "unsent": 0}
                    for place, at in enumerate(hours)],
    }
