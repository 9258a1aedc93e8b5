"""The plain text made from HTML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.letters import campaign, contents, letter

from dispatcher.content.html_text import html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>Hello</h1><p>One\n  two</p><p>Three<br>four</p>", "Hello\n\nOne two\n\nThree\nfour\n"),
        ("<style>p { }</style><script>x()</script><head><title>t</title></head><p>a</p>", "a\n"),
        ('<a href="https://a.example/">here</a>', "here <https://a.example/>\n"),
        ('<a href="https://a.example/">https://a.example/</a>', "https://a.example/\n"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example\n"),
        ('<a href="https://a.example/"><img src="x" alt="Shop"></a>', "Shop <https://a.example/>\n"),
        ('<a href="https://a.example/"><img src="x"></a>', "https://a.example/\n"),
        ('<a href="javascript:x()">x</a><a href="#top">y</a><a>z</a>', "xyz\n"),
        ("<ul><li>a</li><li>b</li></ul>c", "- a\n- b\nc\n"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc\n"),
        ("<div>\n <div>\n  a</div>\n</div> <br> <div>b</div>", "a\nb\n"),
        ("O&#39;Neil &amp; Co &lt;x&gt;", "O'Neil & Co <x>\n"),
        ("<p>a<p>b</div></a></script>", "a\n\nb\n"),
        ("", "\n"),
    ],
)
def test_html_reads_as_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read(html: str) -> None:
    assert html_to_text(html).endswith("\n")


def test_a_campaign_in_html_alone_gets_its_text_made() -> None:
    made = contents(letter(campaign(text="", html="<p>Hi {{ customer.name }}</p>")).body)
    assert made == {"text/plain": "Hi Jo\n", "text/html": "<p>Hi Jo</p>\n"}
