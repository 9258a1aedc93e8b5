import pytest

from config.addresses import parse_address
from config.providers import load_providers

BOUNDS = {
    "gmail": (5, 50), "outlook": (5, 50), "yahoo": (10, 20), "apple": (10, 5), "comcast": (25, 1000),
    "orange": (2, 100), "gmx": (4, 20), "mimecast": (10, 100), "other": (10, 100),
}


def test_every_provider_has_its_bounds() -> None:
    providers = load_providers()
    assert {name: providers.bounds(name) for name in providers.names} == BOUNDS


@pytest.mark.parametrize(("domain", "provider"), [
    ("gmail.com", "gmail"), ("googlemail.com", "gmail"), ("hotmail.co.uk", "outlook"), ("live.fr", "outlook"),
    ("msn.com", "outlook"), ("yahoo.co.jp", "other"), ("yahoo.de", "yahoo"), ("ymail.com", "yahoo"),
    ("aol.com", "yahoo"),
    ("icloud.com", "apple"), ("me.com", "apple"), ("comcast.net", "comcast"), ("wanadoo.fr", "orange"),
    ("gmx.at", "gmx"), ("web.de", "gmx"), ("mail.example", "other"), ("notgmail.com", "other"), ("", "other"),
])
def test_the_provider_is_known_by_its_domain(domain: str, provider: str) -> None:
    assert load_providers().provider_of(domain) == provider


def test_an_unknown_provider_has_everyone_elses_bounds() -> None:
    assert load_providers().bounds("nobody") == BOUNDS["other"]


def test_every_listed_domain_is_as_addresses_carry_it() -> None:
    domains = load_providers().by_domain
    assert [domain for domain in domains if parse_address(f"a@{domain}").ascii_domain != domain] == []
