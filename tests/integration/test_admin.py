"""The admin listener on a real Unix socket: operations, refusals, health, metrics, and clients that misbehave."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError
from support.admin import Client, admin
from support.offices import rows
from support.world import DAY, World, world

from dispatcher.operations.registry import OPERATIONS
from dispatcher.web import admin as admin_module
from dispatcher.web import health as health_module
from dispatcher.web.metrics import METRICS


@pytest_asyncio.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, people=10) as it:
        yield it


@pytest_asyncio.fixture
async def client(one: World) -> AsyncIterator[Client]:
    async with admin(one) as it:
        yield it


@pytest.mark.asyncio
async def test_an_operation_answers_with_its_result(one: World, client: Client) -> None:
    status, body = await client.call("send.requests", {"campaign": "delay", "rows": rows({"customer": "c0"})})
    assert (status, body["result"]["queued"]) == (200, 1)
    assert (await client.post("status", b""))[1]["result"]["messages"]["queued"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "body", "status", "kind"), [
    ("nothing", b"{}", 404, "unknown"),
    ("customers.show", b'{"id": "nobody"}', 404, "unknown"),
    ("customers.show", b"{}", 400, "usage"),
    ("customers.show", b'{"id": 1}', 400, "usage"),
    ("customers.show", b'{"id": "a", "id": "b"}', 400, "usage"),
    ("customers.show", b'{"id": "\\ud800"}', 400, "usage"),
    ("customers.show", b"[" * 100_000, 400, "usage"),
    ("customers.show", b'{"id": NaN}', 400, "usage"),
    ("customers.show", b"\xff\xfe", 400, "usage"),
    ("customers.show", b"[]", 400, "usage"),
    ("messages.settle", b'{"id": 9223372036854775808, "as": "accepted"}', 400, "usage"),
    ("hold", b'{"name": "nothing", "reason": "x"}', 404, "unknown"),
    ("reload", b'{"now": true}', 400, "usage"),
])
async def test_every_refusal_has_one_form(client: Client, name: str, body: bytes, status: int, kind: str) -> None:
    found, answer = await client.post(name, body)
    assert (found, answer["error"]["kind"]) == (status, kind)
    assert answer["error"]["message"]


@pytest.mark.asyncio
async def test_a_conflict_is_one(client: Client) -> None:
    await client.call("campaign.cancel", {"id": "delay", "reason": "solved"})
    status, answer = await client.call("send.audience", {"campaign": "delay"})
    assert (status, answer["error"]["kind"]) == (409, "conflict")


@pytest.mark.asyncio
async def test_a_fault_of_ours_is_told_without_its_words(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> dict[str, object]:
        raise RuntimeError("ada@mail.example")

    monkeypatch.setitem(OPERATIONS, "status", OPERATIONS["status"]._replace(function=broken))  # type: ignore[arg-type]
    status, answer = await client.call("status")
    assert (status, answer["error"]["kind"]) == (500, "failed")
    assert "ada" not in json.dumps(answer)


@pytest.mark.asyncio
async def test_a_store_that_refuses_is_told_without_what_was_sent_in(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> dict[str, object]:
        raise OperationalError("INSERT ...", {"email": "ada@mail.example"}, Exception("database or disk is full"))

    monkeypatch.setitem(OPERATIONS, "status", OPERATIONS["status"]._replace(function=full))  # type: ignore[arg-type]
    status, answer = await client.call("status")
    assert (status, answer["error"]["message"]) == \
        (500, "the store cannot do it just now: database or disk is full")


@pytest.mark.asyncio
async def test_only_post_changes_anything(client: Client) -> None:
    status, text = await client.get("/v1/status")
    assert (status, json.loads(text)["error"]["kind"]) == (405, "usage")
    assert (await client.get("/nothing"))[0] == 404


@pytest.mark.asyncio
async def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    status, answer = await client.post("customers.import", b" " * (admin_module.LARGEST + 1))
    assert (status, answer["error"]["kind"]) == (413, "usage")
    assert (await client.get("/healthz"))[0] == 200


@pytest.mark.asyncio
async def test_a_large_body_is_read(client: Client) -> None:
    many = rows(*({"id": f"x{number}", "name": "n" * 400} for number in range(1_000)))
    status, answer = await client.call("customers.import", {"rows": many})
    assert (status, answer["result"]["new"]) == (200, 1_000)


@pytest.mark.asyncio
async def test_half_a_body_is_not_waited_for_for_ever_and_health_stays_quick(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_module, "PATIENCE", 0.2)
    slow = [await asyncio.open_unix_connection(str(client.path)) for _ in range(20)]
    for _, writer in slow:
        writer.write(b"POST /v1/status HTTP/1.1\r\nHost: admin\r\nContent-Length: 10\r\n\r\n{")
    assert (await client.get("/healthz"))[0] == 200
    for reader, writer in slow:
        answer = await reader.read()      # to its end: the connection is closed
        assert answer.startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
async def test_the_socket_is_its_owners_alone(client: Client) -> None:
    assert stat.S_IMODE(client.path.stat().st_mode) == 0o600


@pytest.mark.asyncio
async def test_another_user_is_refused_even_behind_the_files_mode(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_module, "peer_of", lambda _: os.geteuid() + 1)
    assert (await client.get("/healthz"))[0] == 403
    assert (await client.call("status"))[0] == 403


@pytest.mark.asyncio
async def test_ready_means_that_the_store_takes_a_write(
    one: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await client.get("/readyz") == (200, "ready\n")
    one.works.journal.failing = "disk is full"
    assert await client.get("/readyz") == (503, "the store cannot be written: disk is full\n")
    one.works.journal.failing = ""
    monkeypatch.setattr(health_module, "PATIENCE", 0.05)
    async with one.database.transaction():     # somebody has the store, and does not give it back
        for _ in range(3):
            assert (await client.get("/readyz"))[0] == 503
        assert (await client.get("/healthz"))[0] == 200
    await one.settle()
    monkeypatch.setattr(health_module, "PATIENCE", 10)
    assert (await client.get("/readyz"))[0] == 200
    one.works.closing = True
    assert await client.get("/readyz") == (503, "the daemon is stopping\n")
    one.works.closing = False


@pytest.mark.asyncio
async def test_metrics_can_be_read_and_every_one_is_documented(one: World, client: Client) -> None:
    await one.send_to(10)
    await client.call("suppress.add", {"addresses": ["c9@mail.example"]})
    await one.run_for(DAY)
    await client.call("hold", {"name": "support/other", "reason": "x"})
    status, text = await client.get("/metrics")
    assert status == 200
    found = {family.name: family for family in text_string_to_metric_families(text)}
    documented = {metric.name.removesuffix("_total"): metric for metric in METRICS}
    assert {name for name in found if name.startswith("dispatcher_")} == documented.keys()
    for name, metric in documented.items():
        assert (found[name].type, found[name].documentation) == (metric.kind, metric.meaning)
        assert {label for sample in found[name].samples for label in sample.labels} <= set(metric.labels)
        assert set(metric.labels) <= {"lane", "sender", "outcome", "reason", "state"}

    def value(name: str, **labels: str) -> float:
        return next(sample.value for sample in found[name].samples if labels.items() <= sample.labels.items())

    assert value("dispatcher_attempts", lane="support/other", outcome="accepted") == 9
    assert value("dispatcher_messages", state="accepted") == 9
    assert value("dispatcher_skipped", reason="suppressed") == 1
    assert value("dispatcher_lane_state", state="held") == 1
    assert value("dispatcher_lane_state", state="healthy") == 0
    assert value("dispatcher_holds") == 1
    assert value("dispatcher_last_batch_size", sender="support") == 1
    assert value("dispatcher_store_unread") == 0
    assert "mail.example" not in text


@pytest.mark.asyncio
async def test_metrics_are_told_also_where_the_store_does_not_answer(
    one: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.web.metrics.PATIENCE", 0.05)
    async with one.database.transaction():
        status, text = await client.get("/metrics")
        assert status == 200
        assert "dispatcher_store_unread 1.0" in text
        assert "dispatcher_lane_allowance" not in text
