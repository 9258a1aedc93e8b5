"""A drill file is taken whole, or refused with every fault in its place."""

import pytest
from support.drills import SMALL, drill, event, written

from config.faults import ConfigFaults
from dispatcher.core.times import format_instant
from dispatcher.drill.file import read_drill
from dispatcher.drill.main import check_drill
from dispatcher.drill.moments import local_text, parse_jump, parse_moment

LINES = SMALL.count("\n")


def faults(tmp_path, text, *more):
    file = written(tmp_path, text, *more)
    with pytest.raises(ConfigFaults) as refusal:
        check_drill(read_drill(file))
    return [f"{one.line}: {one.key}: {one.problem}" for one in refusal.value.faults]


def test_the_small_drill_is_taken(tmp_path):
    found = drill(tmp_path)
    assert (format_instant(found.start), format_instant(found.end)) == ("2026-03-02T07:00:00Z", "2026-03-04T07:00:00Z")
    assert (found.senders, found.campaigns) == (("support",), {0: "delay"})


@pytest.mark.parametrize(("old", "new", "fault"), [
    ("days = 2", "", '1: : has no end, or two: give days = 30, or until = "day 30 20:00"'),
    ("days = 2", "days = 0", "2: days: must be from 1 to 400, not 0"),
    ("days = 2", 'days = 2\nuntil = "day 2 10:00"', "1: : has no end, or two"),
    ('timezone = "UTC"\nexact', 'timezone = "Europe/Berln"\nexact',
     '3: timezone: is no time zone (did you mean "Europe/Berlin"?)'),
    ('start = "2026-03-02 07:00"', 'start = "day 1 07:00"', "1: start: is no time; write a date and time, such as"),
    ('start = "2026-03-02 07:00"', 'start = "2026-02-30 07:00"', "1: start: names a day that does not exist"),
    ("exact = true", "exakt = true", '4: exakt: is no key here (did you mean "exact"?)'),
    ("count = 40", "count = 0", "17: customers.count: must be from 1 to 1000000, not 0"),
    ("gmail = 0.5, outlook", "gmail = 0.2, outlook", "18: customers.providers: comes to 0.7; shares add up to 1"),
    ("gmail = 0.5, outlook", "gmial = 0.5, outlook",
     '18: customers.providers.gmial: "gmial" is no provider of this drill (did you mean "gmail"?)'),
    ('ramp = "careful"', 'ramp = "carful"', '14: senders.support.ramp: names no ramp (did you mean "careful"?)'),
    ("[customers]", '[store]\nurl = "sqlite:///x.db"\n[customers]', "16: store: means nothing in a drill"),
    ('id = "delay"', 'folder = "nowhere"', "21: sends[0].folder: "),
    ('id = "delay"', 'subject = "x"', "is no key here"),
    ('id = "delay"', 'category = "service"', "sends[0].id: is required and missing; give an id and a few words"),
    ('at = "day 1 07:30"', 'at = "day 9 07:30"',
     "22: sends[0].at: lies outside of the drill, which begins at 2026-03-02 07:00 and lasts 2 days"),
    ('at = "day 1 07:30"', 'at = "tomorrow"',
     '22: sends[0].at: is no time; write "day 3 10:02", "3d10h02m" after the start'),
])
def test_what_cannot_be_is_refused_with_its_line(tmp_path, old, new, fault):
    assert SMALL.count(old) == 1
    assert any(fault in one for one in faults(tmp_path, SMALL.replace(old, new)))


@pytest.mark.parametrize(("more", "fault"), [
    (event("day 1 09:00", "storm"),
     'events[0].kind: is no event that a drill knows (did you mean "stop"?); it knows "deferrals", "bounces",'),
    (event("day 1 09:00", "bounce"), 'events[0].kind: is no event that a drill knows (did you mean "bounces"?)'),
    (event("day 1 09:00", "deferrals"), "events[0].for: is required for deferrals, and missing"),
    (event("day 1 09:00", "stop", for_="1h", takes="1s"),
     'events[0].takes: means nothing for stop; its keys are "for"'),
    (event("day 1 09:00", "bounces", for_="1h", share=2.0), "events[0].share: must be from 0.0 to 1.0, not 2.0"),
    (event("day 1 09:00", "bounces", for_="1h", reply="no"),
     "events[0].reply: is no reply of a server; write a code of 4xx or 5xx"),
    (event("day 1 09:00", "bounces", for_="1h", provider="yahoo"),
     'events[0].provider: "yahoo" is no provider of this drill; there is "gmail" or "outlook"'),
    (event("day 1 09:00", "suppress", share=0.1, count=2),
     'events[0].kind: suppress needs "share" or "count", and one of them only'),
    (event("day 1 09:00", "cancel", campaign="dely"),
     'events[0].campaign: "dely" is no campaign of this drill (did you mean "delay"?); there is "delay"'),
    (event("day 1 09:00", "hold", reason="x", name="support/yahoo"),
     'events[0].name: "support/yahoo" is no lane of this drill (did you mean "support/outlook"?); there is'),
    (event("day 1 09:00", "clock", jump="1h"),
     'events[0].jump: says not by how much the clock is put; write "+1h" or "-1d"'),
    (event("day 3 09:00", "resume"), "events[0].at: lies outside of the drill"),
    ('[[events]]\nat = "day 1 09:00"\nkind = "reload"\nset = { ramps = { careful = { growth = 3.0 } } }',
     "events[0].set: ramps.careful.growth: must be at least 1.0 and below 2.0, not 3.0"),
    ('[[history]]\nlane = "support/yahoo"\nsent = [1]', 'history[0].lane: "support/yahoo" is no lane of this drill'),
    ('[expect]\nlanes = [{ lane = "gmail", at = "day 1 09:00" }]', 'expect.lanes[0].lane: "gmail" is no lane'),
    ('[expect]\ndone_befor = "day 1 09:00"', 'expect.done_befor: is no key here (did you mean "done_before"?)'),
])
def test_an_event_that_cannot_be_is_refused_with_what_there_is(tmp_path, more, fault):
    assert any(fault in one for one in faults(tmp_path, SMALL, more))


def test_all_faults_of_a_kind_are_told_at_once(tmp_path):
    more = [event("day 1 09:00", "bounces", for_="1h", provider="x"), event("day 7 09:00", "resume")]
    assert len(faults(tmp_path, SMALL, *more)) == 2


def test_a_configuration_of_ones_own_is_rehearsed_and_stands_alone(tmp_path):
    (tmp_path / "dispatcher.toml").write_text(
        '[ramps.mine]\nstart = 7\n[senders.shop]\nfrom = "shop@acme.example"\nramp = "mine"\n'
        'username = "u"\npassword = { file = "/nowhere/secret" }\nserver = "smtps://mail.acme.example"\n')
    head = SMALL.partition("[ramps.careful]")[0] + 'config = "dispatcher.toml"\n'
    tail = "[customers]" + SMALL.partition("[customers]")[2]
    found = read_drill(written(tmp_path, head + tail))
    assert found.senders == ("shop",)
    assert found.settings["ramps"] == {"mine": {"start": 7}}
    assert any("ramps: stands beside config; give one of the two" in one
               for one in faults(tmp_path, head + SMALL.partition("exact = true")[2]))


@pytest.mark.parametrize(("text", "meant"), [
    ("day 1 00:00", "2026-03-02T05:00:00Z"), ("day 3 10:02", "2026-03-04T15:02:00Z"),
    ("day 7 10:00", "2026-03-08T14:00:00Z"),                      # the clocks of New York have changed
    ("3d10h02m", "2026-03-05T22:02:00Z"), ("90m", "2026-03-02T13:30:00Z"), ("45s", "2026-03-02T12:00:45Z"),
    ("2026-03-04 10:02", "2026-03-04T15:02:00Z"), ("2026-03-04T10:02", "2026-03-04T15:02:00Z"),
])
def test_a_moment_is_said_in_three_ways(text, meant):
    start = parse_moment("2026-03-02 07:00").instant(0, "America/New_York")
    assert format_instant(parse_moment(text).instant(start, "America/New_York")) == meant


@pytest.mark.parametrize("text", ["day 0 10:00", "day 1 24:00", "day 1", "10:02", "3d 10h", "", "2026-03-04", "-3d"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match=r"is no time|names a day"):
        parse_moment(text)


def test_a_moment_is_told_by_day_and_clock():
    start = parse_moment("2026-03-02 07:00").instant(0, "Europe/Berlin")
    assert local_text(start + 2 * 86_400_000 + 182 * 60_000, "Europe/Berlin", start) == "day 3 10:02"


@pytest.mark.parametrize(("text", "by"), [("+1h", 3_600_000), ("-1d", -86_400_000), ("+1d2h3m4s", 93_784_000)])
def test_a_clock_is_put_forward_and_back(text, by):
    assert parse_jump(text) == by
