"""What a report says in words: causes, lengths of time, whether the promise was kept. Nobody's address is in them."""

import re
from dataclasses import dataclass
from typing import Final

from config.units import DAY, MILLISECONDS
from dispatcher.core.slip_evidence import Because, Cause
from dispatcher.core.times import format_instant

_ADDRESS: Final = re.compile(r"[^\s<>()\[\],;:\"']{1,64}@[^\s<>()\[\],;:\"']{1,255}")
_NUMBER: Final = re.compile(r"\+\d[\d ()/-]{5,}\d")
_UNITS: Final = (("day", DAY), ("h", MILLISECONDS["h"]), ("min", MILLISECONDS["m"]), ("s", MILLISECONDS["s"]))

_TEXTS: Final = {
    Cause.STOPPED: "the daemon did not run",
    Cause.CLOCK_PUT: "the clock was put",
    Cause.STOOD_STILL: "the daemon stood still",
    Cause.HOLD: "it was held",
    Cause.LANE_HELD: "the lane was held",
    Cause.APPROVAL: "it waited for approval",
    Cause.CANARY: "its canary was waited for",
    Cause.CANCELED: "it was canceled",
    Cause.CLOCK: "the clock was behind",
    Cause.STALE: "what is known of customers was too old",
    Cause.LANE_SLOWED: "the lane was slowed",
    Cause.DEFERRAL: "messages were deferred",
    Cause.CRASH: "the daemon crashed, and what was under way then took places again",
    Cause.DOUBT: "messages in doubt were sent again",
    Cause.NEW_CAMPAIGN: "a campaign that started later took places",
    Cause.FEWER: "there were fewer to send to",
    Cause.MOVED: "they left by another lane",
    Cause.RELOAD: "another configuration came into force",
    Cause.UNREACHABLE: "the server could not be reached",
    Cause.UNSENT: "places were spent on messages that then came back untried",
    Cause.REPLIES: "no more answers could be taken",
    Cause.OTHERS: "another campaign took places",
    Cause.LATE: "its slot had begun before it could be released",
    Cause.UNKNOWN: "nothing that was recorded explains it",
}


@dataclass(frozen=True, slots=True)
class Course:
    """A campaign's way, as far as its head line needs it. Instants; None: not known, or never."""

    promised: int               # messages
    promised_end: int | None    # planned start of the last
    promised_until: int | None  # end of the slot after the last batch: a promise is kept to a slot
    left: int                   # messages in the queue or under way
    ended: int | None           # the last first attempt, where nothing is left
    expected: int | None        # the end by the plan of now, where something is
    sent: int                   # messages that have ended, and were tried
    canceled: bool = False
    expired: int = 0            # messages that were never sent, as their time was over
    promised_late: int = 0      # messages of which that was said beforehand
    leaving: int = 0            # of left: under way


def discreet(text: str) -> str:
    """A text without the addresses and phone numbers that a server's reply or a person's reason may quote."""
    return _NUMBER.sub("[number]", _ADDRESS.sub("[address]", text))


def because(cause: Because) -> str:
    """A cause in one line."""
    text = _TEXTS[cause.cause]
    match cause.cause:
        case Cause.STOPPED if cause.until is None and cause.since is not None:
            text = f"the daemon has not run since {_moment(cause.since)}"
        case Cause.CLOCK_PUT | Cause.STOOD_STILL if cause.why:
            text += f" {cause.why}"
        case Cause.CRASH if cause.since is not None:
            places = _times(cause.count, "place") if cause.count else "places"
            # When it was last known to run: the crash came within a minute of that.
            text = f"the daemon crashed after {_moment(cause.since)}, and what was under way then took {places} again"
        case Cause.DOUBT if cause.count:
            text = f"{_times(cause.count, 'message')} in doubt {'was' if cause.count == 1 else 'were'} sent again"
        case Cause.DEFERRAL if cause.count:
            text = f"{_times(cause.count, 'further attempt')} of deferred messages took places"
        case Cause.NEW_CAMPAIGN | Cause.OTHERS if cause.why:
            later = ", started later," if cause.cause is Cause.NEW_CAMPAIGN else ""
            text = f"{cause.why}{later} took {_times(cause.count, 'place')}" if cause.count else text
        case Cause.FEWER | Cause.UNREACHABLE | Cause.UNSENT | Cause.MOVED if cause.count:
            text += f" ({cause.count}{': ' if cause.why else ''}{discreet(cause.why)})"
        case _ if cause.why:
            text += f": {discreet(cause.why)}"
    return f"it followed from an earlier slip: {text}" if cause.follows else text


def length(milliseconds: int) -> str:
    """A length of time in its two largest units: "2 days 3 h", "5 h 10 min", "40 s"."""
    left = max(milliseconds, 0)
    parts = []
    for name, unit in _UNITS:
        count, left = divmod(left, unit)
        if count:
            parts.append(f"{count} {name}{'s' if name == 'day' and count > 1 else ''}")
        if len(parts) == 2 or (parts and not count):    # noqa: PLR2004 -- two units are enough to tell
            break
    return " ".join(parts) or f"{max(milliseconds, 0) / 1000:.1f} s"


def kept(course: Course) -> bool | None:
    """Whether the promise was kept, of its end and of whom it would reach; None where that is not to be told (yet)."""
    end = course.expected if course.left else course.ended
    if course.promised_until is None or course.promised_end is None or course.canceled:
        return None
    if course.expired > course.promised_late:
        return False
    if end is None:
        return None if course.left else True
    if end < course.promised_until:
        return True if not course.left else None
    return False


def headline(course: Course, why: str, still: str = "") -> str:  # noqa: PLR0911 -- a table of sentences
    """The promise kept or not, in one sentence.

    `why` is the cause that made most of what slipped, `still` what keeps it back now.
    """
    reason = f", as {why}" if why else ""
    if course.canceled:
        return f"It was canceled; {_times(course.sent, 'message')} had been sent."
    if course.promised_end is None or course.promised_until is None:
        return _unpromised(course)
    end = course.expected if course.left else course.ended
    if end is None and course.left:
        if course.left == course.leaving:
            return f"The last of it is under way: {_times(course.left, 'message')}."
        return f"It stands still, with {_times(course.left, 'message')} left{f': {still}' if still else reason}."
    beyond = course.expired - course.promised_late
    if beyond > 0:
        said = f", and {course.promised_late:,} were said to" if course.promised_late else ""
        rest = f"; {_times(course.left, 'message')} left" if course.left else ""
        expired = f"{_times(course.expired, 'message')} expired before a place came"
        return f"The promise was not kept: {expired}{said}{reason}{rest}."
    if end is None:
        return "Nothing of it was sent: nobody was left to send to."
    late = end - course.promised_end
    if end >= course.promised_until:
        verb = "will end" if course.left else "ended"
        return f"The promise was not kept: it {verb} {length(late)} later than promised{reason}."
    if course.left:
        return f"It keeps its promise so far, with {_times(course.left, 'message')} left."
    early = f"{length(-late)} before its time" if late < -MILLISECONDS["m"] else "when it was promised to"
    expired = f"; {_times(course.expired, 'message')} expired, as it had said" if course.expired else ""
    return f"The promise was kept: it ended {early}{expired}."


def _unpromised(course: Course) -> str:
    if not course.promised and not course.sent:
        return "It has not started: a plan is promised when the first of it may be released."
    if course.left:
        return f"No end was promised, as not all of it had a place in the plan; {_times(course.left, 'message')} left."
    return "No end was promised, as not all of it had a place in the plan; all of it is done."


def _moment(instant: int) -> str:
    return f"{format_instant(instant - instant % 1000)[:19].replace('T', ' ')} UTC"


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
