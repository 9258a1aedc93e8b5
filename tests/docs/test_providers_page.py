"""The providers' page, against the table that comes with the program."""

from support.commands import CHECKOUT
from support.markdown import table

from config.providers import load_providers
from dispatcher.core import domains


def test_the_page_shows_what_each_provider_bears() -> None:
    providers = load_providers()
    shown = table(CHECKOUT / "docs" / "providers.md", "provider")
    assert shown == [[f"`{name}`", *map(str, providers.bounds(name))] for name in providers.names]


def test_the_page_tells_how_long_answers_hold() -> None:
    text = " ".join((CHECKOUT / "docs" / "providers.md").read_text().split())
    assert "from 5 minutes to 7 days" in text
    assert (domains.SHORTEST, domains.LONGEST) == (5 * 60_000, 7 * 86_400_000)
    assert "asked again after 1 minute, 2, 4, ... at most an hour" in text
    assert (domains.FIRST_RETRY, domains.LAST_RETRY) == (60_000, 3_600_000)
