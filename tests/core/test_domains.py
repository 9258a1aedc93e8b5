"""What an answer of the DNS makes of a domain's provider: how long it holds, and what a failure leaves."""

import pytest

from channels.mail_hosts import Finding, MailHosts
from config.providers import load_providers
from dispatcher.core.domains import Domain, Reason, answered

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = 1_772_438_400_000
NEW = Domain("acme.net", due_at=NOW)


def after(found, before=NEW, now=NOW):
    return answered(before, found, load_providers(), now)


@pytest.mark.parametrize(("found", "provider", "host", "reason"), [
    (MailHosts(Finding.SERVERS, ((10, "aspmx.l.google.com"),)), "gmail", "aspmx.l.google.com", "mx"),
    (MailHosts(Finding.SERVERS, ((10, "mx.acme.net"),)), "other", "mx.acme.net", "no_rule"),
    (MailHosts(Finding.ITSELF, ((0, "acme.net"),)), "other", "acme.net", "no_rule"),
    (MailHosts(Finding.NULL_MX), "other", "", "null_mx"),
    (MailHosts(Finding.NO_DOMAIN), "other", "", "no_mail"),
])
def test_an_answer_names_the_provider_and_what_it_rests_on(found, provider, host, reason):
    assert after(found) == Domain("acme.net", provider, host, reason, asked_at=NOW, due_at=None,
                                  expires_at=NOW + 5 * MINUTE, failures=0)


@pytest.mark.parametrize(("ttl", "holds"), [
    (0, 5 * MINUTE), (5 * MINUTE, 5 * MINUTE), (HOUR, HOUR), (7 * DAY, 7 * DAY), (60 * DAY, 7 * DAY),
])
def test_an_answer_holds_as_long_as_its_zone_says_within_bounds(ttl, holds):
    assert after(MailHosts(Finding.NULL_MX, ttl=ttl)).expires_at == NOW + holds


def test_a_failure_leaves_what_was_known_and_is_asked_again_later_each_time():
    one = after(MailHosts(Finding.SERVERS, ((10, "aspmx.l.google.com"),), ttl=HOUR))
    pauses = []
    for _ in range(9):
        one = after(MailHosts(Finding.FAILED, why="timeout"), one, NOW + DAY)
        pauses.append((one.due_at - NOW - DAY) // MINUTE)
        assert (one.provider, one.host, one.expires_at) == ("gmail", "aspmx.l.google.com", NOW + HOUR)
        assert (one.reason, one.trouble, one.asked_at) == (Reason.FAILED, "timeout", NOW + DAY)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_an_answer_after_failures_forgets_them():
    failed = after(MailHosts(Finding.FAILED, why="timeout"))
    assert (failed.provider, failed.failures) == ("other", 1)
    one = after(MailHosts(Finding.NULL_MX), failed)
    assert (one.reason, one.failures, one.trouble, one.due_at) == ("null_mx", 0, "", None)
