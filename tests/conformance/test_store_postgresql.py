"""What PostgreSQL alone has: a lock over all daemons, leases, a schema, its settings, its errors and its plans."""

import asyncio
import traceback
from dataclasses import replace
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError
from support.postgresql import (
    connect,
    emptied,
    named,
    named_in,
    new_database,
    opened,
    opened_too,
    tell,
    until_somebody_waits,
)
from support.stores import NOW, campaign, people
from support.tcp_proxy import proxy

from config.postgresql import SslMode
from dispatcher.store import campaigns, customers, domains, instances, migrate, postgresql_session
from dispatcher.store.copy_in import copy_in
from dispatcher.store.database import StoreError, StoreLostError, StoreUnreachableError
from dispatcher.store.instances import Who
from dispatcher.store.postgresql import Address, PostgresqlStore
from dispatcher.store.tables import messages, metadata


async def refusal(address: Address) -> str:
    with pytest.raises(StoreError) as refused:
        await PostgresqlStore.open(address, "send")
    return str(refused.value)


# The lock

@pytest.mark.asyncio
async def test_transactions_of_two_daemons_come_one_after_the_other_first_come_first_served() -> None:
    address = await emptied()
    told: list[str] = []

    async def write(store: PostgresqlStore, name: str) -> None:
        async with store.transaction() as tx:
            told.append(f"{name} begins")
            await campaign(tx, name)
            await tx.exec_driver_sql("SELECT pg_sleep(0.05)")
            told.append(f"{name} sees {len(await campaigns.every(tx))}")

    async with opened(address) as one, opened_too(address) as other:
        await asyncio.gather(*(write(store, f"{store is one:d}{number}") for number in range(3)
                               for store in (one, other)))
    assert [line.partition(" ")[2] for line in told] == [
        word for number in range(1, 7) for word in ("begins", f"sees {number}")]
    assert {line[0] for line in told[:4]} == {"0", "1"}


@pytest.mark.asyncio
async def test_what_somebody_has_committed_is_seen_by_who_waited_for_the_lock() -> None:
    address = await emptied()
    async with opened(address) as one, opened_too(address) as other:
        async with one.transaction() as tx:
            await campaign(tx)
            waiting = asyncio.create_task(named(other))
            await until_somebody_waits(address)
        assert await waiting == ["delay"]


@pytest.mark.asyncio
async def test_a_daemon_that_stands_still_in_a_transaction_keeps_the_others_out_only_for_a_while(
        monkeypatch: pytest.MonkeyPatch) -> None:
    address = await emptied()
    monkeypatch.setitem(postgresql_session.WORKING, "idle_in_transaction_session_timeout", "200")
    async with opened(address) as one, opened_too(address) as other:
        with pytest.raises(DBAPIError):  # noqa: PT012 -- what raises is the statement after the end
            async with one.transaction() as tx:
                await campaign(tx)
                assert await named(other) == []
                await named_in(tx)
        assert await named(one) == []


@pytest.mark.asyncio
async def test_who_waits_too_long_for_the_others_is_told_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    address = await emptied()
    monkeypatch.setitem(postgresql_session.WORKING, "lock_timeout", "50")
    async with opened(address) as one, opened_too(address) as other:
        async with one.transaction():
            with pytest.raises(DBAPIError, match="lock timeout"):
                await named(other)
        assert await named(other) == []


# Leases

@pytest.mark.asyncio
async def test_a_daemon_whose_lease_has_lapsed_writes_nothing_any_more() -> None:
    async with opened() as store:
        async with store.transaction() as tx:
            store.instance = await instances.join(tx, Who("mars", "", 7), 60_000)
        async with store.transaction() as tx:
            await campaign(tx)
        await tell("UPDATE instances SET lease_until = 0", address=store._address)
        for _ in range(2):
            with pytest.raises(StoreLostError, match=r"lease of this daemon .* has lapsed"):
                async with store.transaction() as tx:
                    await campaign(tx, "stale")
            with pytest.raises(StoreLostError, match=r"lease of this daemon .* has lapsed"):
                async with store.aside():
                    pass
        async with opened_too(store._address) as other:
            assert await named(other) == ["delay"]


@pytest.mark.asyncio
async def test_a_lease_that_was_renewed_while_a_transaction_waited_for_its_turn_lasts() -> None:
    address = await emptied()
    async with opened(address) as one, opened_too(address) as other:
        async with other.transaction() as tx:
            other.instance = await instances.join(tx, Who("mars", "", 7), 400)
        async with one.transaction() as tx:
            waiting = asyncio.create_task(named(other))
            await until_somebody_waits(address)
            async with other.aside() as beside:
                assert await instances.beat(beside, other.instance, 60_000)
            await tx.exec_driver_sql("SELECT pg_sleep(0.5)")
        assert await waiting == []


@pytest.mark.asyncio
async def test_a_look_aside_waits_for_no_transaction_and_gets_over_the_end_of_its_session() -> None:
    address = await emptied()
    async with opened(address) as one, opened_too(address) as other, one.transaction():
        for _ in range(2):
            async with other.aside() as beside:
                backend = (await beside.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
        await tell(f"SELECT pg_terminate_backend({backend}, 5000)", address=address)
        await asyncio.sleep(0.05)      # until this side has heard of it, too
        async with other.aside() as beside:
            assert (await beside.exec_driver_sql("SELECT 1")).scalar_one() == 1


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


@pytest.mark.asyncio
async def test_a_migration_waits_for_nobody_of_an_earlier_version_and_says_who_is_there(
        monkeypatch: pytest.MonkeyPatch) -> None:
    async with new_database() as address:
        engine = postgresql_session.make_engine(address, postgresql_session.PATIENT)
        async with engine.begin() as connection:
            await connection.run_sync(lambda one: command.upgrade(migrate.configuration(one), "0002"))
        await engine.dispose()
        monkeypatch.setattr(postgresql_session, "_PATIENTLY", text("SET LOCAL lock_timeout = '50ms'"))
        daemon = await connect(address)
        await daemon.execute(f"SELECT pg_advisory_lock({postgresql_session._CLASS}, hashtext(current_schema()))")
        assert "a dispatcher of an earlier version is at work in it" in await refusal(address)
        await daemon.close()
        async with opened(address) as store, store.transaction() as tx:
            await instances.join(tx, Who("mars", "", 7), 60_000)
        await tell("UPDATE alembic_version SET version_num = '0002'", address=address)
        assert "daemons of an earlier version are at work in it, on mars" in await refusal(address)


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
    assert found == ["on", "read committed", "force_custom_plan", "dispatcher", "1min", "10s", "5s"]


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
async def test_a_long_list_of_values_is_one_parameter() -> None:
    async with opened() as store, store.transaction() as tx:
        await people(tx, "a", "b")
        assert sorted(await customers.get(tx, ["a", "b", *(f"x{number}" for number in range(40_000))])) == ["a", "b"]


COLUMNS = ("key", "campaign", "attempts", "customer", "digest", "data", "not_before", "created_at", "doubts", "begun",
           "waiting", "segment", "rank", "lane", "priority", "state", "reason")
REST = ("c1", "", "{}", 0, NOW, 0, 0, 0, "*", 0, "l", 2, "queued", "")


async def copied(store: PostgresqlStore, *rows: tuple[Any, ...]) -> None:
    async with store.transaction() as tx:
        await campaign(tx)
        await copy_in(tx, messages, COLUMNS, [(*row, *REST) for row in rows])
        assert (await tx.exec_driver_sql("SHOW plan_cache_mode")).scalar() == "force_custom_plan"


@pytest.mark.asyncio
@pytest.mark.parametrize("rows", [
    [("secret@mail.example", "nothing", 0)], [("secret@mail.example", "delay", 0)] * 2,
    [("secret@mail.example", "delay", "many")], [("secret@mail.example", "delay", 2**40)],
    [("secret@mail.example\0", "delay", 0)],
])
async def test_what_cannot_be_copied_in_is_an_error_like_any_other_and_quotes_nobody(
    rows: list[tuple[Any, ...]],
) -> None:
    async with opened() as store:
        with pytest.raises(DBAPIError) as failed:
            await copied(store, *rows)
        assert "secret" not in "".join(traceback.format_exception(failed.value))
        await copied(store, ("a", "delay", 0))      # the session works as before
        async with store.transaction() as tx:
            assert (await tx.execute(select(messages.c.key))).scalars().all() == ["a"]


async def next_number(session: postgresql_session.Session) -> int:
    async with session.connection.begin():
        return int((await session.connection.exec_driver_sql(
            "SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text)")).scalar_one())


@pytest.mark.asyncio
async def test_a_transaction_whose_number_is_still_to_be_given_went_with_the_server_that_crashed() -> None:
    # What the server does not know yet it will give to another transaction, and would then say that it was committed.
    session = await postgresql_session.dial(
        postgresql_session.make_engine(await emptied(), postgresql_session.WORKING))
    try:
        assert await postgresql_session.fate(session, str(await next_number(session) + 1_000)) == "aborted"
    finally:
        await postgresql_session.hang_up(session.connection)


@pytest.mark.asyncio
async def test_a_new_session_lets_numbers_pass_that_a_crash_may_have_set_free() -> None:
    engine = postgresql_session.make_engine(await emptied(), postgresql_session.WORKING)
    session = await postgresql_session.dial(engine)
    try:
        first = await next_number(session)
        await postgresql_session.hang_up(session.connection)
        session = await postgresql_session.dial(engine)
        given = range(first, await next_number(session))
        came_to = [await postgresql_session.fate(session, str(number)) for number in given]
        assert came_to.count("aborted") >= 16       # beside them those of others
    finally:
        await postgresql_session.hang_up(session.connection)
