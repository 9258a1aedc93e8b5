"""Events in, what kept lanes from keeping a promise out: as a table."""

from typing import Any

import pytest

from dispatcher.core.slip_evidence import EVERY_LANE, FOREVER, Cause, Reload, Span
from dispatcher.engine.timekeeping import CRASHED
from dispatcher.operations.report_evidence import About, reloads, spans
from dispatcher.store.events import Event, Kind

GMAIL, OTHER = "support/gmail", "support/other"
ABOUT = About("delay", "service", (GMAIL, OTHER), approval=True)


def event(at: int, kind: Kind, subject: str = "", cause: str = "", by: str = "", /, **data: Any) -> Event:
    return Event(at, kind, subject, cause, by, data)


@pytest.mark.parametrize(("events", "found"), [
    pytest.param([event(5, Kind.STOPPED), event(9, Kind.STARTED, away_since=6)], [Span(Cause.STOPPED, 5, 9)],
                 id="stopped in good order"),
    pytest.param([event(9, Kind.STARTED, away_since=6)], [Span(Cause.STOPPED, 6, 9, why="it had crashed")],
                 id="crashed"),
    pytest.param([event(9, Kind.STARTED, "", CRASHED, away_since=6)],
                 [Span(Cause.STOPPED, 6, 9, why="it had crashed"), Span(Cause.CRASH, 6, 6)], id="crashed in its work"),
    pytest.param([event(9, Kind.STARTED, "", CRASHED, away_since=9)], [Span(Cause.CRASH, 9, 9)],
                 id="started again at once"),
    pytest.param([event(20, Kind.CLOCK_PUT, "", "forward by 3 h", **{"from": 8, "by": 12}),
                  event(20, Kind.CLOCK_PUT, "", "back by 40 s", **{"from": 20, "by": -5}),
                  event(9, Kind.STOOD_STILL, "", "for 4 s", **{"from": 5}), event(9, Kind.STOOD_STILL)],
                 [Span(Cause.CLOCK_PUT, 8, 20, why="forward by 3 h"), Span(Cause.CLOCK_PUT, 20, 25, why="back by 40 s"),
                  Span(Cause.STOOD_STILL, 5, 9, why="for 4 s")], id="time that passed by"),
    pytest.param([event(9, Kind.STARTED), event(10, Kind.STARTED, away_since=10)], [], id="the first start"),
    pytest.param([event(5, Kind.STOPPED)], [Span(Cause.STOPPED, 5)], id="not started again"),
    pytest.param([event(5, Kind.CLOCK_BEHIND, "", "behind", seen_at=50)], [Span(Cause.CLOCK, 5, 50, why="behind")],
                 id="a clock that catches up"),
    pytest.param([event(5, Kind.CLOCK_BEHIND, "", "behind", seen_at=50), event(8, Kind.RESUMED, kind="clock")],
                 [Span(Cause.CLOCK, 5, 8, why="behind")], id="a clock that is trusted"),
    pytest.param([event(5, Kind.HELD, "", "price", "Eve", kind="everything"),
                  event(9, Kind.RESUMED, kind="everything")],
                 [Span(Cause.HOLD, 5, 9, why="price (Eve)")], id="everything held"),
    pytest.param([event(5, Kind.HELD, "", "a", kind="everything", until=20),
                  event(7, Kind.HELD, "", "b", kind="everything")],
                 [Span(Cause.HOLD, 5, 7, why="a"), Span(Cause.HOLD, 7, why="b")], id="held again"),
    pytest.param([event(5, Kind.HELD, GMAIL, "price", kind="lane", until=20)],
                 [Span(Cause.HOLD, 5, 20, GMAIL, "price")], id="a lane held for a time"),
    pytest.param([event(5, Kind.HELD, "support", "price", kind="sender")],
                 [Span(Cause.HOLD, 5, FOREVER, lane, "price") for lane in (GMAIL, OTHER)], id="a sender held"),
    pytest.param([event(5, Kind.HELD, "service", "crisis", kind="category"),
                  event(6, Kind.HELD, "promotional", "crisis", kind="category"),
                  event(6, Kind.HELD, "news", "words", kind="campaign"),
                  event(6, Kind.HELD, "news/gmail", "words", kind="lane")],
                 [Span(Cause.HOLD, 5, FOREVER, EVERY_LANE, "crisis")], id="only what covers the campaign"),
    pytest.param([event(5, Kind.LANE_SLOWED, GMAIL, "421"), event(6, Kind.LANE_SLOWED, GMAIL, "421 again"),
                  event(9, Kind.LANE_HEALTHY, GMAIL), event(9, Kind.LANE_SLOWED, "news/gmail", "421")],
                 [Span(Cause.LANE_SLOWED, 5, 9, GMAIL, "421")], id="slowed, and slower still"),
    pytest.param([event(5, Kind.LANE_SLOWED, GMAIL, "421"), event(6, Kind.LANE_HELD, GMAIL, "bounces", until=8),
                  event(9, Kind.LANE_RECOVERING, GMAIL), event(12, Kind.LANE_HEALTHY, GMAIL)],
                 [Span(Cause.LANE_SLOWED, 5, 6, GMAIL, "421"), Span(Cause.LANE_HELD, 6, 8, GMAIL, "bounces"),
                  Span(Cause.LANE_SLOWED, 9, 12, GMAIL, "bounces")], id="held, and back by slow steps"),
    pytest.param([event(5, Kind.CAMPAIGN_APPLIED, "delay"), event(9, Kind.APPROVED, "delay"),
                  event(11, Kind.CAMPAIGN_APPLIED, "delay"), event(11, Kind.CAMPAIGN_APPLIED, "news")],
                 [Span(Cause.APPROVAL, 5, 9), Span(Cause.APPROVAL, 11)], id="approval"),
    pytest.param([event(5, Kind.CANARY_OUT, "delay", "of 50"), event(9, Kind.CANARY_PASSED, "delay"),
                  event(11, Kind.CANARY_FAILED, "delay", "bounces")],
                 [Span(Cause.CANARY, 5, 9, why="of 50"), Span(Cause.CANARY, 11, why="bounces")], id="canary"),
    pytest.param([event(5, Kind.CANCELED, "delay", "solved"), event(6, Kind.CAMPAIGN_STARTED, "delay")],
                 [Span(Cause.CANCELED, 5, why="solved")], id="canceled"),
])
def test_what_happened_lasts_as_long_as_it_did(events: list[Event], found: list[Span]) -> None:
    assert spans(events, ABOUT) == found


@pytest.mark.parametrize(("events", "since"), [
    ([event(3, Kind.STARTED)], 7), ([event(3, Kind.STARTED), event(5, Kind.STOPPED)], 5), ([], 7),
])
def test_while_no_daemon_runs_nothing_is_sent_since_its_last_sign_of_life(events: list[Event], since: int) -> None:
    assert spans(events, About("delay", "service", (), alive_at=7)) == [Span(Cause.STOPPED, since)]


def test_a_new_version_waits_for_nobody_where_none_is_approved() -> None:
    assert spans([event(5, Kind.CAMPAIGN_APPLIED, "delay")], About("delay", "service", ())) == []


def test_only_reloads_that_change_rates_are_causes() -> None:
    events = [event(1, Kind.RELOADED, "", "ramps.careful.start: 100 -> 50; log.level: info -> debug"),
              event(2, Kind.RELOADED, "", "log.level: info -> debug"), event(3, Kind.RELOADED),
              event(4, Kind.RELOADED, "", "senders.support.from"), event(5, Kind.STARTED, "", "ramps")]
    assert reloads(events) == [Reload(1, events[0].cause), Reload(4, "senders.support.from")]
