"""`providers`: the table, and the reason why an address has its provider."""

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from support.command_line import House, Typing
from support.dns_server import BLACK_HOLE, BROKEN, NULL_MX, DnsServer, a, dns_beside, mx

ZONES = {
    "hosted.net": mx("10 aspmx.l.google.com", ttl=86_400), "own.net": mx("10 mx1.own.net"), "null.net": NULL_MX,
    "itself.net": a("192.0.2.1"), "broken.net": BROKEN, "silent.net": BLACK_HOLE,
}
A_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture
def dns(home: House) -> Iterator[DnsServer]:
    """A name service, named in the configuration."""
    with dns_beside(dict(ZONES)) as server:
        file = home.folder / "dispatcher.toml"
        file.write_text(f'{file.read_text()}\n[mx]\nnameservers = ["{server.nameserver}"]\ntimeout = "300ms"\n')
        yield server


def test_without_names_the_table_is_shown(home: House, typed: Typing) -> None:
    ended = typed("providers")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert re.split(r"  +", lines[1]) == [
        "gmail", "5", "50", "gmail.com, googlemail.com", "google.com, googlemail.com, smtp.goog"]
    assert re.split(r"  +", lines[2])[3] == "outlook.com, outlook.de, outlook.fr and 119 more"
    assert lines[-1] == "0 more domains are known by their mail servers; 0 are to be asked"
    found = typed("providers", "--json").data
    assert [one["provider"] for one in found["providers"]] == [
        "gmail", "outlook", "yahoo", "apple", "comcast", "orange", "gmx", "mimecast", "other"]
    assert found["providers"][0] == {
        "provider": "gmail", "connections": 5, "messages_per_connection": 50,
        "domains": ["gmail.com", "googlemail.com"], "mx": ["google.com", "googlemail.com", "smtp.goog"]}
    assert (found["cached_domains"], found["open_questions"], found["lookup"]) == (0, 0, True)


@pytest.mark.parametrize(("name", "provider", "because"), [
    ("Ann@Gmail.com", "gmail", "domain table"),
    ("acme.example", "other", "reserved name, which belongs to nobody"),
    ("localhost", "other", "reserved name, which belongs to nobody"),
    ("ann@hosted.net", "gmail",
     f"MX aspmx.l.google.com ends in google.com, asked {A_TIME}, holds until {A_TIME}"),
    ("HOSTED.net.", "gmail", f"MX aspmx.l.google.com ends in google.com, asked {A_TIME}, holds until {A_TIME}"),
    ("own.net", "other", f"no rule for mx1.own.net: other; asked {A_TIME}, holds until {A_TIME}"),
    ("itself.net", "other", f"no rule for itself.net: other; asked {A_TIME}, holds until {A_TIME}"),
    ("null.net", "other", rf"takes no mail \(null MX\): other; asked {A_TIME}, holds until {A_TIME}"),
    ("gone.net", "other", f"no such domain: other; asked {A_TIME}, holds until {A_TIME}"),
    ("broken.net", "other", f"DNS failed: SERVFAIL; asked again at {A_TIME}"),
    ("silent.net", "other", f"DNS failed: timeout; asked again at {A_TIME}"),
])
def test_a_name_has_a_provider_for_a_reason(
    home: House, dns: DnsServer, typed: Typing, name: str, provider: str, because: str,
) -> None:
    ended = typed("providers", name)
    assert (ended.code, ended.err) == (0, "")
    shown = re.split(r"  +", ended.out.splitlines()[1])
    assert shown[:2] == [name, provider]
    assert re.fullmatch(because, shown[2])


def test_what_is_known_is_not_asked_again_and_what_failed_is(home: House, dns: DnsServer, typed: Typing) -> None:
    for _ in range(2):
        ended = typed("providers", "a@hosted.net", "b@hosted.net", "hosted.net", "broken.net", "--json")
        assert [one["provider"] for one in ended.data["names"]] == ["gmail", "gmail", "gmail", "other"]
    assert (dns.asked["hosted.net", "MX"], dns.asked["broken.net", "MX"]) == (1, 2)
    assert typed("providers", "--json").data["cached_domains"] == 2


def test_a_failure_leaves_what_was_known_and_says_so(home: House, dns: DnsServer, typed: Typing) -> None:
    typed("providers", "hosted.net")
    with sqlite3.connect(home.folder / "dispatcher.db") as store:
        store.execute("UPDATE domains SET expires_at = 1")
    store.close()
    dns.zones["hosted.net"] = BROKEN
    ended = typed("providers", "hosted.net")
    assert re.search(rf"gmail +DNS failed: SERVFAIL; asked again at {A_TIME}; until then as before, "
                     r"by MX aspmx.l.google.com", ended.out)


def test_without_lookup_nobody_is_asked(home: House, dns: DnsServer, typed: Typing) -> None:
    file = home.folder / "dispatcher.toml"
    file.write_text(file.read_text().replace("[mx]\n", "[mx]\nlookup = false\n"))
    ended = typed("providers", "hosted.net", "gmail.com")
    assert re.search("hosted.net +other +not in the domain table, and look-ups are off", ended.out)
    assert "look-ups are off ([mx] lookup): every other domain is other" in typed("providers").out.splitlines()
    assert dns.asked == {}


def test_what_is_no_address_and_no_domain_is_refused_by_name(home: House, typed: Typing) -> None:
    ended = typed("providers", "a b@c.net", "ann@hosted.net", "-x.net")
    assert ended.code == 2
    assert len(ended.errors) >= 1
    ended = typed("providers", "a b@c.net", "x..net")
    assert (ended.code, [line.partition(":")[0] for line in ended.errors]) == (2, ["a b@c.net", "x..net"])


def test_messages_taken_without_a_daemon_leave_their_question_and_follow_its_answer(
    home: House, dns: DnsServer, typed: Typing,
) -> None:
    people = home.people([{"id": "c1", "email": "c1@hosted.net", "name": "Ann", "location": "DE/Hamburg",
                           "last_active_at": f"{datetime.now(UTC):%Y-%m-%d}"}])
    for words in (("customers", "import", people), ("campaign", "apply", home.campaign()),
                  ("send", "delay", "--customer", "c1")):
        assert typed(*words).code == 0
    found = typed("providers", "--json").data
    assert (found["cached_domains"], found["open_questions"]) == (1, 1)
    assert [lane["lane"] for lane in typed("status", "--json").data["lanes"]] == ["support/other"]
    assert typed("providers", "hosted.net", "--json").data["names"][0]["provider"] == "gmail"
    assert typed("providers", "--json").data["open_questions"] == 0
    assert [lane["lane"] for lane in typed("status", "--json").data["lanes"]] == ["support/gmail"]


def test_a_daemon_asks_beside_its_work_and_goes_by_the_answer_after_a_restart_too(
    home: House, dns: DnsServer, typed: Typing,
) -> None:
    def lanes() -> list[str]:
        return [lane["lane"] for lane in typed("status", "--json").data["lanes"]]

    people = home.people([{"id": "c1", "email": "c1@hosted.net", "name": "Ann", "location": "DE/Hamburg",
                           "last_active_at": f"{datetime.now(UTC):%Y-%m-%d}"}])
    home.campaign()
    with home.daemon():
        for words in (("hold", "--reason", "not yet"), ("customers", "import", people), ("send", "delay")):
            assert typed(*words).code == 0
        while lanes() != ["support/gmail"]:      # the test's own timeout is the limit
            pass
    dns.zones.clear()
    with home.daemon():
        assert typed("providers", "c1@hosted.net", "--json").data["names"][0]["by"] == "mx"
        assert lanes() == ["support/gmail"]
    assert dns.asked == {("hosted.net", "MX"): 1}
    assert "hosted.net" not in (home.folder / "daemon.log").read_text()
