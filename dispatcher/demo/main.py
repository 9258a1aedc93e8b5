"""The main job on this machine, with nothing to prepare: shown while it runs, then checked.

Everything lives in a temporary folder: a configuration, two campaigns, the store, the logs. The daemon is the real
one, run and talked to as users do; it hands its mail to a real SMTP server on loopback in a process of its own. A step
of the ramp, a day in real life, takes seconds. In the end the mail server's record is held against the sample.
Processes and folder are gone on every way out, Ctrl-C and SIGTERM included; the reports that it ends with stay, as a
page.
"""

import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final, NoReturn

from dispatcher.cli.output import DONE, FAILED, WRONG, CliError, complain, console, print_blocks, print_json, say
from dispatcher.clock import SystemClock
from dispatcher.core.times import parse_instant
from dispatcher.demo import people, stillness
from dispatcher.demo.checks import Check, Evidence, LaneMeant, check, lane_mails, steps_seen
from dispatcher.demo.children import Daemon, MailServer, daemon, mail_server
from dispatcher.demo.house import GROWTH, SLOT, STARTS, write
from dispatcher.demo.people import MAILINGS, Meant, Person
from dispatcher.demo.view import Look, Screen, clock_time, screen

CUSTOMERS: Final = 1_000
FEWEST, MOST = 50, 20_000
STEP: Final = 6
"""Seconds of a step; a divisor of the day."""
SHORTEST, LONGEST = 2, 60
SOON: Final = 500
"""Milliseconds at least between the plan and the first step."""
OVERDUE: Final = 60_000
"""Milliseconds after the promised end at which the demo no longer waits."""
_EARLY: Final = 30          # milliseconds before its step at which the hold ends: too short for a batch before it
_ROWS: Final = 500
_PAUSE: Final = 0.2
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NEXT: Final = """
Everything else was in a temporary folder, and is gone. What to do next:
  README.md, "Five minutes"    the same by hand, with files of your own
  docs/ramp.md                 what a step allows, and why
  docs/install.md              the daemon as a service
  dispatcher --help            every verb"""


@dataclass(frozen=True, slots=True)
class Sample:
    """Who there is, and who is meant."""

    persons: Sequence[Person]
    meant: Sequence[Meant]      # by mailing, in the order of MAILINGS


@dataclass(frozen=True, slots=True)
class Seen:
    """What the daemon said on the way."""

    promised: int | None
    status: dict[str, Any]
    reports: Sequence[dict[str, Any]]
    standstills: Sequence[int]


class _Stopped(BaseException):
    """Somebody wants the demo to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run(*, as_json: bool = False, customers: int = CUSTOMERS, step: int = STEP) -> int:
    """Run the demo for so many customers and steps of so many seconds; its exit code: 0 if every check holds.

    1 where one failed or the demo could not run, 2 for a number that cannot be, 130 after Ctrl-C.
    """
    try:
        with _ending_in_order():
            return _run(as_json=as_json, customers=customers, step=step)
    except _Stopped as stopped:
        complain("stopped; nothing is left behind")
        return 128 + stopped.number
    except CliError as error:
        complain(*error.lines)
        return error.code


def _run(*, as_json: bool, customers: int, step: int) -> int:
    if not FEWEST <= customers <= MOST:
        raise CliError(f"--customers {customers} makes no demo; take {FEWEST} to {MOST}", code=WRONG)
    if not SHORTEST <= step <= LONGEST or people.DAY % (step * 1000):
        raise CliError(f"--step {step} makes no demo; take {SHORTEST} to {LONGEST} seconds, a divisor of the day",
                       code=WRONG)
    clock = SystemClock()
    began = clock.monotonic()
    persons = people.sample(customers)
    sample = Sample(persons, [people.meant(persons, mailing) for mailing in MAILINGS])
    with TemporaryDirectory(prefix="dispatcher-demo-") as name:
        try:
            evidence, reports = _perform(Path(name), sample, step, as_json=as_json)
        finally:
            _go_on_whatever_comes()     # what is left takes milliseconds, and the folder has to go
    checks = check(evidence)
    if as_json:
        print_json(_document(evidence, checks, customers, clock.monotonic() - began))
    else:
        _tell(checks, reports, clock.monotonic() - began)
    return DONE if all(one.ok for one in checks) else FAILED


def _perform(
    folder: Path, sample: Sample, step: int, *, as_json: bool
) -> tuple[Evidence, Sequence[dict[str, Any]]]:
    """The main job itself, and everything that is known of it afterwards: what happened, and what it reports."""
    with mail_server(folder) as server:
        config = write(folder, server.port, step)
        with daemon(config) as running:
            with screen(silent=as_json) as shown:
                _introduce(shown, sample, server.port, step)
                seen = _send(running, server, sample, step, shown)
            ended = running.end()
        mails = server.end()
    from dispatcher.demo import ledger  # noqa: PLC0415 -- half a second that nobody waits for at the start

    left_out: Counter[str] = Counter()
    for one in sample.meant:
        left_out.update(one.left_out)
    evidence = Evidence(
        lanes=[LaneMeant(mailing.lane, mailing.envelope, mailing.segments, one.reached, STARTS[mailing.sender], GROWTH)
               for mailing, one in zip(MAILINGS, sample.meant, strict=True)],
        mails=mails, steps=ledger.read(folder / "store.db"), left_out=left_out, skipped=seen.status["skipped"],
        promised=seen.promised, ended=ended, standstills=seen.standstills,
    )
    return evidence, seen.reports


def _introduce(shown: Screen, sample: Sample, port: int, step: int) -> None:
    shown.say(f"The main job, on this machine alone: {len(sample.persons)} sample customers, two campaigns, a mail "
              f"server of its own on 127.0.0.1:{port}. A step of the ramp, a day in real life, takes {step} s.")


def _send(running: Daemon, server: MailServer, sample: Sample, step: int, shown: Screen) -> Seen:
    """Customers in, campaigns onto the queue, and watch until everything has ended."""
    clock = SystemClock()
    _import(running, sample, shown)
    running.call("hold", kind="everything", reason="the demo is being set up")
    for mailing in MAILINGS:
        _enqueue(running, mailing.id, shown)
    now = clock.now()
    begins = (now + SOON) // (step * 1000) * step * 1000 + step * 1000
    running.call("hold", kind="everything", reason="until the first step", for_ms=begins - clock.now() - _EARLY)
    plan = running.call("plan")
    promised = parse_instant(plan["done_at"]) if plan["done_at"] else None
    shown.say(f"plan        {len(plan['batches'])} batches from {clock_time(begins)}"
              + (f", the last mail at {clock_time(promised)}" if promised else ""))
    until = (promised or begins) + OVERDUE
    with stillness.watch(SLOT) as machine:
        status = running.call("status")
        while (status["messages"]["queued"] or status["messages"]["sending"]) and clock.now() <= until:
            shown.show(Look(status, server.count, clock.now()))
            time.sleep(_PAUSE)
            status = running.call("status")
    shown.show(Look(status, server.count, clock.now()))
    return Seen(promised, status, [running.call("report", campaign=mailing.id) for mailing in MAILINGS],
                machine.standstills())


def _import(running: Daemon, sample: Sample, shown: Screen) -> None:
    faults = running.call("status").get("faults")
    if faults:
        raise CliError("the demo's own campaigns were not applied:", *faults)
    rows = list(people.rows(sample.persons, SystemClock().now()))
    refused: list[dict[str, Any]] = []
    new = 0
    for start in range(0, len(rows), _ROWS):
        result = running.call("customers.import", rows=rows[start:start + _ROWS])
        new += result["new"]
        refused += result["faults"]
    named = "; ".join(f"line {fault['line']}: {fault['reason']}" for fault in refused)
    shown.say(f"customers   {new} imported, {len(refused)} refused ({named})")
    suppressed = [person.email for person in sample.persons if person.suppressed and person.email]
    for start in range(0, len(suppressed), _ROWS):
        running.call("suppress.add", addresses=suppressed[start:start + _ROWS], note="of the demo")
    shown.say(f"suppressed  {len(suppressed)} addresses")


def _enqueue(running: Daemon, campaign: str, shown: Screen) -> None:
    expansion = running.call("send.audience", campaign=campaign)["expansion"]
    while not (told := running.call("send.step", expansion=expansion))["finished"]:
        pass
    shown.say(f"campaign    {campaign}: {told['queued']} queued, {sum(told['skipped'].values())} left out")


def _tell(checks: Sequence[Check], reports: Sequence[dict[str, Any]], seconds: float) -> None:
    from rich.text import Text  # noqa: PLC0415 -- heavy

    from dispatcher.demo.reports import keep, summaries  # noqa: PLC0415 -- not before there is something to tell

    out = console()
    out.print(f"\nChecked against what the mail server received, in {seconds:.0f} s:")
    for one in checks:
        word = Text("ok    " if one.ok else "FAILED", "green" if one.ok else "bold red")
        if one.excuse:
            word = Text("late  ", "yellow")
        out.print(Text.assemble("  ", word, f"  {one.name}: {one.figures}" + (f"; {one.excuse}" if one.excuse else "")),
                  soft_wrap=True)
    print_blocks(summaries(reports))
    try:
        say(f"\nThe report, with charts: {keep(reports)}")
    except OSError as error:
        complain(f"the report could not be written: {error.strerror or error}")
    out.print(_NEXT if all(one.ok for one in checks) else "\nA check failed. That should not be: please report it.")


def _document(evidence: Evidence, checks: Sequence[Check], customers: int, seconds: float) -> dict[str, Any]:
    return {
        "ok": all(one.ok for one in checks), "seconds": round(seconds, 1), "customers": customers,
        "mails": len(evidence.mails), "skipped": dict(evidence.skipped),
        "steps": [
            {"lane": lane.lane, "allowance": step.allowance, "spent": step.spent, "arrived": step.arrived}
            for lane in evidence.lanes
            for step in steps_seen(lane_mails(evidence, lane), evidence.steps.get(lane.lane, ()))[0]
        ],
        "checks": [{"check": one.name, "ok": one.ok, "figures": one.figures, "excuse": one.excuse} for one in checks],
    }


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Turn the first signal to end into an exception that unwinds everything; further ones wait for that."""
    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        _go_on_whatever_comes()
        raise _Stopped(number)

    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:       # as nohup has it
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _go_on_whatever_comes() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
