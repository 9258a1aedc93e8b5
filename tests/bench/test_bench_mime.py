"""Filling a skeleton against building the same message with the standard library, side by side in one run."""

from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from time import perf_counter

import pytest
from support.letters import JO, SUPPORT, campaign, contents, message, read

from config.addresses import parse_mailbox
from dispatcher.content.skeleton import SenderIdentity, prepare

TEXT = "Hello {{ customer.name }},\nyour order {{ data.order }} will be late.\n" + "Words for everyone.\n" * 20
HTML = "<h1>Hello {{ customer.name }}</h1><p>Order {{ data.order }}</p>" + '<p class="x">Words for everyone.</p>\n' * 40
ROUNDS = 7
FILLS = 400
BUILDS = 20


@pytest.mark.bench
@pytest.mark.parametrize("greeting", ["Hello", "Gr\u00fc\u00dfe"])
def test_a_skeleton_is_filled_forty_times_as_fast_as_an_email_message_is_built(greeting: str) -> None:
    text, html = (body.replace("Hello", greeting) for body in (TEXT, HTML))
    said = campaign("Your order {{ data.order }}, {{ customer.name }}", text, html)
    sender = SenderIdentity("support", SUPPORT.mailbox, parse_mailbox("help@acme.example"))
    prepared = prepare(said, "*", sender)
    sent = message({"order": "A-17"})
    ours = prepared.fill(sent, JO).body
    meant = prepared.preview(sent, JO)
    date = format_datetime(read(ours)["Date"].datetime)

    def build() -> bytes:
        built = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
        built["From"] = "Acme Support <support@acme.example>"
        built["To"] = "jo@example.org"
        built["Reply-To"] = "help@acme.example"
        built["Subject"] = meant.subject
        built["Date"] = date
        built["Message-ID"] = "<0123456789abcdef0123456789abcdef@acme.example>"
        built["Auto-Submitted"] = "auto-generated"
        built.set_content(meant.text)
        built.add_alternative(meant.html, subtype="html")
        return built.as_bytes()

    def seconds(times: int, work: Callable[[], object]) -> float:
        started = perf_counter()
        for _ in range(times):
            work()
        return (perf_counter() - started) / times

    assert contents(build()) == contents(ours)
    rounds = [(seconds(FILLS, lambda: prepared.fill(sent, JO)), seconds(BUILDS, build)) for _ in range(ROUNDS)]
    fill, built = (min(times) for times in zip(*rounds, strict=True))   # the least disturbed round of each
    figures = f"{greeting}: fill {fill * 1e6:.1f} us, EmailMessage {built * 1e6:.0f} us, ratio {built / fill:.0f}"
    print(figures)
    assert built / fill >= 40, figures
