"""The demo's checks: a good run passes all of them, and each of them can fail."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from dispatcher.core.times import parse_instant
from dispatcher.demo import people
from dispatcher.demo.checks import LATE, Batch, Evidence, LaneMeant, Mail, Step, check, steps_seen

STEP, SLOT = 6_000, 1_000
START = parse_instant("2026-03-01T12:00:00Z")
EVERYONE = "everyone eligible got it"
TWICE = "nobody got it twice"
ELSE = "nobody else got anything"
LEFT_OUT = "everybody else was left out, for the right reason"
ORDER = "segments in order"
ALLOWANCE = "no step above its allowance"
RAMP = "allowances grew as the ramps say"
SPREAD = "batches spread over their slots"
PLAN = "the plan was kept"
END = "the daemon ended when it was told to"


def address(number: int) -> str:
    return f"c{number}@mail.example"


def batches(allowance: int, begin: int, first: int, after: int) -> list[Batch]:
    """A step's batches by the rule, for the customers from `first` to the one before `after`."""
    made = []
    for slot in range(6):
        size = min(allowance * (slot + 1) // 6 - allowance * slot // 6, after - first)
        if size:
            recipients = frozenset(address(number) for number in range(first, first + size))
            made.append(Batch(begin + slot * SLOT, begin + (slot + 1) * SLOT, size, recipients))
            first += size
    return made


def steps_of(count: int, *allowances: int) -> list[Step]:
    made, first = [], 0
    for number, allowance in enumerate(allowances):
        begin = START + number * STEP
        spent = min(allowance, count - first)
        made.append(Step(begin, begin + STEP, allowance, spent, batches(allowance, begin, first, first + spent)))
        first += spent
    return made


def mails_of(steps: Sequence[Step], envelope: str, delay: int = 4) -> list[Mail]:
    """Every batch evenly over its slot; the first customers first."""
    mails: list[Mail] = []
    for batch in (batch for step in steps for batch in step.batches):
        for number in range(batch.size):
            at = batch.slot + (batch.slot_ends - batch.slot) * number // batch.size + delay
            recipient = address(len(mails))
            mails.append(Mail(envelope, recipient, at, f"{envelope} {recipient}"))
    return mails


def good() -> Evidence:
    """Two lanes: 200 messages in steps of 60, 90, 135; and 60 in steps of 30, 45."""
    steps = {"support/other": steps_of(200, 60, 90, 135), "news/other": steps_of(60, 30, 45)}
    mails = [mail for lane in steps for mail in mails_of(steps[lane], f"{lane.removesuffix('/other')}@acme.example")]
    return Evidence(
        lanes=[
            LaneMeant("support/other", "support@acme.example", ("Berlin", "Paris"),
                      {address(number): number // 100 for number in range(200)}, 60, 1.5),
            LaneMeant("news/other", "news@acme.example", ("pro",),
                      {address(number): 0 for number in range(60)}, 30, 1.5),
        ],
        mails=mails, steps=steps, left_out={"inactive": 40, "no_address": 3},
        skipped={"inactive": 40, "no_address": 3, "suppressed": 0},
        promised=max(mail.at for mail in mails) + 20, ended=0,
    )


def failed(evidence: Evidence) -> set[str]:
    return {one.name for one in check(evidence) if not one.ok}


def with_mails(change: Callable[[list[Mail]], object]) -> Evidence:
    evidence = good()
    mails = list(evidence.mails)
    change(mails)
    return replace(evidence, mails=mails)


def swap(mails: list[Mail], one: int, other: int) -> None:
    """The two recipients change places in time."""
    mails[one], mails[other] = (replace(mails[other], at=mails[one].at), replace(mails[one], at=mails[other].at))


def test_a_good_run_passes_every_check() -> None:
    assert failed(good()) == set()
    assert len(check(good())) == 10


@pytest.mark.parametrize(("what", "change", "expected"), [
    ("a mail is missing", lambda mails: mails.pop(37), {EVERYONE}),
    ("the very same mail came again", lambda mails: mails.append(replace(mails[150], at=mails[150].at + 9)), {TWICE}),
    ("a copy came with other bytes", lambda mails: mails.append(replace(mails[150], at=mails[150].at + 9, digest="x")),
     {TWICE}),
    ("somebody got another one's letter", lambda mails: mails.insert(3, replace(mails.pop(3), digest=mails[4].digest)),
     {TWICE}),
    ("somebody got it who was not meant",
     lambda mails: mails.append(Mail("support@acme.example", "stranger@mail.example", mails[199].at, "y")), {ELSE}),
    ("somebody got it instead of another",
     lambda mails: mails.insert(3, replace(mails.pop(3), recipient="stranger@mail.example")), {ELSE, EVERYONE}),
    ("a sender that there is not", lambda mails: mails.append(Mail("x@acme.example", address(1), mails[199].at, "y")),
     {ELSE}),
    ("Paris before Berlin", lambda mails: swap(mails, 0, 199), {ORDER}),
    ("no mail at all", lambda mails: mails.clear(), {EVERYONE, PLAN}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_the_server_saw_is_checked(
    what: str, change: Callable[[list[Mail]], object], expected: set[str],
) -> None:
    found = failed(with_mails(change)) - {SPREAD}
    assert found >= expected, what
    assert found <= expected | {ALLOWANCE}, what      # one mail more may also be one too many


def test_one_mail_above_the_allowance_is_one_too_many() -> None:
    more = Mail("support@acme.example", "one-more@mail.example", START + 3_333, "z")
    assert failed(with_mails(lambda mails: mails.append(more))) == {ELSE, ALLOWANCE}


def test_a_mail_of_a_step_to_come_that_comes_before_it_is_above_the_allowance() -> None:
    """The same mails, but the second step's last one already in the first."""
    early = with_mails(lambda mails: mails.insert(0, replace(mails.pop(149), at=START + 5_500)))
    assert ALLOWANCE in failed(early)


def test_a_mail_outside_of_every_step_is_noticed() -> None:
    assert ALLOWANCE in failed(with_mails(lambda mails: mails.insert(0, replace(mails.pop(0), at=START - 1))))
    assert ALLOWANCE in failed(with_mails(lambda mails: mails.append(replace(mails.pop(), at=START + 10 * STEP))))


def test_what_the_ledger_spent_must_not_exceed_the_allowance_either() -> None:
    evidence = good()
    first, *others = evidence.steps["support/other"]
    steps = {**evidence.steps, "support/other": [replace(first, spent=61), *others]}
    assert failed(replace(evidence, steps=steps)) == {ALLOWANCE}


def test_messages_of_a_steps_last_slot_may_arrive_a_moment_after_its_end() -> None:
    steps = steps_of(150, 60, 90)
    seen, strays = steps_seen(mails_of(steps, "x", delay=150), steps)
    assert [(step.arrived, step.allowance) for step in seen] == [(60, 60), (90, 90)]
    assert strays == 0


def test_messages_of_earlier_slots_may_not_arrive_after_their_steps_end() -> None:
    """Two slots' worth late is more than the last slot had."""
    steps = steps_of(150, 60, 90)
    mails = [replace(mail, at=mail.at + 2_000) if mail.at < START + STEP else mail for mail in mails_of(steps, "x")]
    seen, _ = steps_seen(mails, steps)
    assert seen[1].arrived > seen[1].allowance


def test_messages_that_come_a_whole_slot_after_a_steps_end_count_for_the_next_one() -> None:
    steps = steps_of(150, 60, 90)
    mails = mails_of(steps, "x")
    late = [replace(mail, at=mail.at + 2_100) if START + 5_000 <= mail.at < START + STEP else mail for mail in mails]
    seen, _ = steps_seen(late, steps)
    assert [step.arrived for step in seen] == [50, 100]


def test_an_allowance_that_grew_too_fast_is_noticed() -> None:
    for allowances in [(61, 90, 135), (60, 91, 135), (60, 90, 136)]:
        evidence = good()
        steps = {**evidence.steps, "support/other": steps_of(200, *allowances)}
        assert RAMP in failed(replace(evidence, steps=steps)), allowances


def test_a_burst_at_the_start_of_every_slot_is_noticed() -> None:
    bursts = [replace(mail, at=mail.at - mail.at % SLOT + mail.at % SLOT // 20) for mail in good().mails]
    assert failed(replace(good(), mails=bursts)) == {SPREAD}


@pytest.mark.parametrize(("change", "expected"), [
    ({"skipped": {"inactive": 39, "no_address": 3}}, {LEFT_OUT}),
    ({"skipped": {"inactive": 40, "no_address": 3, "expired": 1}}, {LEFT_OUT}),
    ({"skipped": {}}, {LEFT_OUT}),
    ({"promised": START}, {PLAN}),
    ({"promised": None}, {PLAN}),
    ({"ended": -9}, {END}),
    ({"ended": None}, {END}),
], ids=str)
def test_what_the_dispatcher_said_is_checked(change: dict[str, object], expected: set[str]) -> None:
    assert failed(replace(good(), **change)) == expected  # type: ignore[arg-type] # the table's values are of their fields


def test_a_plan_that_ended_late_is_excused_only_by_a_machine_that_stood_still() -> None:
    late = replace(good(), promised=max(mail.at for mail in good().mails) - LATE - 1)
    assert failed(late) == {PLAN}
    (told,) = [one for one in check(replace(late, standstills=[900, 1_400])) if one.name == PLAN]
    assert (told.ok, told.figures) == (True, "last mail +3.0 s from the promised end")
    assert told.excuse.startswith("this machine stood still 2 times, for 2.3 s in all, ")
    early = replace(good(), promised=max(mail.at for mail in good().mails) + LATE + 1)
    assert failed(replace(early, standstills=[900])) == {PLAN}
    assert all(one.ok and not one.excuse for one in check(replace(good(), standstills=[900])))


def test_figures_name_a_few_of_those_that_are_wrong() -> None:
    evidence = good()
    figures = {one.name: one.figures for one in check(replace(evidence, mails=evidence.mails[10:]))}
    assert "support/other 190 of 200, news/other 60 of 60; missing c0@mail.example," in figures[EVERYONE]
    assert figures[EVERYONE].endswith(" and 7 more")


def test_the_sample_is_the_same_every_time_and_has_somebody_for_every_reason() -> None:
    persons = people.sample(1_000)
    assert persons == people.sample(1_000)
    delay, spring = (people.meant(persons, mailing) for mailing in people.MAILINGS)
    assert set(delay.left_out) == {"inactive", "no_address", "no_segment", "suppressed"}
    assert set(spring.left_out) == {"inactive", "no_address", "no_consent", "no_segment", "suppressed"} - {"no_segment"}
    for meant in (delay, spring):
        assert len(meant.reached) + sum(meant.left_out.values()) == 1_000
        assert set(meant.reached.values()) == {0, 1, 2}


def test_the_sample_as_rows_ends_with_one_that_must_be_refused() -> None:
    rows = list(people.rows(people.sample(60), START))
    assert [row["line"] for row in rows] == list(range(2, 63))
    assert "@" not in rows[-1]["values"]["email"]
    assert all("@" in row["values"]["email"] or not row["values"]["email"] for row in rows[:-1])
