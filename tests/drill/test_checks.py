"""Every check can fail: the evidence of a drill that went well, and what one thing changed in it is noticed as."""

import asyncio
from dataclasses import replace

import pytest
from support.drills import SHORT, drill, event

from channels.contract import Result
from dispatcher.core.model import Canary, Category, Replies
from dispatcher.drill.checks import check
from dispatcher.drill.evidence import gather
from dispatcher.drill.rehearsal import Rehearsal, Stop
from dispatcher.drill.story import play, prepare

DAY = 86_400_000


@pytest.fixture(scope="module")
def well(tmp_path_factory):
    """The evidence of a drill in which two attempts of every message at gmail were deferred or in doubt."""
    folder = tmp_path_factory.mktemp("well")
    text = SHORT.replace("count = 24", "count = 24\nactive = 0.9")
    found = drill(folder, event("day 1 07:31", "doubt", provider="gmail", for_="40m"), text=text)

    async def run():
        one = Rehearsal(found, folder)
        await prepare(one)
        await play(one, lambda _: None)
        evidence = await gather(one)
        await one.stage.drain(0)
        return evidence

    return asyncio.run(run())


def first(some, **wanted):
    return next(one for one in some if all(getattr(one, name) == value for name, value in wanted.items()))


def without(some, one):
    return [other for other in some if other is not one]


def told(well, number, **changes):
    """A message that says something else, wherever it is told of."""
    before = well.told[number]
    after = replace(before, **changes)
    return replace(well, told=[after if one is before else one for one in well.told],
                   named={name: after if one is before else one for name, one in well.named.items()})


def campaign(well, **changes):
    return replace(well, campaigns={name: replace(one, **changes) for name, one in well.campaigns.items()})


def rules(well, **changes):
    policy = well.policies[0]
    return replace(well, policies=[replace(policy, rules=replace(policy.rules, **changes))])


def seen(well, number, **changes):
    return replace(well, seen=[replace(one, **changes) if place == number else one
                               for place, one in enumerate(well.seen)])


def test_the_drill_went_well(well):
    assert [(one.promise, one.figures) for one in check(well) if not one.ok] == []
    assert sum(one.doubts for one in well.told) > 0


CHANGES = {
    "P1 lost": ("P1", lambda e: replace(e, accepted=len(e.told) + 1)),
    "P2 stored twice": ("P2", lambda e: replace(e, told=[*e.told, e.told[0]])),
    "P2 sent by nobody": ("P2", lambda e: seen(e, 0, message=b"<x@acme.example>")),
    "P3 the store is untrue": ("P3", lambda e: replace(e, untrue=["support/gmail: 9 released by 3, allowed 8"])),
    "P3 more than the batch": ("P3", lambda e: replace(e, batches=[replace(one, size=0) for one in e.batches])),
    "P3 more than the step": ("P3", lambda e: replace(e, batches=[replace(one, allowance=3) for one in e.batches])),
    "P3 grew too fast": ("P3", lambda e: replace(e, steps=[
        *e.steps, replace(e.steps[0], step=e.steps[0].step + DAY, allowance=121)])),
    "P4 before its batch": ("P4", lambda e: replace(e, batches=[
        replace(one, released_at=one.released_at + 3_600_000) for one in e.batches])),
    "P4 without a batch": ("P4", lambda e: replace(e, tried={})),
    "P5 a copy without a doubt": ("P5", lambda e: replace(e, seen=[*e.seen, e.seen[-1]])),
    "P5 another letter": ("P5", lambda e: replace(e, seen=[*e.seen, replace(e.seen[-1], digest=b"x", took=False)])),
    "P5 accepted by nobody": ("P5", lambda e: replace(e, seen=without(
        e.seen, first(e.seen, lane="support/outlook", result=Result.ACCEPTED)))),
    "P6 suppressed": ("P6", lambda e: replace(e, stops=[Stop("address", e.seen[-1].recipient, 3)])),
    "P6 held": ("P6", lambda e: replace(e, stops=[Stop("everything", "", 3, until=9)])),
    "P6 a lane held": ("P6", lambda e: replace(e, stops=[Stop("lane", e.seen[-1].lane, 3)])),
    "P6 canceled": ("P6", lambda e: replace(e, stops=[Stop("canceled", "delay", 3)])),
    "P6 a category held": ("P6", lambda e: replace(e, stops=[Stop("category", "service", 3)])),
    "P6 unapproved": ("P6", lambda e: replace(e, stops=[Stop("unapproved", "delay", 0)])),
    "P6 inactive": ("P6", lambda e: replace(e, inactive=frozenset({e.named[e.seen[0].message].customer}))),
    "P6 expired": ("P6", lambda e: told(e, e.told.index(e.named[e.seen[-1].message]), expires_at=1)),
    "P6 at night": ("P6", lambda e: rules(e, quiet_hours=(0, 1430))),
    "P6 canary": ("P6", lambda e: campaign(e, canary=Canary(2, DAY))),
    "P6 answers": ("P6", lambda e: campaign(e, replies=Replies(1, 1, 1.0))),
    "P7 no lane": ("P7", lambda e: told(e, 0, state="queued", lane="")),
    "P7 no reason": ("P7", lambda e: told(e, 0, state="skipped", reason="because")),
    "P7 waits for ever": ("P7", lambda e: told(e, 0, state="queued", waiting=1, not_before=1)),
    "P7 unplanned": ("P7", lambda e: replace(e, unplanned=1)),
    "P8 changed": ("P8", lambda e: replace(e, unfinal=["message 1 was accepted, and is queued"])),
    "P12 told": ("P12", lambda e: replace(e, told_in_logs=["noted at level info"])),
    "P13 wrong envelope": ("P13", lambda e: seen(e, 0, faulty="its To is not its recipient")),
    "P14 late": ("P14", lambda e: replace(e, batches=[replace(one, ends=one.slot + 1) for one in e.batches])),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_is_noticed_as_what_it_is(well, name):
    promise, change = CHANGES[name]
    assert promise in {one.promise for one in check(change(well)) if not one.ok}


@pytest.mark.parametrize(("change", "unjudged"), [
    (lambda e: replace(e, disturbed=frozenset(row.lane for row in e.batches)), {("P14", "other lanes undisturbed")}),
    (lambda e: replace(e, inactive=frozenset()), {("P6", "nobody who is not active")}),
    (lambda e: replace(e, seen=[*e.seen[:-1], replace(e.seen[-1], at=e.seen[-1].at - 1)]), {
        ("P6", "nothing too late, too often, at night or out of order"), ("P14", "other lanes undisturbed")}),
])
def test_a_check_that_could_not_fail_says_that_it_judged_nothing(well, change, unjudged):
    before = {(one.promise, one.name) for one in check(well) if not one.judged}
    assert before == {("P6", "nothing left that was stopped")}      # nothing was held in this drill
    assert {(one.promise, one.name) for one in check(change(well)) if not one.judged} - before == unjudged


def test_a_check_that_failed_has_judged(well):
    assert all(one.judged for _, change in CHANGES.values() for one in check(change(well)) if not one.ok)


def test_an_earlier_update_after_a_later_one_is_noticed(well):
    """The second half of the letters are said to be of the update before."""
    half = len(well.told) // 2
    people = [one.customer for one in well.told[:half]]
    moved = [replace(one, campaign="earlier", customer=people[place % half]) if place >= half else one
             for place, one in enumerate(well.told)]
    ids = {one.id: one for one in moved}
    later = next(iter(well.campaigns.values()))
    campaigns = {"delay": replace(later, incident="flood", sequence=2),
                 "earlier": replace(later, id="earlier", incident="flood", sequence=1)}
    changed = replace(well, told=moved, named={name: ids[one.id] for name, one in well.named.items()},
                      campaigns=campaigns)
    assert any("update 1 of flood after update 2" in one.figures for one in check(changed) if not one.ok)


def test_more_messages_than_the_cap_are_noticed(well):
    from dispatcher.core.audience import Cap  # noqa: PLC0415 -- of this test alone

    one_person = replace(well, told=[replace(one, customer="c1") for one in well.told],
                         named={name: replace(one, customer="c1") for name, one in well.named.items()})
    capped = rules(one_person, caps={Category.SERVICE: Cap(2, DAY)})
    assert any("a customer got more than 2 service messages" in one.figures for one in check(capped) if not one.ok)
