"""What PostgreSQL alone has: a lock that is the session's, a schema, its settings, its errors and its plans."""

import json
import os
import traceback
from dataclasses import replace
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from support.postgresql import connect, emptied, named, new_database, opened, tell
from support.store_queries import LIVE_ONLY, USED, asked
from support.stores import campaign, people
from support.tcp_proxy import proxy

from config.postgresql import SslMode
from dispatcher.store import campaigns, customers, domains, migrate, postgresql_session
from dispatcher.store.database import StoreError, StoreUnreachableError
from dispatcher.store.lock import StoreLockedError
from dispatcher.store.postgresql import Address, PostgresqlStore
from dispatcher.store.tables import metadata


async def refusal(address: Address) -> str:
    with pytest.raises(StoreError) as refused:
        await PostgresqlStore.open(address, "send")
    return str(refused.value)


# The lock

@pytest.mark.asyncio
async def test_a_second_process_is_refused_at_once_and_told_who_has_the_store() -> None:
    address = await emptied()
    async with opened(address) as store:
        with pytest.raises(StoreLockedError, match=rf"by process {os.getpid()} \(dispatcher run\) on ") as refused:
            await PostgresqlStore.open(address, "send")
        assert (refused.value.role, refused.value.process) == ("run", os.getpid())
        assert await named(store) == []
    async with opened(address):
        pass


@pytest.mark.asyncio
async def test_a_holder_who_has_not_written_who_he_is_still_locks() -> None:
    address = await emptied()
    async with opened(address):
        await tell("DELETE FROM meta", address=address)
        with pytest.raises(StoreLockedError, match="in use by another process") as refused:
            await PostgresqlStore.open(address, "send")
        assert refused.value.role == ""


@pytest.mark.asyncio
async def test_two_schemas_of_a_database_are_two_stores() -> None:
    async with new_database() as address, opened(address):
        name = address.database.database
        await tell("CREATE SCHEMA other", f"ALTER DATABASE {name} SET search_path = other", address=address)
        async with opened(address) as second:
            assert await named(second) == []


# The schema

@pytest.mark.asyncio
async def test_a_fresh_store_has_the_newest_schema_and_it_is_the_one_of_the_tables() -> None:
    def look(connection: Connection) -> tuple[str | None, list[Any]]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return migrate.current(connection), compare_metadata(context, metadata)

    async with opened() as store, store.transaction() as tx:
        version, differences = await tx.run_sync(look)
    assert version == migrate.NEWEST
    assert differences == []


@pytest.mark.asyncio
async def test_every_column_of_text_is_compared_by_bytes_and_every_instant_is_wide_enough() -> None:
    async with opened() as store, store.transaction() as tx:
        rows = await tx.execute(text(
            "SELECT table_name, column_name, data_type, collation_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name <> 'alembic_version'"))
        kinds = {(table, column): (kind, collation) for table, column, kind, collation in rows}
    assert {collation for kind, collation in kinds.values() if kind == "character varying"} == {"C"}
    instants = {place for place in kinds if place[1].endswith(("_at", "_until", "_ends")) or place[1] in {
        "at", "slot", "step", "not_before", "until", "since", "judged_from"}}
    assert {kinds[place][0] for place in instants} == {"bigint"}
    assert len(instants) > 30


@pytest.mark.asyncio
async def test_partial_indexes_are_as_many_as_the_tables_have() -> None:
    async with opened() as store, store.transaction() as tx:
        rows = await tx.execute(text("SELECT indexname FROM pg_indexes WHERE indexdef LIKE '% WHERE %' "
                                     "AND schemaname = current_schema()"))
        found = {name for (name,) in rows}
    assert found == {str(index.name) for table in metadata.sorted_tables for index in table.indexes
                     if index.dialect_options["postgresql"]["where"] is not None}


@pytest.mark.asyncio
async def test_a_schema_of_a_newer_program_or_of_another_one_is_refused() -> None:
    async with new_database() as address:
        await tell("CREATE TABLE bookmarks (url TEXT)", address=address)
        assert "another program" in await refusal(address)
        await tell("DROP TABLE bookmarks", address=address)
        async with opened(address):
            pass
        await tell("UPDATE alembic_version SET version_num = '9999'", address=address)
        assert "9999, newer than this program's" in await refusal(address)


@pytest.mark.asyncio
async def test_a_migration_that_is_cut_short_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade

    def cut_short(*arguments: Any) -> None:
        upgrade(*arguments)
        raise OSError("the disk is full")

    async with new_database() as address:
        monkeypatch.setattr(command, "upgrade", cut_short)
        assert "the disk is full" in await refusal(address)
        monkeypatch.undo()
        one = await connect(address)
        assert await one.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await one.close()
        async with opened(address) as store:
            assert await named(store) == []


@pytest.mark.asyncio
async def test_a_store_of_the_first_release_is_migrated_with_what_it_holds() -> None:
    async with new_database() as address:
        engine = postgresql_session.make_engine(address, postgresql_session.PATIENT)
        async with engine.begin() as connection:
            await connection.run_sync(lambda one: command.upgrade(migrate.configuration(one), "0001"))
            await connection.execute(text("INSERT INTO customers VALUES ('c1', 'ann@acme.net', '', '', '', '', '', '', "
                                          "'', NULL, NULL, NULL, '[]', '{}', 0)"))
        await engine.dispose()
        async with opened(address) as store, store.transaction() as tx:
            assert await domains.people(tx, "acme.net", "", 10) == ["c1"]


# Being let in, and working

@pytest.mark.asyncio
async def test_what_keeps_us_out_is_told_with_its_reason() -> None:
    async with new_database("LC_COLLATE 'C' LC_CTYPE 'C'") as address:
        database = address.database
        async with proxy(database.host, database.port) as door:
            shut = replace(database, port=door.port)
            door.open = False
            with pytest.raises(StoreUnreachableError, match="cannot be used"):
                await PostgresqlStore.open(replace(address, database=shut), "run")
        assert 'database "dispatcher_none" does not exist' in await refusal(
            replace(address, database=replace(database, database="dispatcher_none")))
        assert "rejected SSL" in await refusal(
            replace(address, database=replace(database, sslmode=SslMode.REQUIRE)))
        await tell("DROP SCHEMA public", address=address)
        assert "its user has no schema" in await refusal(address)


@pytest.mark.asyncio
async def test_where_tls_is_only_preferred_a_server_without_it_will_do() -> None:
    address = await emptied()
    async with opened(replace(address, database=replace(address.database, sslmode=SslMode.PREFER))) as store:
        assert await named(store) == []


@pytest.mark.asyncio
async def test_a_commit_waits_for_the_disk_whatever_the_database_says() -> None:
    async with new_database() as address:
        await tell(f"ALTER DATABASE {address.database.database} SET synchronous_commit = off", address=address)
        await tell(f"ALTER DATABASE {address.database.database} SET default_transaction_isolation = 'serializable'",
                   address=address)
        async with opened(address) as store, store.transaction() as tx:
            found = [(await tx.execute(text(f"SHOW {name}"))).scalar() for name in (
                "synchronous_commit", "transaction_isolation", "plan_cache_mode", "application_name",
                "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")]
    assert found == ["on", "read committed", "force_custom_plan", "dispatcher", "1min", "10s", "1min"]


@pytest.mark.asyncio
@pytest.mark.parametrize("wrong", [
    "INSERT INTO suppressions VALUES ($1, '*', 'manual', '', 0), ($1, '*', 'manual', '', 0)",
    "INSERT INTO suppressions (address) VALUES ($1)",
    "SELECT $1::int",
])
async def test_an_error_of_the_store_quotes_nobody_in_any_trace(wrong: str) -> None:
    address = "ann" + chr(64) + "mail.example"     # so that no line of this file has it
    async with opened() as store:
        with pytest.raises(DBAPIError) as failed:
            async with store.transaction() as tx:
                await tx.exec_driver_sql(wrong, (address,))
    assert address not in "".join(traceback.format_exception(failed.value))


@pytest.mark.asyncio
async def test_a_row_that_a_person_keeps_locked_fails_a_transaction_and_not_the_store(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgresql_session.WORKING, "lock_timeout", "50")
    async with opened() as store:
        async with store.transaction() as tx:
            await campaign(tx)
        person = await connect(store._address)
        async with person.transaction():
            await person.execute("SELECT 1 FROM campaigns FOR UPDATE")
            with pytest.raises(DBAPIError, match="lock timeout"):
                async with store.transaction() as tx:
                    await campaigns.cancel(tx, "delay", "over", 1)
        await person.close()
        session = store._session
        async with store.transaction() as tx:
            await campaigns.cancel(tx, "delay", "over", 1)
        assert store._session is session


@pytest.mark.asyncio
async def test_who_opened_the_store_last_stands_in_it() -> None:
    async with opened() as store, store.transaction() as tx:
        found = json.loads((await tx.execute(text("SELECT value FROM meta WHERE name = 'holder'"))).scalar_one())
    assert (found["role"], found["process"]) == ("run", os.getpid())


@pytest.mark.asyncio
async def test_a_long_list_of_values_is_one_parameter() -> None:
    async with opened() as store, store.transaction() as tx:
        await people(tx, "a", "b")
        assert sorted(await customers.get(tx, ["a", "b", *(f"x{number}" for number in range(40_000))])) == ["a", "b"]


# Indexes

FULL = (
    """INSERT INTO campaigns SELECT 'c' || n, 1, 'service', '', 0, NULL, '', 0, 0 FROM generate_series(0, 199) n""",
    # Most have ended; of the others each tenth waits, and each fifth ends by itself some day.
    """INSERT INTO messages (campaign, key, customer, digest, data, state, reason, waiting, not_before, expires_at,
                             segment, rank, priority, lane, created_at, attempts, doubts, begun, slot, finished_at)
       SELECT 'c' || n % 200, 'k' || n, 'p' || n % 7000, '', '{}',
              CASE WHEN n % 4 > 0 THEN 'accepted' WHEN n % 400 = 0 THEN 'sending' ELSE 'queued' END, '',
              CASE WHEN n % 40 = 4 THEN 1 ELSE 0 END, n, CASE WHEN n % 20 = 8 THEN n END, 's', 0, 2, 'l' || n % 50,
              0, 0, 0, 0, n, n
       FROM generate_series(1, 20000) n""",
    """INSERT INTO tallies SELECT 'c' || n % 200, 'l' || n % 50, 2, n, 's',
              CASE WHEN n % 30 > 0 THEN 'accepted' WHEN n % 60 = 0 THEN 'waiting' ELSE 'queued' END, '', 1
       FROM generate_series(1, 6000) n""",
    "ANALYZE campaigns, messages, tallies",
)


@pytest.mark.asyncio
async def test_what_is_asked_all_the_time_goes_by_its_index() -> None:
    wrong = []
    async with opened() as store, store.transaction() as tx:
        for statement in FULL:
            await tx.execute(text(statement))
        for name, (ask, index) in (USED | LIVE_ONLY).items():
            statement, parameters = (await asked(store, tx, ask))[0]
            plan = [line for (line,) in await tx.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
            meant = "uq_messages_campaign_key" if name == "digests" else index.partition(" ")[0]
            if meant.startswith("ix_tallies_live"):
                meant = "ix_tallies_live"       # either holds just these, and is as good
            scanned = [line for line in plan if "Seq Scan on messages" in line or "Seq Scan on tallies" in line]
            if scanned or not any(meant in line for line in plan):
                wrong.append((name, meant, plan))
    assert wrong == []
