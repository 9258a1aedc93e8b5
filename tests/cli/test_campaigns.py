"""Campaigns from their folders to their end."""

import json

import pytest
from support.command_line import House, Typing

ADA = {"id": "c-1", "email": "ada@mail.example", "name": "Ada", "location": "DE/Berlin", "last_order_at": "2024-01-01"}


def test_a_folder_is_applied_once_and_a_changed_one_is_a_new_version(home: House, typed: Typing) -> None:
    folder = home.campaign()
    assert typed("campaign", "apply", folder).out == "delay version 1 is current, the first\n"
    assert typed("campaign", "apply", folder).out == "delay version 1 is current already\n"
    home.campaign(more='reply_to = "help@acme.example"\n')
    assert typed("campaign", "apply", folder).out == "delay version 2 is current\n"
    assert typed("campaign", "show", "delay", "--json").data["version"] == 2


def test_every_fault_of_a_folder_is_named_and_nothing_is_applied(home: House, typed: Typing) -> None:
    folder = home.campaign(more='txt = "x"\n')
    home.write("campaigns/delay/campaign.toml",
               (folder / "campaign.toml").read_text().replace('"service"', '"nonsense"'))
    ended = typed("campaign", "apply", folder)
    assert (ended.code, ended.out) == (2, "")
    assert [line.split(": ")[0] for line in ended.errors] == [
        f"{folder}/campaign.toml:2", f"{folder}/campaign.toml:10"]
    assert typed("campaign", "list").out == "there are no campaigns; dispatcher campaign apply DIR makes one\n"


def test_words_that_cannot_be_sent_are_refused_at_apply(home: House, typed: Typing) -> None:
    folder = home.campaign()
    file = folder / "campaign.toml"
    file.write_text(file.read_text().replace("customer.name", "customer.nmae"))
    ended = typed("campaign", "apply", folder)
    assert (ended.code, ended.out) == (2, "")
    assert all("nmae" in line for line in ended.errors)


def test_campaigns_are_listed_and_shown(home: House, typed: Typing) -> None:
    typed("customers", "import", home.people([ADA]))
    typed("campaign", "apply", home.campaign())
    typed("campaign", "apply", home.campaign("spring"))
    assert [one["id"] for one in typed("campaign", "list", "--json").data["campaigns"]] == ["delay", "spring"]
    digests = {one["id"]: one["digest"][:16] for one in typed("campaign", "list", "--json").data["campaigns"]}
    assert [line.split()[:4] for line in typed("campaign", "list").out.splitlines()[1:]] == [
        ["delay", "1", digests["delay"], "service"], ["spring", "1", digests["spring"], "service"]]
    typed("send", "delay")
    shown = typed("campaign", "show", "delay").out
    assert "segments    DE/Hamburg, DE\n" in shown
    assert "skipped: inactive 1\n" in shown
    assert typed("campaign", "show", "none").code == 1


@pytest.mark.parametrize(("data", "subject"), [(None, "Order 1"), ({"order": "A-17"}, "Order A-17")])
def test_a_preview_shows_the_words_and_whether_they_would_be_sent(
    data: object, subject: str, home: House, typed: Typing,
) -> None:
    folder = home.campaign(more='[sample]\norder = "1"\n')
    file = folder / "campaign.toml"
    words = file.read_text().replace("Your delivery may be late, {{ customer.name }}", "Order {{ data.order }}")
    file.write_text(words)
    typed("campaign", "apply", folder)
    typed("customers", "import", home.people([ADA]))
    more = () if data is None else ("--data", json.dumps(data))
    ended = typed("campaign", "preview", "delay", "--customer", "c-1", *more)
    assert ended.out.splitlines() == [
        "verdict: skip: inactive", "segment: DE", "lane: support/other", "",
        "From: Acme Support <support@acme.example>", "To: ada@mail.example", f"Subject: {subject}", "",
        "Dear Ada, the river is high.",
    ]
    told = typed("campaign", "preview", "delay", "--customer", "c-1", *more, "--json").data
    assert (told["verdict"], told["reason"], told["subject"]) == ("skip", "inactive", subject)


def test_where_approval_is_on_a_campaign_waits_for_somebody(home: House, typed: Typing) -> None:
    text = (home.folder / "dispatcher.toml").read_text()
    home.write("dispatcher.toml", text + "[campaigns]\napproval = true\n")
    typed("customers", "import", home.people([ADA]))
    applied = typed("campaign", "apply", home.campaign())
    digest = typed("campaign", "show", "delay", "--json").data["digest"]
    assert applied.errors == [
        f"warning: it waits for approval: dispatcher campaign approve delay --by NAME --digest {digest}"]
    [listed] = typed("campaign", "list", "--json").data["campaigns"]
    assert (listed["state"], listed["digest"]) == ("unapproved", digest)
    assert typed("campaign", "list").out.splitlines()[1].split()[2] == digest[:16]
    other = typed("campaign", "approve", "delay", "--by", "Eve", "--digest", "0" * 16)
    assert (other.code, len(other.errors)) == (1, 1)
    assert digest in other.err
    approved = typed("campaign", "approve", "delay", "--by", "Eve", "--digest", digest[:16])
    assert approved.out.splitlines() == [
        "delay version 1 is approved by Eve", f"digest: {digest}",
        "subject: Your delivery may be late, {{ customer.name }}"]
    assert typed("campaign", "list", "--json").data["campaigns"][0]["state"] == "active"


def test_an_approval_says_which_words_it_is_of(home: House, typed: Typing) -> None:
    file = home.campaign() / "campaign.toml"
    file.write_text(file.read_text() + '[email.segments.DE]\nsubject = "Flooding"\n')
    typed("campaign", "apply", "campaigns/delay")
    approved = typed("campaign", "approve", "delay", "--by", "Eve")
    assert approved.out.splitlines()[2:] == [
        "subject: Your delivery may be late, {{ customer.name }}", "subject for DE: Flooding"]
    refused = typed("campaign", "approve", "delay", "--by", "")
    assert (refused.code, refused.errors) == (2, ["by: is empty; it needs a word"])


def test_a_canceled_campaign_closes_what_is_queued_for_good(home: House, typed: Typing) -> None:
    typed("customers", "import", home.people([ADA | {"last_order_at": "2199-01-01"}]))
    typed("campaign", "apply", home.campaign())
    home.write("one.ndjson", '{"customer": "c-1", "not_before": "2190-01-01T00:00:00Z"}\n')
    typed("send", "delay", "--file", "one.ndjson")
    ended = typed("campaign", "cancel", "delay", "--reason", "solved", "--json")
    assert (ended.code, ended.data["stopped"]) == (0, 0)
    assert typed("status", "--json").data["messages"]["queued"] == 0
    again = typed("send", "delay")
    assert (again.code, again.errors) == (
        1, ["delay was canceled for good; give it a new id to send it anew"])
