import pytest

from config.addresses import parse_address
from config.providers import is_reserved, load_providers
from config.servers import is_host_name

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


@pytest.mark.parametrize(("host", "provider"), [
    ("aspmx.l.google.com", "gmail"), ("ASPMX2.GoogleMail.com.", "gmail"), ("smtp.google.com", "gmail"),
    ("google.com", "gmail"), ("acme-net.mail.protection.outlook.com", "outlook"),
    ("acme-net.p-v1.mx.microsoft", "outlook"),
    ("mx-eu.mail.gm0.yahoodns.net", "yahoo"), ("mx01.mail.icloud.com", "apple"), ("mx1.comcast.net", "comcast"),
    ("smtp-in.orange.fr", "orange"), ("mx00.emig.gmx.net", "gmx"), ("mx-ha02.web.de", "gmx"),
    ("eu-smtp-inbound-1.mimecast.com", "mimecast"),
    ("evilgoogle.com", "other"), ("google.com.evil.net", "other"), ("google.co", "other"), ("mx.acme.net", "other"),
    ("com", "other"), ("", "other"), (".", "other"), ("xgmx.net", "other"),
])
def test_a_mail_server_belongs_to_a_provider_by_whole_labels_at_the_end_of_its_name(host: str, provider: str) -> None:
    assert load_providers().provider_of_hosts([(10, host)])[0] == provider


@pytest.mark.parametrize(("hosts", "provider", "decided"), [
    ([], "other", ""),
    ([(10, "mx.acme.net"), (20, "aspmx.l.google.com")], "other", "mx.acme.net"),
    ([(20, "mx.acme.net"), (10, "aspmx.l.google.com.")], "gmail", "aspmx.l.google.com"),
    ([(10, "a.acme.net"), (10, "b.mimecast.com"), (20, "x.mail.protection.outlook.com")], "mimecast", "b.mimecast.com"),
    ([(10, "b.acme.net"), (10, "a.acme.net")], "other", "a.acme.net"),
    ([(10, "mx.acme.net"), (15, "abc.mx-verification.google.com")], "other", "mx.acme.net"),
])
def test_the_servers_of_the_lowest_preference_decide(hosts: list, provider: str, decided: str) -> None:
    assert load_providers().provider_of_hosts(hosts) == (provider, decided)


@pytest.mark.parametrize("domain", [
    "", "localhost", "acme", "acme.example", "a.b.test", "x.invalid", "printer.local", "foo.localhost",
    "example.com", "mail.example.com", "example.net", "a.example.org",
])
def test_reserved_names_belong_to_nobody(domain: str) -> None:
    assert is_reserved(domain)


@pytest.mark.parametrize("domain", ["acme.net", "example.de", "myexample.com", "test.com", "example.com.de"])
def test_other_names_may_belong_to_somebody(domain: str) -> None:
    assert not is_reserved(domain)


def test_an_unknown_provider_has_everyone_elses_bounds() -> None:
    assert load_providers().bounds("nobody") == BOUNDS["other"]


def test_every_listed_domain_is_as_addresses_carry_it() -> None:
    domains = load_providers().by_domain
    assert [domain for domain in domains if parse_address(f"a@{domain}").ascii_domain != domain] == []


def test_every_listed_end_of_a_servers_name_is_as_names_are_compared_and_stands_with_one_provider() -> None:
    suffixes = load_providers().by_suffix
    assert [one for one in suffixes if one != one.lower().strip(".") or "." not in one or not is_host_name(one)] == []
    assert len(suffixes) == 21
