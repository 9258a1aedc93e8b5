"""Templates: what they see, what they may not do, and that nobody's values are ever read as a template."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.letters import JO, SUPPORT, campaign, contents, letter, message, read

from dispatcher.content.faults import MessageFault, TemplateFaults
from dispatcher.content.skeleton import prepare
from dispatcher.core.model import Category

DOUBLING = 40
NESTED = "{% set x = [1, 2] %}" + "{% set x = [x, x] %}" * DOUBLING


def rendered(text: str, data: dict[str, Any] | None = None) -> str:
    """The plain text that a template gives for Jo."""
    return contents(letter(campaign(text=text), JO, data).body)["text/plain"].removesuffix("\n")


def refusal(text: str, part: str = "text", data: dict[str, Any] | None = None) -> str:
    """Why a template is refused, when it is compiled or when it is rendered."""
    words = {"text": "x", part: text}
    with pytest.raises((TemplateFaults, MessageFault)) as caught:
        letter(campaign(**words), JO, data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ customer.id }} {{ customer.email }}", "c-1 jo@example.org"),
        ("{{ customer['name'] }}", "Jo"),
        ("{{ customer.last_order_at | default('never') }}", "never"),
        ("{{ customer.plan | default('no plan') }}", "no plan"),
        ("{% if customer.plan %}paid{% else %}free{% endif %}", "free"),
        ("{% if customer.plan == 'pro' %}pro{% else %}other{% endif %}", "other"),
        ("{% if customer.plan in ['pro', 'team'] %}paid{% else %}other{% endif %}", "other"),
        ("{{ customer.plan is defined }}", "False"),
        ("{{ 'yes' if customer.attributes.vip is defined else 'no' }}", "no"),
        ("{% for c in customer.consent %}{{ c }}{% else %}none{% endfor %}", "none"),
        ("{{ campaign.id }} {{ campaign.category }} {{ campaign.sequence }}", "delay service 0"),
        ("{{ segment }}", "*"),
        ("{{ sender.name }} {{ sender.address }} {{ sender.from_name }}", "support support@acme.example Acme Support"),
        ("{{ now.strftime('%d.%m.%Y %H:%M %Z') }}", "01.03.2026 10:00 CET"),
        ("{{ data.order }}", "A-17"),
        ("{{ data['order'] }} {{ data.get('order') }} {{ data.get('none', 'x') }}", "A-17 A-17 x"),
        ("{% for item in data.items %}{{ loop.index }}:{{ item.name }} {% endfor %}", "1:pen 2:ink "),
        ("{% for k, v in data.prices.items() %}{{ k }}={{ v }} {% endfor %}", "pen=1.5 ink=2.25 "),
        ("{{ data.items | map(attribute='name') | join(', ') }}", "pen, ink"),
        ("{{ data.prices.values() | sum }}", "3.75"),
        ("{{ '%.2f' | format(data.prices.pen) }} {{ '%05d' % 42 }} {{ '100%%' % () }}", "1.50 00042 100%"),
        ("{{ '-' * 5 }}{{ 2 * 3 + 1 }}{{ 7 % 4 }}", "-----73"),
        ("{{ 'a' ~ 1 ~ data.order }}", "a1A-17"),
        ("{{ data.order | replace('A', 'B') | lower }}", "b-17"),
        ("{{ data.order.split('-')[1] }}{{ data.items[0].name }}{{ data.order[:1] }}", "17penA"),
        ("{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "6"),
        ("{% macro b(x) %}[{{ x }}]{% endmacro %}{{ b('y') }}", "[y]"),
        ("{% set t %}a{{ data.order }}{% endset %}{{ t }}", "aA-17"),
        ("a\n{% if true %}\nb\n{% endif %}\nc", "a\nb\nc"),
        ("{# a note #}{% raw %}{{ kept }}{% endraw %}", "{{ kept }}"),
    ],
)
def test_a_template_sees_what_it_is_promised(template: str, text: str) -> None:
    data = {"order": "A-17", "items": [{"name": "pen"}, {"name": "ink"}], "prices": {"pen": 1.5, "ink": 2.25}}
    assert rendered(template, data) == text


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ custmer.name }}", "line 1: there is no 'custmer'; did you mean 'customer'?; there are: campaign, cust"),
        ("\n\n{% if false %}{{ dta }}{% endif %}", "line 3: there is no 'dta'"),
        ("{{ customer.nmae }}", "customer.nmae: there is no such field"),
        ("{% if customer.nmae %}x{% endif %}", "fields: attributes, consent, email"),
        ("a\n{{ customer.plan }}", "line 2: customer.plan is empty; write {{ customer.plan | default('...') }}"),
        ("{{ customer.attributes.vip }}", "this customer has no such attribute; there are: nothing"),
        ("{{ data.ordr }}", "the data has no 'ordr' here; there are: nested, nothing, order"),
        ("{% if data.ordr %}x{% endif %}", "the data has no 'ordr' here"),
        ("{{ data.nested.x.y }}", "the data has no 'x' here; there are: a"),
        ("{{ data.nothing }}", "'nothing' in the data is null"),
        ("{{ none }}", "would print nothing (null)"),
        ("{{ data }}", "would print a dict"),
        ("{{ data.order.upper }}", "would print a"),
        ("{{ campaign.name }}", "campaign.name: there is no such field; there are: category, id, incident, sequence"),
        ("{{ campaign.incident }}", "campaign.incident is empty"),
        ("{{ data.zz() }}", "the data has no 'zz' here"),
        ("{{ [1][3] }}", "the list has no item 3; it has 1"),
        ("{{ unsubscribe_url }}", "unsubscribe_url exists only once [http] public_url is set"),
        ("{% if x", "line 1: "),
        ("{{ 'a' | uper }}", "there is no filter 'uper' here; did you mean 'upper'?"),
        ("{{ 'a' is blue }}", "there is no test 'blue' here"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 'x' + 1 }}", "can only concatenate str"),
        ("{{ [1].index('secret') }}", "cannot be worked out for these values (ValueError)"),
        ("{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}", "calls itself without end"),
    ],
)
def test_what_is_missing_or_wrong_is_named_with_its_line(template: str, says: str) -> None:
    assert says in refusal(template, data={"order": "A-17", "nested": {"a": 1}, "nothing": None})


def test_all_faults_of_all_parts_are_found_at_once() -> None:
    with pytest.raises(TemplateFaults) as caught:
        prepare(campaign("{{ a }}", "{{ b }}\n{{ c }}", "{{ d | center(3) }}", "no address"), "*", SUPPORT)
    assert [(fault.place, fault.line) for fault in caught.value.faults] == [
        ("email.subject", 1), ("email.text", 1), ("email.text", 2), ("email.html", 1), ("email.reply_to", 0),
    ]


@pytest.mark.parametrize("part", ["text", "html", "subject"])
@pytest.mark.parametrize(
    "template",
    [
        '{{ "a" * 20000000 }}',
        '{{ 20000000 * "a" }}',
        "{{ [1] * 20000000 }}",
        "{{ 10 ** 10 ** 10 }}",
        '{{ "%1000000s" % "x" }}',
        '{{ "%*s" % (1000000, "x") }}',
        '{{ "%1000000s" | format("x") }}',
        '{{ "%(a)1000000s" | format(a="x") }}',
        '{{ "%.1000000f" | format(1) }}',
        '{{ "x" | center(100000000) }}',
        '{{ "x" | indent(100000000) }}',
        '{{ "x".center(100000000) }}',
        '{{ "x".ljust(100000000) }}',
        '{{ "x".zfill(100000000) }}',
        '{{ "\t".expandtabs(100000000) }}',
        '{{ "{:100000000}".format(1) }}',
        '{{ "{0.__class__}".format(1) }}',
        '{{ "x".replace("", "y" * 100000) }}',
        '{{ ("x" * 100000) | replace("x", "y" * 100000) }}',
        '{{ ("x" * 100000) | replace("", "y" * 100000) }}',
        '{{ range(10000) | join("x" * 100000) }}',
        "{% for i in range(1000000000) %}x{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        "{% for i in range(9999) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% set x = 'aaaaaaaaaaaaaaaa' %}" + "{% set x = x ~ x %}" * DOUBLING + "{{ x }}",
        "{% set x = 'aaaaaaaaaaaaaaaa' %}" + "{% set x = x + x %}" * DOUBLING + "{{ x }}",
        "{% set x = 'aaaaaaaaaaaaaaaa' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * DOUBLING + "{{ x }}",
        "{% set x = [1, 2] %}" + "{% set x = x + x %}" * DOUBLING,
        "{% set x = 99999999 %}" + "{% set x = x * x %}" * DOUBLING + "{{ x }}",
        NESTED + "{{ x }}",
        NESTED + "{{ x | string }}",
        NESTED + "{{ x | join }}",
        NESTED + "{{ x | upper }}",
        NESTED + "{{ x ~ '' }}",
        NESTED + "{{ '%s' % x }}",
        NESTED + "{{ '%s' | format(x) }}",
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for x in [1, 1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{{ " + "9" * 10_000 + " }}",
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''['__cl' ~ 'ass__'].__mro__ }}",
        "{{ '' | attr('__class__') }}",
        "{{ ['x'] | map(attribute='__class__') | join }}",
        "{{ [''] | map('attr', '__class__') | join }}",
        "{{ ['x'] | map('center', 100000000) | join }}",
        "{{ range.__init__.__globals__ }}",
        "{{ customer.__class__ }}",
        "{{ customer['__dict__'] }}",
        "{{ customer.attributes.values }}",
        "{{ customer.replace }}",
        "{{ data.pop('x') }}",
        "{{ data.__class__ }}",
        "{{ data.update({'x': 1}) }}",
        "{{ self }}",
        "{{ self.__init__ }}",
        "{{ loop }}",
        "{{ cycler('a') }}",
        "{{ lipsum(100000) }}",
        "{{ joiner() }}",
        "{{ namespace(a=1)._Namespace__attrs }}",
        "{{ namespace(a=1)['__class__'] }}",
        "{{ now.__class__ }}{{ now.replace(year=1) }}",
        "{{ now.astimezone }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% block a %}{% endblock %}",
        "{% autoescape false %}x{% endautoescape %}",
        "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
        "{% for x in [1] %}{{ loop._iterable }}{% endfor %}",
        "{{ {} | tojson }}",
        "{{ [1, 2, 3] | random }}",
        "{{ [1] | batch(1000000000, 0) | list }}",
        "{{ 'x' | wordwrap(1, wrapstring='y' * 10000) }}",
        "{{ customer.name.format }}",
        "{{ customer.name.encode() }}",
        "{{ (1).to_bytes(100000000) }}",
    ],
)
def test_no_template_escapes_or_grows_without_bound(part: str, template: str) -> None:
    assert re.match(rf"email\.{part}( line \d+)?: ", refusal(template, part))


NAMES = [
    "{{7*7}}", "{% include 'x' %}", "{# #}", "{{ customer.email }}", "O'Neil", '"Bob"', "<script>alert(1)</script>",
    "a & b", "\U0001f600 Zo\u00eb", "\u05d3\u05d5\u05d3 \u202eevil", "\u5c71\u7530\u592a\u90ce", "%s %(x)s {0} {x.y}",
    "=?utf-8?q?hi?=", "x" * 700, "\u00fc" * 300, "<!--", "]]>", "a\\nb", "--=_x", "=0D=0ABcc: x@y.example",
    "=?utf-8?q?hi=0D=0ABcc:_x@y.z?=", "=?utf-8?b?aGkNCkJjYzogeEB5Lno=?= =?utf-8?q?x?=",
]
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_prints_as_it_is_and_is_escaped_in_html_only(name: str) -> None:
    said = campaign("For {{ customer.name }}", "Dear {{ customer.name }}!", "<p>{{ customer.name }}</p>")
    made = letter(said, replace(JO, name=name))
    assert read(made.body)["Subject"] == f"For {name}"
    assert contents(made.body) == {
        "text/plain": f"Dear {name}!\n",
        "text/html": "<p>" + "".join(ESCAPES.get(character, character) for character in name) + "</p>\n",
    }
    assert read(made.body).keys() == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    ]


@pytest.mark.parametrize(
    "name",
    ["a\r\nBcc: x@y.example", "a\nb", "a\rb", "a\x00b", "a\u2028b", "a\u2029b", "a\x85b", "a\x0bb", "a\ud800b", "a\tb"],
)
def test_a_name_that_could_break_a_header_stops_its_message_and_says_why(name: str) -> None:
    said = campaign("For {{ customer.name }}, soon")
    skeleton = prepare(said, "*", SUPPORT)
    with pytest.raises(MessageFault, match=r"email\.subject holds ") as caught:
        skeleton.fill(message(), replace(JO, name=name))
    assert "Bcc" not in str(caught.value)
    assert skeleton.fill(message(), JO).recipient == "jo@example.org"


def test_half_a_character_in_a_body_stops_its_message() -> None:
    with pytest.raises(MessageFault, match="lone surrogate"):
        letter(campaign(text="{{ data.x }}"), data={"x": "\ud800"})


def test_a_set_variable_of_one_message_never_shows_in_the_next() -> None:
    text = "{% if customer.plan %}{% set hello = 'Dear ' ~ customer.plan %}{% endif %}{{ hello | default('Hello') }}"
    skeleton = prepare(campaign(text=text), "*", SUPPORT)
    made = [skeleton.fill(message(), replace(JO, plan=plan)).body for plan in ("pro", "", "team")]
    assert [contents(body)["text/plain"] for body in made] == ["Dear pro\n", "Hello\n", "Dear team\n"]


def test_consent_comes_in_the_same_order_whatever_the_process() -> None:
    customer = replace(JO, consent=frozenset({"promotional", "survey", "beta"}))
    made = letter(campaign(text="{{ customer.consent | join(' ') }}"), customer)
    assert contents(made.body)["text/plain"] == "beta promotional survey\n"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_value_is_ever_evaluated(value: str) -> None:
    said = campaign(text="[{{ data.value }}]")
    shown = contents(letter(said, data={"value": value}).body)["text/plain"]
    assert shown == f"[{value}]\n".replace("\r\n", "\n").replace("\r", "\n")


@given(st.text(alphabet="{}%#|()[]'\" abx_.*+~1,=:\n-", max_size=60))
def test_any_text_as_a_template_gives_a_message_or_a_fault_that_has_a_place(source: str) -> None:
    try:
        made = letter(campaign(text=source))
    except (TemplateFaults, MessageFault) as fault:
        assert str(fault).startswith("email.text")  # noqa: PT017 -- either way is right
    else:
        assert made.body.endswith(b"\r\n")


def test_the_category_prints_as_its_word() -> None:
    said = replace(campaign(text="{{ campaign.category | upper }}"), category=Category.PROMOTIONAL)
    assert contents(letter(said).body)["text/plain"] == "PROMOTIONAL\n"
