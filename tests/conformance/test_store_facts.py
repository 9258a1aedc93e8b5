"""What every store keeps beside the queue: customers, campaigns, holds, suppressions, history, expansions."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from support.stores import DAY, HOUR, LANE, MINUTE, NOW, STORES, add, batch, campaign, new, people
from support.truth import assert_true

from dispatcher.core.model import Customer
from dispatcher.core.retry import Next
from dispatcher.core.states import State
from dispatcher.store import campaigns, controls, customers, events, incidents, journal, life, queue, tallies
from dispatcher.store.campaigns import Heading
from dispatcher.store.controls import Hold, Suppression
from dispatcher.store.events import Event, Kind
from dispatcher.store.journal import Finding
from dispatcher.store.tables import attempts, messages
from dispatcher.store.tallies import Deltas

ANN = Customer("a", email="ann@mail.example", phone="+491711234567", name="Änn", locale="de", timezone="Europe/Berlin",
               location="DE/Berlin", plan="pro", engagement="high", last_product_at=1, last_order_at=2,
               last_support_at=3, consent=frozenset({"promotional", "service"}), attributes={"b": "2", "a": "ü"})


@pytest_asyncio.fixture(params=sorted(STORES))
async def tx(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncConnection]:
    """A transaction in a store with a campaign; whatever a test did in it, its tallies and ledger are true."""
    async with STORES[request.param](tmp_path) as store, store.transaction() as transaction:
        await campaign(transaction)
        yield transaction
        await assert_true(transaction)


# Customers

@pytest.mark.asyncio
async def test_a_customer_comes_back_as_he_was_put(tx: AsyncConnection) -> None:
    await customers.put(tx, [ANN, Customer("b")], NOW)
    assert await customers.get(tx, ["a", "b", "c"]) == {"a": ANN, "b": Customer("b")}
    await customers.put(tx, [replace(ANN, name="Anna")], NOW)
    assert (await customers.get(tx, ["a"]))["a"].name == "Anna"


@pytest.mark.asyncio
async def test_facts_have_come_in_when_customers_have_and_also_when_nothing_changed(tx: AsyncConnection) -> None:
    assert await customers.facts_at(tx) is None
    await customers.put(tx, [ANN], NOW)
    await customers.put(tx, [], NOW + HOUR)
    assert await customers.facts_at(tx) == NOW + HOUR


@pytest.mark.asyncio
async def test_texts_stand_in_the_order_of_their_bytes_and_no_two_of_them_are_the_same(tx: AsyncConnection) -> None:
    ids = ["a", "B", "_", "ä", "a\u0308", "Z", "a-b", "a b", "A", "\U0001f600", "\uffee"]
    await people(tx, *ids)
    ordered = sorted(ids, key=str.encode)
    assert [one.id for one in await customers.page(tx, "", 100)] == ordered
    assert [one.id for one in await customers.page(tx, "a", 100)] == ordered[ordered.index("a") + 1:]


@pytest.mark.asyncio
async def test_customers_are_paged_in_the_order_of_their_ids(tx: AsyncConnection) -> None:
    await people(tx, "b", "a", "d", "c")
    assert [one.id for one in await customers.page(tx, "", 3)] == ["a", "b", "c"]
    assert [one.id for one in await customers.page(tx, "c", 3)] == ["d"]


@pytest.mark.asyncio
async def test_what_is_out_keeps_its_customer_as_he_was_at_first_and_what_is_not_does_not(tx: AsyncConnection) -> None:
    await customers.put(tx, [ANN], NOW)
    out, _ = await add(tx, new("a", key="out"), new("a", key="in"))
    await batch(tx, [out])
    assert await customers.released_of(tx, ["a", "b"]) == {"a"}
    for name in ("Anna", "Antje"):
        before = (await customers.get(tx, ["a"]))["a"]
        await customers.keep_snapshots(tx, [before])
        await customers.put(tx, [replace(ANN, name=name)], NOW)
    deltas = Deltas()
    await queue.give_back(tx, [out], 0, deltas)
    await tallies.apply(tx, deltas)
    first, second = [queue.claimed_of(row) for row in await queue.head(tx, LANE, ("delay", 2, 0), 0, 9)]
    assert (first.snapshot, second.snapshot) == (ANN, None)
    assert second.customer is not None
    assert second.customer.name == "Antje"


@pytest.mark.asyncio
async def test_what_has_ended_keeps_no_snapshot(tx: AsyncConnection) -> None:
    await customers.put(tx, [ANN], NOW)
    [out] = await batch(tx, await add(tx, new("a")))
    deltas = Deltas()
    await journal.write(tx, [Finding(out, NOW, NOW, "accepted", "", "", True, Next(State.ACCEPTED))], NOW, deltas)  # noqa: FBT003 -- a record's field
    await tallies.apply(tx, deltas)
    assert await customers.released_of(tx, ["a"]) == set()
    await customers.keep_snapshots(tx, [ANN])
    assert (await tx.execute(select(messages.c.snapshot))).scalars().all() == [None]


@pytest.mark.asyncio
async def test_an_erased_customer_leaves_no_data_and_the_ledger_stays(tx: AsyncConnection) -> None:
    await customers.put(tx, [ANN], NOW)
    [out] = await batch(tx, await add(tx, new("a", data='{"secret":1}')))
    await customers.keep_snapshots(tx, [ANN])
    deltas = Deltas()
    gone = Finding(out, NOW, NOW, "rejected", "550", "no ann@mail.example here", True, Next(State.REJECTED))  # noqa: FBT003 -- a record's field
    await journal.write(tx, [gone], NOW, deltas)
    await tallies.apply(tx, deltas)
    await controls.suppress(tx, [Suppression("ann@mail.example", "*", "manual", "", NOW)])
    assert await customers.erase(tx, "a")
    assert not await customers.erase(tx, "a")
    assert await customers.get(tx, ["a"]) == {}
    assert list(await tx.execute(select(messages.c.data, messages.c.snapshot, messages.c.state))) == [
        ("{}", None, "rejected")]
    assert (await tx.execute(select(attempts.c.detail))).scalars().all() == [""]
    assert await controls.suppressed(tx, ["ann@mail.example"])


# Campaigns

@pytest.mark.asyncio
async def test_the_same_content_is_no_new_version_and_other_content_is(tx: AsyncConnection) -> None:
    heading = Heading("flood", "service", "water", 1)
    assert await campaigns.apply(tx, heading, "one", "d1", NOW) == (1, True)
    assert await campaigns.apply(tx, heading, "one", "d1", NOW + 1) == (1, False)
    await campaigns.approve(tx, "flood", 1, "Ann", NOW + 2)
    assert (await campaigns.get(tx, "flood")).approved_by == "Ann"
    assert await campaigns.apply(tx, replace(heading, sequence=2), "two", "d2", NOW + 3) == (2, True)
    stored = await campaigns.get(tx, "flood")
    assert (stored.version, stored.sequence, stored.approved_at, stored.digest) == (2, 2, None, "d2")
    assert [await campaigns.content(tx, "flood", version) for version in (1, 2, 3)] == ["one", "two", None]
    assert [one.id for one in await campaigns.every(tx)] == ["delay", "flood"]
    assert await campaigns.get(tx, "none") is None


@pytest.mark.asyncio
async def test_a_canceled_campaign_is_told_as_long_as_it_has_something_queued(tx: AsyncConnection) -> None:
    await add(tx, new("a", not_before=NOW + 1))
    assert await campaigns.canceled_with_queue(tx) == []
    await campaigns.cancel(tx, "delay", "over", NOW)
    assert await campaigns.canceled_with_queue(tx) == ["delay"]
    [(message, state)] = await queue.of_campaign(tx, "delay", 0, 9)
    deltas = Deltas()
    await queue.skip(tx, [message], "canceled", NOW, deltas, before=state)
    await tallies.apply(tx, deltas)
    assert await campaigns.canceled_with_queue(tx) == []


@pytest.mark.asyncio
async def test_an_incidents_earlier_campaigns_and_each_customers_latest_are_known(tx: AsyncConnection) -> None:
    for sequence in (1, 2, 3):
        await campaign(tx, f"flood{sequence}", incident="flood", sequence=sequence)
    await campaign(tx, "storm1", incident="storm", sequence=9)
    await add(tx, new("a", "flood1"), new("a", "flood2", skipped="inactive"), new("b", "flood1"), new("b", "storm1"))
    assert sorted(await incidents.earlier(tx, "flood", 3)) == ["flood1", "flood2"]
    assert await incidents.latest_sequences(tx, "flood", ["a", "b", "c"]) == {"a": 2, "b": 1}


@pytest.mark.asyncio
async def test_an_update_that_was_not_meant_for_a_customer_or_taken_back_overtakes_nothing(tx: AsyncConnection) -> None:
    for sequence in (1, 2):
        await campaign(tx, f"flood{sequence}", incident="flood", sequence=sequence)
    await add(tx, *(new(customer, "flood1") for customer in "abc"), new("a", "flood2", skipped="no_segment"),
              new("b", "flood2", skipped="canceled"), new("c", "flood2", skipped="expired"))
    assert await incidents.latest_sequences(tx, "flood", ["a", "b", "c"]) == {"a": 1, "b": 1, "c": 2}


@pytest.mark.asyncio
async def test_an_incident_is_closed_by_a_closing_campaign_that_has_messages_and_was_not_canceled(
    tx: AsyncConnection
) -> None:
    await campaign(tx, "flood1", incident="flood", sequence=1)
    await campaign(tx, "flood9", incident="flood", sequence=9, closes=True)
    await add(tx, new("a", "flood1"))
    assert await incidents.closed_at(tx, "flood") == 0
    await add(tx, new("b", "flood9"))
    assert await incidents.closed_at(tx, "flood") == 9
    assert await incidents.closed_at(tx, "storm") == 0
    await campaigns.cancel(tx, "flood9", "too early", NOW)
    assert await incidents.closed_at(tx, "flood") == 0


@pytest.mark.asyncio
async def test_informed_is_who_has_got_an_earlier_update_or_perhaps_has(tx: AsyncConnection) -> None:
    for sequence in (1, 2):
        await campaign(tx, f"flood{sequence}", incident="flood", sequence=sequence)
    await add(tx, new("a", "flood1"), new("b", "flood2"))
    told = []
    for state, begun, doubts in (("queued", 0, 0), ("queued", 0, 1), ("sending", 0, 0), ("sending", 1, 0),
                                 ("accepted", 0, 0), ("in_doubt", 0, 1), ("rejected", 0, 0), ("skipped", 0, 0)):
        await tx.execute(update(messages).values(state=state, begun=begun, doubts=doubts))
        told.append(await incidents.informed(tx, "flood", 2, ["a", "b", "c"]))
    assert told == [set(), {"a"}, set(), {"a"}, {"a"}, {"a"}, set(), set()]
    await tx.execute(update(messages).values(state="queued", begun=0, doubts=0))


# The mark

@pytest.mark.asyncio
async def test_the_mark_of_the_clock_only_grows_but_for_a_persons_word(tx: AsyncConnection) -> None:
    assert await life.seen_at(tx) == 0
    for now, seen in ((NOW, NOW), (NOW - DAY, NOW), (NOW + 9, NOW + 9), (999, NOW + 9)):
        await life.mark(tx, now)
        assert await life.seen_at(tx) == seen
    await life.trust(tx, NOW - DAY)
    assert await life.seen_at(tx) == NOW - DAY


@pytest.mark.asyncio
async def test_an_event_moves_the_mark_and_the_newest_of_a_kind_is_found(tx: AsyncConnection) -> None:
    assert await events.last_of(tx, Kind.STARTED) is None
    await events.note(tx)
    await events.note(tx, Event(NOW + 5, Kind.STARTED, cause="after a crash"), Event(NOW, Kind.STOPPED),
                      Event(NOW, Kind.HELD))
    assert await life.seen_at(tx) == NOW + 5
    assert (await events.last_of(tx, Kind.STARTED, Kind.STOPPED)).kind is Kind.STOPPED
    assert await events.last_of(tx, Kind.STARTED) == Event(NOW + 5, Kind.STARTED, cause="after a crash")


@pytest.mark.asyncio
async def test_an_expansion_goes_on_where_it_was(tx: AsyncConnection) -> None:
    begun = await campaigns.start_expansion(tx, "delay", NOW)
    assert await campaigns.start_expansion(tx, "delay", NOW) == begun
    further = replace(begun, cursor="c500", accepted=490, duplicate=10)
    await campaigns.expanded(tx, further, None)
    assert await campaigns.unfinished_expansions(tx) == [further]
    await campaigns.expanded(tx, further, NOW)
    assert await campaigns.unfinished_expansions(tx) == []
    assert (await campaigns.start_expansion(tx, "delay", NOW)).id != begun.id


# Holds and suppressions

@pytest.mark.asyncio
async def test_a_hold_is_in_force_until_it_is_resumed_or_its_time_is_over(tx: AsyncConnection) -> None:
    await controls.hold(tx, Hold("lane", LANE, "slow", "ann", NOW, None))
    await controls.hold(tx, Hold("everything", "", "fire", "ann", NOW, NOW + MINUTE))
    assert [hold.kind for hold in await controls.current_holds(tx, NOW + MINUTE - 1)] == ["everything", "lane"]
    assert [hold.kind for hold in await controls.current_holds(tx, NOW + MINUTE)] == ["lane"]
    await controls.hold(tx, Hold("lane", LANE, "slower", "bob", NOW + 1, NOW + DAY))
    [_, lane] = await controls.current_holds(tx, NOW)
    assert (lane.reason, lane.by, lane.until) == ("slower", "bob", NOW + DAY)
    assert await controls.resume(tx, "lane", LANE)
    assert not await controls.resume(tx, "lane", LANE)


@pytest.mark.asyncio
async def test_holds_that_have_run_out_are_taken_away_and_others_stay(tx: AsyncConnection) -> None:
    await controls.hold(tx, Hold("everything", "", "fire", "ann", NOW, NOW + MINUTE))
    await controls.hold(tx, Hold("campaign", "delay", "wait", "ann", NOW, None))
    ended = [await controls.end_holds(tx, NOW + offset) for offset in (MINUTE - 1, MINUTE, DAY)]
    assert ended == [[], [Hold("everything", "", "fire", "ann", NOW, NOW + MINUTE)], []]
    assert [hold.kind for hold in await controls.current_holds(tx, NOW)] == ["campaign"]


@pytest.mark.asyncio
async def test_a_suppression_covers_one_category_or_all_and_its_first_reason_stands(tx: AsyncConnection) -> None:
    await controls.suppress(tx, [
        Suppression("a@x.example", "promotional", "unsubscribe", "", NOW),
        Suppression("b@x.example", "*", "bounce", "550", NOW),
        Suppression("b@x.example", "*", "manual", "later", NOW),
        Suppression("c@x.example", "service", "manual", "", NOW)])
    found = await controls.suppressed(tx, ["a@x.example", "b@x.example", "none@x.example"])
    reasons = [controls.reason_for(found, address, category) for address, category in (
        ("a@x.example", "promotional"), ("a@x.example", "service"), ("b@x.example", "service"),
        ("c@x.example", "service"), ("none@x.example", "service"))]
    assert reasons == ["unsubscribe", "", "bounce", "", ""]
    assert [one.address for one in await controls.suppressions_page(tx, "a@x.example", 9)] == [
        "b@x.example", "c@x.example"]
    assert await controls.unsuppress(tx, "b@x.example") == 1
    assert await controls.unsuppress(tx, "b@x.example") == 0


# History

@pytest.mark.asyncio
async def test_contacts_are_what_went_out_is_out_or_is_in_doubt_of_that_category(tx: AsyncConnection) -> None:
    await campaign(tx, "offer", category="promotional")
    made = await batch(tx, await add(tx, *(new("a", key=f"k{number}") for number in range(5))))
    deltas = Deltas()
    ends = [Next(State.ACCEPTED), Next(State.IN_DOUBT), Next(State.REJECTED), Next(State.QUEUED, NOW + HOUR)]
    names = ["accepted", "in_doubt", "rejected", "deferred"]
    await journal.write(tx, [
        Finding(message, NOW, NOW, name, "", "", True, following)  # noqa: FBT003 -- a record's field
        for message, name, following in zip(made, names, ends, strict=False)], NOW + MINUTE, deltas)
    await tallies.apply(tx, deltas)
    found = await controls.contacts(tx, ["a", "b"], "service", NOW - DAY)
    assert {customer: sorted(instants) for customer, instants in found.items()} == {
        "a": [NOW, NOW + MINUTE, NOW + MINUTE]}
    assert sorted((await controls.contacts(tx, ["a"], "service", NOW))["a"]) == [NOW + MINUTE, NOW + MINUTE]
    assert await controls.contacts(tx, ["a"], "promotional", 0) == {}
