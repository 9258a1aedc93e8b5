"""Words are tried on every segment before anyone gets them; a preview shows what would be sent; skeletons are kept."""

from dataclasses import replace

import pytest
from support.letters import JO, RELEASED, SUPPORT, campaign, message

from dispatcher.content.cache import Skeletons
from dispatcher.content.check import check_campaign, sample_customer, sample_message
from dispatcher.content.faults import MessageFault, TemplateFaults
from dispatcher.content.skeleton import prepare
from dispatcher.core.model import Campaign, Customer, Words


def places(said: Campaign, samples: dict[str, Customer] | None = None) -> list[str]:
    """Where the words of a campaign are wrong."""
    return [f"{fault.place}:{fault.line}" for fault in check_campaign(said, SUPPORT, samples or {}, RELEASED)]


def segmented(**words: Words) -> Campaign:
    """A campaign with words of its own for these plans."""
    whole = campaign()
    return replace(
        whole, segment_by="plan", segments=(*words, "*"),
        segment_words={"email": words},
    )


def test_good_words_have_no_faults() -> None:
    said = campaign("Hello {{ customer.name }}", "{{ data.order.items[0].price }}\n", "<p>{{ segment }}</p>")
    assert places(said) == []


def test_every_segment_is_tried_and_each_fault_is_told_once() -> None:
    said = segmented(pro=Words("Hello", "{{ x }}"), team=Words("{{ y }}", "Hello\n"))
    assert places(said) == ['email.segments."pro".text:1', 'email.segments."team".subject:1']
    assert places(replace(said, words={"email": Words("{{ z }}", "x")}, segment_words={})) == ["email.subject:1"]


def test_a_real_customer_shows_what_an_invented_one_hides() -> None:
    said = campaign("Hello {{ customer.name }}")
    assert places(said) == []
    assert places(said, {"*": replace(JO, name="")}) == ["email.subject:1"]
    assert places(said, {"*": replace(JO, email="")}) == []


def test_the_campaigns_own_sample_stands_for_the_producers_data() -> None:
    said = campaign(text="{{ data.order }} {{ data.ordr }}")
    assert places(said) == []
    assert places(replace(said, sample={"order": "A-17"})) == ["email.text:1"]


@pytest.mark.parametrize(
    "text",
    [
        "{{ data.order.number }}", "{{ data.items[0]['name'] }}", "{{ data.items | length }}",
        "{{ data.name | upper }}", "{{ data.a.split(',')[0] }}", "{{ data.n | int }}", "{{ data.x | default('y') }}",
        "{% for item in data.items %}{{ item.name }} {{ item.price * item.count }}{% endfor %}",
        "{% for name, price in data.prices.items() %}{{ name }}{{ price }}{% endfor %}",
        "{% if data.count > 3 and data.count - 1 < 5 %}{{ data.total / 2 }}{% endif %}",
        "{{ '%.2f' | format(data.total) }}", "{{ '%d' % data.count }}", "{{ data.total | round(2) }}",
        "{% for i in range(data.count) %}{{ i }}{% endfor %}", "{{ data.items | join(', ') }}",
        "{{ data.items | map(attribute='name') | join(', ') }}", "{{ data.name[:10] }}{{ data.items | first }}",
        "{{ data.items | sum(attribute='price') }}{{ data.total + 1 }}{{ 1 + data.total }}{{ -data.total }}",
        "{{ data.name ~ '!' }}{{ 'a' + data.name }}{{ data.items | sort(attribute='x') | list | length }}",
        "{{ data }}",
        "{% if 'x' in data.items %}{{ data.items | last }}{% endif %}{{ data.total | abs }}{{ data.total | float }}",
    ],
)
def test_data_that_nobody_knows_yet_goes_through_what_templates_do_with_data(text: str) -> None:
    assert places(campaign(text=f"[{text}]", html=f"<p>{text}</p>")) == []


def test_data_that_nobody_knows_yet_shows_as_what_it_stands_for() -> None:
    said = campaign(text="{{ data.order.number }} {{ data.items[0] }}", html="{{ data.order.number }}")
    shown = prepare(said, "*", SUPPORT).preview(sample_message(said, "*", None, RELEASED), JO)
    assert shown.text == "\u2039data.order.number\u203a \u2039data.items[0]\u203a\n"
    assert shown.html == "\u2039data.order.number\u203a\n"


def test_an_address_made_of_unknown_data_is_not_judged() -> None:
    assert places(campaign(reply_to="{{ data.reply_to }}")) == []
    assert places(replace(campaign(reply_to="{{ data.reply_to }}"), sample={"reply_to": "x"})) == ["email.reply_to:0"]


@pytest.mark.parametrize(("by", "segment"), [("location", "DE/Berlin"), ("plan", "pro"), ("colour", "red"), ("", "*")])
def test_an_invented_customer_has_every_field_and_is_of_its_segment(by: str, segment: str) -> None:
    customer = sample_customer(replace(campaign(), segment_by=by), segment)
    said = campaign(
        text="{{ customer.id }}{{ customer.phone }}{{ customer.name }}{{ customer.locale }}{{ customer.timezone }}"
        "{{ customer.location }}{{ customer.plan }}{{ customer.engagement }}{{ customer.last_product_at }}"
        "{{ customer.last_order_at }}{{ customer.last_support_at }}{{ customer.city }}{{ customer.attributes.city }}",
    )
    assert prepare(said, segment, SUPPORT).fill(sample_message(said, segment, None, RELEASED), customer).body
    if by:
        assert getattr(customer, by, customer.attributes[by]) == segment


def test_a_misspelt_field_shows_even_on_an_invented_customer() -> None:
    assert places(campaign("{{ customer.nmae }}")) == ["email.subject:1"]


@pytest.mark.parametrize(
    ("words", "faulty"),
    [(Words("", "x"), ["email.subject:0"]), (Words("x"), ["email.text:0"]),
     (Words(), ["email.subject:0", "email.text:0"]),
     (Words("a\nb", "x"), ["email.subject:0"]), (Words("x" * 999, "x"), ["email.subject:0"]),
     (Words("x", "x" * 600_000), ["email.text:0"]), (Words("x", "x", "", "a@b"), ["email.reply_to:0"])],
)
def test_words_that_no_message_could_carry_are_faults(words: Words, faulty: list[str]) -> None:
    assert places(replace(campaign(), words={"email": words})) == faulty


def test_unsubscribe_url_may_be_used_once_there_is_one() -> None:
    said = campaign(text="{{ unsubscribe_url }}")
    assert places(said) == ["email.text:1"]
    assert check_campaign(said, SUPPORT, {}, RELEASED, unsubscribable=True) == []


def test_a_preview_shows_all_that_a_reader_will_see() -> None:
    html = '<p>Hi <a href="https://a.example/x">there</a></p>'
    said = campaign("Hello {{ customer.name }}", "", html, "r@acme.example")
    shown = prepare(said, "*", SUPPORT).preview(message(), JO)
    assert shown.from_ == "Acme Support <support@acme.example>"
    assert (shown.to, shown.reply_to, shown.subject) == ("jo@example.org", "r@acme.example", "Hello Jo")
    assert shown.text == "Hi there <https://a.example/x>\n"
    assert shown.html == html + "\n"


def test_a_preview_fails_where_the_message_would() -> None:
    with pytest.raises(MessageFault, match=r"customer\.name is empty"):
        prepare(campaign("Hello {{ customer.name }}"), "*", SUPPORT).preview(message(), replace(JO, name=""))


def test_skeletons_are_made_once_for_a_version_segment_and_sender_and_bounded() -> None:
    kept = Skeletons(most=3)
    said = campaign()
    first = kept.get(said, "*", SUPPORT)
    assert kept.get(said, "*", SUPPORT) is first
    assert kept.get(replace(said, version=2), "*", SUPPORT) is not first
    assert kept.get(said, "pro", SUPPORT) is not first
    assert kept.get(said, "*", SUPPORT) is first
    assert kept.get(said, "*", replace(SUPPORT, name="other")) is not first
    assert kept.get(said, "*", SUPPORT) is first
    assert len(kept) == 3


def test_words_that_cannot_be_used_are_remembered_as_such() -> None:
    kept = Skeletons()
    for _ in range(2):
        with pytest.raises(TemplateFaults, match="there is no 'x'"):
            kept.get(campaign("{{ x }}"), "*", SUPPORT)
    assert len(kept) == 1
