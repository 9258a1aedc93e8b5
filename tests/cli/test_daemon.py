"""The same commands with a daemon beside them: a real one, in a process of its own."""

import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from support.command_line import COMMAND, House, Typing, environment, heard

FUTURE = {"email": "x@mail.example", "location": "DE/Berlin", "last_order_at": "2026-01-01"}


@pytest.fixture
def served(home: House) -> Iterator[House]:
    """The house with its daemon running."""
    home.campaign()
    with home.daemon():
        yield home


def test_the_daemon_does_what_commands_ask_and_they_need_not_know(served: House, typed: Typing) -> None:
    typed("hold", "--reason", "nothing shall leave")
    file = served.people([{"id": f"c-{number}", **FUTURE} for number in range(600)] + [{"id": "c-600", "email": "@"}])
    imported = typed("customers", "import", file)
    assert (imported.code, imported.out) == (1, "imported 600: 600 new; 1 refused\n")
    assert typed("campaign", "apply", "campaigns/delay").out == "delay version 1 is current already\n"
    sent = typed("send", "delay", "--json")
    assert (sent.code, sent.data["accepted"], sent.data["duplicate"]) == (0, 600, 0)
    status = typed("status", "--json").data
    assert status["daemon"]["running"] is True
    assert status["messages"]["queued"] + status["messages"]["skipped"] == 600
    assert [one["kind"] for one in status["holds"]] == ["everything"]
    assert typed("messages", "list", "--limit", "1", "--json").data["messages"][0]["id"] == 1
    assert typed("customers", "erase", "c-1").code == 0
    assert typed("suppress", "add", "x@mail.example").code == 0
    assert typed("campaign", "cancel", "delay", "--reason", "done").code == 0
    assert typed("status", "--json").data["messages"]["queued"] == 0
    assert typed("resume").out == "everything goes on\n"


def test_status_and_plan_have_the_fields_that_programs_may_rely_on(served: House, typed: Typing) -> None:
    typed("hold", "--reason", "keeps it in the queue", "--for", "1h")
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    typed("customers", "import", served.people([{"id": "c-1", **FUTURE, "last_order_at": today}]))
    assert typed("send", "delay", "--customer", "c-1").code == 0
    status, plan = typed("status", "--json").data, typed("plan", "--json").data
    (lane,), (batch,) = status["lanes"], plan["batches"]
    assert {"lane", "state", "allowance", "spent", "queued", "next_slot_at", "next_size"} <= set(lane)
    assert (lane["lane"], lane["state"], lane["queued"]) == ("support/other", "held", 1)
    assert (status["messages"]["queued"], status["skipped"]) == (1, {})
    assert {"at", "lane", "size", "segments", "limit"} <= set(batch)
    assert (batch["lane"], batch["size"], batch["segments"], plan["late"]) == ("support/other", 1, {"DE": 1}, 0)
    begins, done_at, ends = map(datetime.fromisoformat, (batch["at"], plan["done_at"], batch["until"]))
    assert begins <= done_at < ends


def test_a_reload_says_what_changes_and_a_bad_file_changes_nothing(served: House, typed: Typing) -> None:
    good = (served.folder / "dispatcher.toml").read_text()
    served.write("dispatcher.toml", good.replace("864_000", "432_000"))
    coming = typed("check", "--json")
    assert (coming.code, coming.data["faults"]) == (0, [])
    changed = typed("reload")
    assert (changed.code, changed.out.splitlines()[0]) == (0, "ramps.test.start: 864000 -> 432000")
    assert typed("reload").out == "nothing has changed\n"
    served.write("dispatcher.toml", good.replace('"1s"', '"soon"'))
    refused = typed("reload")
    assert (refused.code, refused.out) == (2, "")
    assert refused.errors[0].removeprefix(f"{served.folder}/").startswith("dispatcher.toml:7: ramps.test.every")


def test_with_a_broken_file_everything_can_still_be_held(served: House, typed: Typing) -> None:
    served.write("dispatcher.toml", (served.folder / "dispatcher.toml").read_text().replace("ramps.test", "rumps.test"))
    ended = typed("hold", "--reason", "stop!")
    assert (ended.code, ended.out) == (0, "everything is held until it is resumed\n")
    assert len(ended.errors) == 1
    assert ended.err.startswith("warning: ")


def test_a_campaign_with_a_fault_refuses_the_reload_with_its_line(served: House, typed: Typing) -> None:
    served.write("campaigns/bad/campaign.toml", 'id = "bad"\nnonsense = 1\n')
    ended = typed("reload")
    assert ended.code == 2
    assert any("campaigns/bad/campaign.toml:2: nonsense" in line for line in ended.errors)


def test_watching_ends_with_0_when_one_has_seen_enough(served: House) -> None:
    with heard(signal.SIGINT), subprocess.Popen(  # noqa: S603 -- our own command
        [*COMMAND, "status", "--watch"], cwd=served.folder, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        blocks = 0
        while blocks < 2:
            blocks += process.stdout.readline().startswith("the daemon runs since ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (0, "")


def test_a_second_daemon_ends_and_says_who_has_the_store(served: House) -> None:
    ended = served.type("run")
    assert ended.code == 1
    assert "is in use by process" in ended.err


def test_sigterm_ends_the_daemon_with_0_and_the_socket_is_gone(home: House) -> None:
    with home.daemon() as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not (home.folder / "admin.sock").exists()


def test_without_a_daemon_there_is_nothing_to_reload(home: House, typed: Typing) -> None:
    ended = typed("reload")
    assert (ended.code, ended.out, ended.errors) == (
        1, "", ["no daemon is running; it reads its configuration when it starts"])
