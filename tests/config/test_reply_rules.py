"""Reply rules: what the shipped ones speak of, how a file's own come before them, and what no rule may be."""

import re
import tomllib
from itertools import accumulate, chain, count, pairwise, repeat
from pathlib import Path

import pytest
from support.config_files import LEAST, loaded, only_fault

import config
from config import reply_bounds
from config.reply_bounds import LONGEST_TIME, SEEN
from config.reply_rules import ANY, Action, ReplyRule, rule_for, shipped_rules
from config.units import MILLISECONDS
from dispatcher.core.evidence import Line, Lines
from dispatcher.policy import policy_of

MINUTE, HOUR = MILLISECONDS["m"], MILLISECONDS["h"]
TSS04 = "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints"


@pytest.mark.parametrize(("provider", "reply", "name", "action", "time", "per_minute"), [
    ("yahoo", TSS04, "yahoo-tss04", Action.HOLD, 2 * HOUR, None),
    ("yahoo", TSS04.replace("TSS04", "TSS05"), "yahoo-tss05", Action.HOLD, 4 * HOUR, None),
    ("gmail", "421 4.7.28 Gmail has detected an unusual rate of mail originating from your SPF domain",
     "gmail-unusual-rate", Action.SLOW, 30 * MINUTE, 10),
    ("outlook", "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation",
     "outlook-rate-limited", Action.HOLD, 30 * MINUTE, None),
    ("apple", "450 4.7.0 [HCM1] Mail rejected for now", "apple-hcm1", Action.HOLD, 15 * MINUTE, None),
    ("apple", "421 4.7.1 [BS02] try later", "apple-bs02", Action.HOLD, 15 * MINUTE, None),
    ("other", "451 4.7.1 Message DEFERRED due to the sender's poor reputation", "deferred-for-reputation", Action.SLOW,
     90 * MINUTE, 1),
])
def test_the_shipped_rules(
    provider: str, reply: str, name: str, action: Action, time: int, per_minute: int | None
) -> None:
    rule = rule_for(shipped_rules(), provider, reply)
    assert rule is not None
    assert (rule.name, rule.action, rule.time, rule.per_minute) == (name, action, time, per_minute)


@pytest.mark.parametrize(("provider", "reply"), [
    ("gmail", TSS04),                           # another provider's word
    ("yahoo", "421 4.7.0 [TSS09] later"),
    ("other", "451 4.7.1 deferred for now"),
    ("gmail", ""),                              # nothing was said
    ("gmail", "450 " + "x" * SEEN + " unusual rate"),
])
def test_what_no_shipped_rule_speaks_of(provider: str, reply: str) -> None:
    assert rule_for(shipped_rules(), provider, reply) is None


def test_the_shipped_file_is_sorted_by_nobody_and_each_rule_says_where_it_is_from() -> None:
    text = (Path(config.__path__[0]) / "presets" / "replies.toml").read_text()
    heads = [line for line in text.splitlines() if line.startswith("[[rules]]")]
    assert len(heads) == len(tomllib.loads(text)["rules"]) == len(shipped_rules())
    assert all(re.search(r"# .{10,}", head) for head in heads)
    assert all(before.name != after.name for before, after in pairwise(shipped_rules()))


RULE = '[[reputation.rules]]\nname = "mine"\nreply = "unusual"\naction = "hold"\n'


def test_the_file_s_own_rules_come_first_and_its_lines_are_the_policy_s(tmp_path: Path) -> None:
    text = f'{LEAST}[reputation]\nminimum = 50\nbounces = {{ slow = 0.1 , hold = 0.1 }}\n{RULE}for = "5m"\n'
    policy = policy_of(loaded(tmp_path, text).settings)
    rule = rule_for(policy.reply_rules, "gmail", "421 an UNUSUAL rate")
    assert rule == ReplyRule("mine", ANY, re.compile("unusual", re.IGNORECASE), Action.HOLD, 5 * MINUTE, None)
    assert policy.lines == Lines(50, Line(0.1, 0.1), Line(0.001, 0.003), 0.2)
    assert policy_of(loaded(tmp_path, LEAST).settings).lines == Lines()


@pytest.mark.parametrize(("text", "line", "key", "problem"), [
    ("minimum = 5", 6, "minimum", "must be from 20 to 1000000, not 5"),
    ("bounces = { slow = 3, hold = 0.5 }", 6, "bounces.slow", "must be from 0.0001 to 1.0, not 3.0"),
    ("bounces = { slow = true, hold = 0.5 }", 6, "bounces.slow", "must be a number"),
    ('bounces = { slow = 0.01, hold = "0.5" }', 6, "bounces.hold", "must be a number"),
    ("bounces = { slow = 0.05, hold = 0.03 }", 6, "bounces.hold", "is below slow (0.05)"),
    ("complaints = { slow = 0.01 }", 6, "complaints.hold", "is below slow (0.01)"),
    ("complaints = { warn = 0.01 }", 6, "complaints.warn", "is no key here"),
    ("deferrals = { hold = 0.5 }", 6, "deferrals.hold", "is no key here"),
    ("deferrals = 0.5", 6, "deferrals", "must be a table, not a number"),
    ("bounce = { slow = 0.03 }", 6, "bounce", 'is no key here (did you mean "bounces"?)'),
])
def test_a_line_that_cannot_be_is_refused(text: str, line: int, key: str, problem: str, tmp_path: Path) -> None:
    fault = only_fault(tmp_path, f"{LEAST}[reputation]\n{text}\n")
    assert fault.startswith(f"dispatcher.toml:{line}: reputation.{key}: {problem}")


@pytest.mark.parametrize(("old", "new", "key", "problem"), [
    ('"unusual"', '"(a+)+"', "reply", "may not repeat a group"),
    ('"unusual"', '"(a|b){2}"', "reply", "may not repeat a group"),
    ('"unusual"', "'x.*y.*z+'", "reply", "may have at most one part that repeats without a bound"),
    ('"unusual"', '"a?a?a?a?a?a?.*.*x"', "reply", "may have at most one part that repeats without"),
    ('"unusual"', '"[^x]*[^x]*x"', "reply", "may have at most one part that repeats without"),
    ('"unusual"', '"x{2,}.{,}"', "reply", "may have at most one part that repeats without"),
    ('"unusual"', '"{}+{}+x"', "reply", "may have at most one part that repeats without"),
    ('"unusual"', '"a?a?a?a?a?a?.*x"', "reply", "could take too long on some reply"),
    ('"unusual"', '"a{0,90}a{0,90}x"', "reply", "could take too long on some reply"),
    ('"unusual"', f'"{"(a|a)" * 12}x"', "reply", "could take too long on some reply"),
    ('"unusual"', f'"{"(?:a|a)?" * 8}x"', "reply", "could take too long on some reply"),
    ('"unusual"', '"(?i)x"', "reply", "may not use (?...)"),
    ('"unusual"', '"(?P<n>x)"', "reply", "may not use (?...)"),
    ('"unusual"', "'(x)\\1'", "reply", "may not use (?...)"),
    ('"unusual"', '"["', "reply", "is no regular expression: unterminated character set"),
    ('"unusual"', '"x{99999999999}"', "reply", "is no regular expression"),
    ('"unusual"', '".*"', "reply", "matches anything"),
    ('"unusual"', '""', "reply", "must have 1 to 200 characters"),
    ('"unusual"', f'"{"x" * 201}"', "reply", "must have 1 to 200 characters"),
    ('"hold"', '"stop"', "action", 'must be "slow" or "hold"'),
    ('"hold"', '"slow"', "for", 'is required with action = "slow"'),
    ('"hold"', '"hold"\nper_minute = 5', "per_minute", 'is for action = "slow"'),
    ('"hold"', '"slow"\nfor = "1m"\nper_minute = 0', "per_minute", "must be from 1 to 1000000"),
    ('"hold"', '"hold"\nfor = "0s"', "for", 'must be from "1s"'),
    ('"hold"', '"hold"\nprovider = "gmial"', "provider", 'is no provider (did you mean "gmail"?)'),
    ('"mine"', '""', "name", "is empty"),
    ('action = "hold"', 'until = "1h"\naction = "hold"', "until", "is no key here"),
    ('name = "mine"\n', "", "name", "is required and missing"),
])
def test_a_rule_that_cannot_be_is_refused_at_its_place(
    old: str, new: str, key: str, problem: str, tmp_path: Path
) -> None:
    assert old in RULE
    fault = only_fault(tmp_path, LEAST + RULE.replace(old, new))
    place, _, rest = fault.partition(": ")
    assert place.startswith("dispatcher.toml:")
    assert int(place.partition(":")[2]) >= 5
    assert rest.startswith(f"reputation.rules[0].{key}: {problem}")


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    assert only_fault(tmp_path, LEAST + RULE + RULE) == \
        "dispatcher.toml:10: reputation.rules[1].name: is the name of another rule, too; each has its own"


@pytest.mark.parametrize("reply", [
    r"\[TSS0[45]\]", "a?b?c", "unusual (rate|pace)", "(?:too many) connections", "a+?b", r"\(x\)*",
    "[a+*(]+", "x{2,5}y+", "a++b", "(?:x|y)?z", "a|b|c|d|e|f|g|h|i|j|k|l|m|n",
    "too many.*connections from your network", "x{3}", "{}x", "(?=x.*y)x",
])
def test_what_rules_need_is_allowed(reply: str, tmp_path: Path) -> None:
    text = LEAST + RULE.replace('"unusual"', f"'{reply}'")
    assert loaded(tmp_path, text).settings.reputation.rules[0].reply == reply


def test_what_is_slow_for_another_reason_is_refused_by_the_watch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ticks = count(step=LONGEST_TIME + 1)
    monkeypatch.setattr(reply_bounds.time, "thread_time_ns", lambda: next(ticks))
    assert "takes too long on some replies" in only_fault(tmp_path, LEAST + RULE)


def test_one_quick_try_is_enough_on_a_busy_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ticks = accumulate(chain.from_iterable(repeat([0, LONGEST_TIME + 1, 0, LONGEST_TIME])))
    monkeypatch.setattr(reply_bounds.time, "thread_time_ns", lambda: next(ticks))
    assert loaded(tmp_path, LEAST + RULE).settings.reputation.rules[0].reply == "unusual"


def test_only_the_head_of_a_reply_is_looked_at() -> None:
    rule = next(one for one in shipped_rules() if one.name == "apple-hcm1")
    assert rule.speaks_of("apple", " " * (SEEN - 6) + "[HCM1]")
    assert not rule.speaks_of("apple", " " * (SEEN - 5) + "[HCM1]")
