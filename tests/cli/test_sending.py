"""Messages onto the queue, what is to come of them, and each of them looked at. No daemon: nothing leaves."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.command_line import CAMPAIGN, CONFIG, House, Typing

from dispatcher.cli.rows import BLOCK
from dispatcher.cli.sending import _counts
from dispatcher.intake.rows import ROW_BYTES
from dispatcher.operations.office import PART
from dispatcher.web.admin import LARGEST


def from_now(**distance: int) -> str:
    return (datetime.now(UTC) + timedelta(**distance)).strftime("%Y-%m-%dT%H:%M:%SZ")


def person(number: int, place: str = "DE/Berlin", days: int = 2) -> dict[str, object]:
    return {"id": f"c-{number}", "email": f"c{number}@mail.example", "name": f"Person {number}", "location": place,
            "last_order_at": from_now(days=-days)}


@pytest.fixture
def ready(home: House, typed: Typing) -> House:
    """A campaign, and four customers of whom two are meant."""
    typed("customers", "import", home.people(
        [person(1), person(2, "DE/Hamburg"), person(3, "FR/Paris"), person(4, days=60)]))
    assert typed("campaign", "apply", home.campaign()).code == 0
    return home


def requests(home: House, *rows: object) -> str:
    home.write("requests.ndjson", "".join(json.dumps(row) + "\n" for row in rows))
    return "requests.ndjson"


def test_a_whole_audience_is_queued_and_told_when_it_is_done(ready: House, typed: Typing) -> None:
    ended = typed("send", "delay")
    first, last = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert first == "2 queued (skipped: no_segment 1, inactive 1)"
    assert last.startswith("done at ")


def test_sending_again_adds_nobody_twice(ready: House, typed: Typing) -> None:
    typed("send", "delay")
    again = typed("send", "delay", "--json")
    assert again.code == 0
    assert (again.data["accepted"], again.data["duplicate"], again.data["queued"]) == (0, 4, 2)
    assert (again.data["skipped_now"], again.data["before"]) == ({}, {"queued": 2, "skipped": 2})
    assert again.data["late"] == 0
    assert again.data["done_at"].endswith("Z")
    assert len(typed("messages", "list", "--json").data["messages"]) == 4


def test_sending_again_says_how_many_are_new_and_how_many_stand_in_the_queue(ready: House, typed: Typing) -> None:
    typed("send", "delay")
    typed("customers", "import", ready.people([person(5)]))
    assert typed("send", "delay").out.splitlines()[0] == (
        "1 queued; already on the queue or ended before: 4 (queued 2, skipped 2); 3 in the queue now")
    typed("customers", "import", ready.people([person(6), person(7, days=60)]))
    assert typed("send", "delay").out.splitlines()[0] == (
        "1 queued (skipped: inactive 1); already on the queue or ended before: 5 (queued 3, skipped 2); "
        "4 in the queue now")
    assert typed("send", "delay", "--customer", "c-1", "--customer", "c-4").out == (
        "0 queued; already on the queue or ended before: 2 (queued 1, skipped 1)\n")


@pytest.mark.parametrize(("result", "said"), [
    ({"accepted": 20, "duplicate": 60, "queued": 34, "skipped": {"inactive": 9}, "skipped_now": None, "before": None},
     "20 new; already on the queue or ended before: 60; 34 in the queue now"),
    ({"accepted": 20, "duplicate": 60, "queued": 34, "skipped": {"inactive": 20}, "skipped_now": {"inactive": 6},
      "before": {"accepted": 46, "skipped": 14}},
     ("14 queued (skipped: inactive 6); already on the queue or ended before: 60 (accepted 46, skipped 14); "
      "34 in the queue now")),
])
def test_what_is_new_is_never_mixed_with_what_was_there(result: dict[str, Any], said: str) -> None:
    assert _counts(result) == said


def test_an_audience_of_more_than_a_chunk_is_queued_whole(ready: House, typed: Typing) -> None:
    typed("customers", "import", ready.people([person(number) for number in range(10, 1_110)]))
    assert typed("send", "delay", "--json").data["queued"] == 1_102


def test_single_customers_are_queued_and_a_wrong_one_is_named(ready: House, typed: Typing) -> None:
    ended = typed("send", "delay", "--customer", "c-1", "--customer", "", "--customer", "c-2")
    assert ended.code == 1
    assert ended.out.startswith("2 queued; 1 refused\n")
    assert len(ended.errors) == 1
    assert ended.errors[0].startswith("--customer : customer: ")


def test_requests_get_their_campaign_and_those_of_another_are_refused(ready: House, typed: Typing) -> None:
    file = requests(ready, {"customer": "c-1", "key": "a"}, {"customer": "c-1", "campaign": "other"},
                    {"customer": "c-2", "campaign": "delay", "data": {"order": "A-17"}}, {"customer": "c-3"})
    ended = typed("send", "delay", "--file", file)
    assert ended.code == 1
    assert ended.out.splitlines()[0] == "2 queued (skipped: no_segment 1); 1 refused"
    assert ended.errors == ["requests.ndjson:2: campaign: is 'other', and this sends delay; send it by itself"]
    again = typed("send", "delay", "--file", file, "--json")
    assert again.data == {
        "queued": 0, "skipped": {}, "duplicate": 3, "before": {"queued": 2, "skipped": 1}, "refused": 1, "late": 0,
        "pushed_late": {}, "done_at": None,
        "faults": [{"line": 2, "reason": "campaign: is 'other', and this sends delay; send it by itself"}],
    }


def test_a_broken_line_costs_only_itself(ready: House, typed: Typing) -> None:
    ready.write("requests.ndjson", '{"customer": "c-1"}\n{"customer": \n{"customer": "c-2"}\n')
    ended = typed("send", "delay", "--file", "requests.ndjson", "--json")
    assert (ended.code, ended.data["queued"], [fault["line"] for fault in ended.data["faults"]]) == (1, 2, [2])


def test_whatever_a_block_of_lines_holds_a_daemon_takes_it() -> None:
    worst = "\x01" * (BLOCK + ROW_BYTES)
    assert len(json.dumps({"campaign": "c" * 64, "first": 10**9, "text": worst})) < LARGEST


def test_a_large_file_is_read_in_another_process_and_lines_stay_those_of_the_file(ready: House, typed: Typing) -> None:
    count = 5 * PART
    lines = [json.dumps({"customer": f"c-{number % 2 + 1}", "key": f"k{number}"}) for number in range(count)]
    lines[PART + 10] = lines[count - 1] = "{"
    ready.write("requests.ndjson", "\n".join(lines))
    ended = typed("send", "delay", "--file", "requests.ndjson", "--json")
    assert (ended.code, ended.data["queued"]) == (1, count - 2)
    assert [fault["line"] for fault in ended.data["faults"]] == [PART + 11, count]


def test_the_same_key_with_other_content_is_refused_and_the_first_stands(ready: House, typed: Typing) -> None:
    typed("send", "delay", "--file", requests(ready, {"customer": "c-1", "key": "k", "data": {"order": "A"}}))
    ended = typed("send", "delay", "--file", requests(ready, {"customer": "c-1", "key": "k", "data": {"order": "B"}}))
    assert ended.code == 1
    assert ended.errors[0].startswith("requests.ndjson:1: key: was taken before with other content")
    assert typed("messages", "show", "1", "--json").data["data"] == {"order": "A"}


def test_sending_to_nobody_fails_with_a_hint(home: House, typed: Typing) -> None:
    typed("campaign", "apply", home.campaign())
    ended = typed("send", "delay")
    assert (ended.code, ended.out, ended.errors) == (
        1, "", ["nobody is in the audience of delay: import customers, or widen its [audience] where"])


def test_an_unknown_campaign_is_said(home: House, typed: Typing) -> None:
    ended = typed("send", "delay")
    assert (ended.code, ended.errors) == (1, ["no campaign is called delay; apply it first"])


def test_who_would_hear_too_late_is_counted_at_once(ready: House, typed: Typing) -> None:
    typed("hold", "--reason", "not yet", "--for", "2h")
    soon = requests(ready, {"customer": "c-1", "expires_at": from_now(hours=1)})
    ended = typed("send", "delay", "--file", soon)
    assert ended.code == 0
    assert ended.out.splitlines()[1] == (
        "1 of 1 would hear too late: their expires_at comes before their turn; give them more time, or raise what "
        "`dispatcher plan --campaign delay` names as the limit, or send to fewer")


def test_how_many_would_hear_after_useful_for_is_said_with_what_to_do(home: House, typed: Typing) -> None:
    home.campaign().joinpath("campaign.toml").write_text(
        CAMPAIGN.format(id="delay").replace("segment_by", 'useful_for = "30m"\nsegment_by'))
    typed("campaign", "apply", "campaigns/delay")
    home.write("dispatcher.toml", CONFIG.format(port=9).replace("864_000", "96").replace('every         = "1s"',
                                                                                         'every         = "15m"'))
    typed("customers", "import", home.people([person(number) for number in range(100)]))
    ended = typed("send", "delay")
    assert ended.code == 0
    late = int(ended.out.splitlines()[-1].split()[0])
    assert late >= 97
    assert ended.out.splitlines()[-1] == (
        f"{late} of 100 would hear too late: useful_for is 30m; raise it, if the news keeps that long, or raise what "
        "`dispatcher plan --campaign delay` names as the limit, or send to fewer")
    again = typed("send", "delay", "--json").data
    assert (again["late"] >= 97, again["done_at"] is not None) == (True, True)


def test_whom_a_send_pushes_beyond_their_time_in_other_campaigns_is_said(home: House, typed: Typing) -> None:
    for name, old in (("slow", "service"), ("storm", "critical")):
        home.campaign(name).joinpath("campaign.toml").write_text(
            CAMPAIGN.format(id=name).replace("service", old).replace("segment_by", 'useful_for = "6h"\nsegment_by'))
        typed("campaign", "apply", f"campaigns/{name}")
    home.write("dispatcher.toml", CONFIG.format(port=9).replace("864_000", "2_400").replace('every         = "1s"',
                                                                                           'every         = "15m"'))
    typed("customers", "import", home.people([person(number) for number in range(500)]))
    first = typed("send", "slow")
    assert (first.code, "too late" in first.out) == (0, False)
    assert typed("send", "slow", "--json").data["pushed_late"] == {}
    ended = typed("send", "storm")
    pushed = int(ended.out.splitlines()[-1].split()[0])
    assert 350 <= pushed <= 425
    assert ended.out.splitlines()[-1] == (
        f"{pushed} more of slow would now hear too late, as this takes their places: `dispatcher plan --campaign slow` "
        "shows what is left to it")
    assert typed("plan", "--campaign", "slow", "--json").data["late"] >= pushed
    # Nobody is new: nothing grows, but by the clock, which goes on between two looks.
    assert sum(typed("send", "storm", "--json").data["pushed_late"].values()) < 5
    more = typed("send", "storm", "--customer", "c-1", "--json")
    assert more.code == 0
    assert sum(more.data["pushed_late"].values()) < 5


def test_a_message_tells_its_story(ready: House, typed: Typing) -> None:
    typed("send", "delay", "--customer", "c-1")
    told = typed("messages", "show", "1", "--json").data
    assert {name: told[name] for name in ("id", "campaign", "customer", "segment", "lane", "state", "reason")} == {
        "id": 1, "campaign": "delay", "customer": "c-1", "segment": "DE", "lane": "support/other", "state": "queued",
        "reason": ""}
    assert told["attempts"] == []
    assert "lane        support/other\n" in typed("messages", "show", "1").out
    assert typed("messages", "show", "2").errors == ["there is no message 2"]


def test_messages_are_listed_by_what_is_asked_for_a_page_at_a_time(ready: House, typed: Typing) -> None:
    typed("send", "delay")
    assert typed("messages", "list", "--state", "skipped", "--reason", "inactive").out.splitlines()[1].split() == [
        "4", "delay", "c-4", "DE", "support/other", "skipped", "inactive"]
    page = typed("messages", "list", "--limit", "3")
    assert page.out.splitlines()[-1] == "there are more: --after 3"
    assert [one["customer"] for one in typed("messages", "list", "--after", "3", "--json").data["messages"]] == ["c-4"]
    assert typed("messages", "list", "--customer", "c-9").out == "there are no such messages\n"


def test_only_a_message_in_doubt_can_be_settled(ready: House, typed: Typing) -> None:
    typed("send", "delay", "--customer", "c-1")
    ended = typed("messages", "settle", "1", "accepted")
    assert (ended.code, ended.errors) == (1, ["message 1 is queued; only one in doubt can be settled"])


def test_addresses_are_suppressed_listed_and_freed(ready: House, typed: Typing) -> None:
    added = typed("suppress", "add", "c1@mail.example", "@", "--reason", "bounce", "--note", "returned")
    assert (added.code, added.out) == (1, "1 suppressed; 1 refused\n")
    assert added.errors == ["address @: address: has nothing before the @"]
    ready.write("more.csv", "address,category\nc2@mail.example,promotional\nc2@mail.example,nonsense\n")
    more = typed("suppress", "import", "more.csv", "--json")
    assert (more.code, more.data["added"], [fault["line"] for fault in more.data["faults"]]) == (1, 1, [3])
    listed = typed("suppress", "list").out.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        ["c1@mail.example", "*", "bounce"], ["c2@mail.example", "promotional", "manual"]]
    assert typed("send", "delay", "--json").data["skipped"]["suppressed"] == 1
    assert typed("suppress", "remove", "c1@mail.example").code == 0
    again = typed("suppress", "remove", "c1@mail.example")
    assert (again.code, len(again.errors)) == (1, 1)
    assert typed("suppress", "list", "--limit", "1", "--json").data["next"] is None
