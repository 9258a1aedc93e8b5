"""What a report says: sentences, lengths of time, and nobody's address."""

from dataclasses import replace

import pytest

from dispatcher.core.report_words import Course, because, discreet, headline, kept, length
from dispatcher.core.slip_evidence import Because, Cause

HOUR = 3_600_000
DONE = Course(promised=100, promised_end=10 * HOUR, promised_until=10 * HOUR + 300_000, left=0, ended=10 * HOUR,
              expected=None, sent=100)


@pytest.mark.parametrize(("text", "told"), [
    ("550 5.1.1 <ada@mail.example>: unknown", "550 5.1.1 <[address]>: unknown"),
    ("ada@mail.example", "[address]"),
    ("call +49 30 123456 now", "call [number] now"),
    ("421 4.7.0 try again later", "421 4.7.0 try again later"),
])
def test_addresses_and_numbers_are_left_out(text: str, told: str) -> None:
    assert discreet(text) == told


@pytest.mark.parametrize(("milliseconds", "text"), [
    (-5, "0.0 s"), (400, "0.4 s"), (40_000, "40 s"), (60_000, "1 min"), (61_000, "1 min 1 s"), (HOUR, "1 h"),
    (5 * HOUR + 600_000, "5 h 10 min"), (5 * HOUR + 10_000, "5 h"), (51 * HOUR, "2 days 3 h"),
    (24 * HOUR + 61_000, "1 day"),
])
def test_lengths_have_their_two_largest_units(milliseconds: int, text: str) -> None:
    assert length(milliseconds) == text


@pytest.mark.parametrize(("cause", "text"), [
    (Because(Cause.HOLD, "words of ada@mail.example"), "it was held: words of [address]"),
    (Because(Cause.STOPPED), "the daemon did not run"),
    (Because(Cause.STOPPED, since=0, until=5), "the daemon did not run"),
    (Because(Cause.STOPPED, since=HOUR + 700), "the daemon has not run since 1970-01-01 01:00:00 UTC"),
    (Because(Cause.CLOCK_PUT, "forward by 3 h", since=0), "the clock was put forward by 3 h"),
    (Because(Cause.STOOD_STILL, "for 4 s", since=0, until=9), "the daemon stood still for 4 s"),
    (Because(Cause.CRASH, count=20, since=HOUR),
     "the daemon crashed after 1970-01-01 01:00:00 UTC, and what was under way then took 20 places again"),
    (Because(Cause.CRASH, since=HOUR),
     "the daemon crashed after 1970-01-01 01:00:00 UTC, and what was under way then took places again"),
    (Because(Cause.CRASH, count=2), "the daemon crashed, and what was under way then took places again"),
    (Because(Cause.DOUBT, count=1), "1 message in doubt was sent again"),
    (Because(Cause.DOUBT, count=11), "11 messages in doubt were sent again"),
    (Because(Cause.DOUBT), "messages in doubt were sent again"),
    (Because(Cause.DEFERRAL, count=1), "1 further attempt of deferred messages took places"),
    (Because(Cause.DEFERRAL), "messages were deferred"),
    (Because(Cause.NEW_CAMPAIGN, "news", 1_200), "news, started later, took 1,200 places"),
    (Because(Cause.NEW_CAMPAIGN, "news"), "a campaign that started later took places"),
    (Because(Cause.OTHERS, "old", 3), "old took 3 places"),
    (Because(Cause.FEWER, "inactive 4", 4), "there were fewer to send to (4: inactive 4)"),
    (Because(Cause.UNREACHABLE, count=2), "the server could not be reached (2)"),
    (Because(Cause.LANE_SLOWED, "421", follows=True), "it followed from an earlier slip: the lane was slowed: 421"),
])
def test_a_cause_is_a_line(cause: Because, text: str) -> None:
    assert because(cause) == text


def test_every_cause_has_words() -> None:
    assert all(because(Because(cause)) for cause in Cause)


@pytest.mark.parametrize(("course", "told"), [
    (DONE, (True, "The promise was kept: it ended when it was promised to.")),
    (replace(DONE, ended=8 * HOUR), (True, "The promise was kept: it ended 2 h before its time.")),
    (replace(DONE, ended=12 * HOUR),
     (False, "The promise was not kept: it ended 2 h later than promised, as it was held.")),
    (replace(DONE, left=40, expected=12 * HOUR),
     (False, "The promise was not kept: it will end 2 h later than promised, as it was held.")),
    (replace(DONE, left=40, expected=9 * HOUR), (None, "It keeps its promise so far, with 40 messages left.")),
    (replace(DONE, left=1), (None, "It stands still, with 1 message left, as it was held.")),
    (replace(DONE, left=1, leaving=1), (None, "The last of it is under way: 1 message.")),
    (replace(DONE, expired=7),
     (False, "The promise was not kept: 7 messages expired before a place came, as it was held.")),
    (replace(DONE, expired=7, promised_late=3, left=2, expected=9 * HOUR),
     (False, ("The promise was not kept: 7 messages expired before a place came, and 3 were said to, as it was held; "
              "2 messages left."))),
    (replace(DONE, expired=7, promised_late=7),
     (True, "The promise was kept: it ended when it was promised to; 7 messages expired, as it had said.")),
    (replace(DONE, ended=None), (True, "Nothing of it was sent: nobody was left to send to.")),
    (replace(DONE, canceled=True), (None, "It was canceled; 100 messages had been sent.")),
    (replace(DONE, promised_end=None),
     (None, "No end was promised, as not all of it had a place in the plan; all of it is done.")),
    (replace(DONE, promised_end=None, left=2),
     (None, "No end was promised, as not all of it had a place in the plan; 2 messages left.")),
    (replace(DONE, promised=0, promised_end=None, promised_until=None, sent=0, left=2),
     (None, "It has not started: a plan is promised when the first of it may be released.")),
])
def test_the_promise_is_told_in_a_sentence(course: Course, told: tuple[bool | None, str]) -> None:
    assert (kept(course), headline(course, "it was held")) == told


def test_what_keeps_it_back_now_is_told_and_not_what_once_did() -> None:
    assert headline(replace(DONE, left=2), "the daemon did not run", "words being checked") == \
        "It stands still, with 2 messages left: words being checked."


def test_without_a_cause_none_is_named() -> None:
    assert headline(replace(DONE, ended=12 * HOUR), "") == \
        "The promise was not kept: it ended 2 h later than promised."
