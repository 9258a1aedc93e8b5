"""Addresses that nothing goes to: added, taken away, listed, imported."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Literal

from pydantic import Field

from config.addresses import normalise
from dispatcher.core.audience import UNSUBSCRIBE
from dispatcher.core.model import Category, SkipReason
from dispatcher.engine.underway import Item, to_address
from dispatcher.intake.strict import RowFault, check_text, unknown_key
from dispatcher.operations.customers import parsed
from dispatcher.operations.office import (
    MOST_ROWS,
    Args,
    Given,
    Limit,
    Office,
    OperationError,
    Result,
    RowIn,
    RowsArgs,
    Text,
    said,
)
from dispatcher.store import controls, life, reading
from dispatcher.store.controls import ALL_CATEGORIES, Suppression
from dispatcher.store.database import CHUNK

Reason = Literal["manual", "bounce", "complaint", "unsubscribe"]
REASONS = ("manual", "bounce", "complaint", "unsubscribe")
CATEGORIES = (ALL_CATEGORIES, *(str(category) for category in Category))
_COLUMNS = ("address", "category", "reason", "note")


class AddArgs(Args):
    """Addresses to write to no more; of one category, or of all."""

    addresses: list[str] = Field(min_length=1, max_length=MOST_ROWS)
    category: Text = ALL_CATEGORIES
    reason: Reason = "manual"
    note: Text = ""


class RemoveArgs(Args):
    """An address that may be written to again."""

    address: Given


class ListArgs(Args):
    """A page of the list, behind an address."""

    after: Text = ""
    limit: Limit = 100


async def add(office: Office, args: AddArgs) -> Result:
    """Suppress addresses; what is on its way to them and has not begun is skipped."""
    rows = [RowIn(line=number, values={"address": address, "category": args.category, "reason": args.reason,
                                       "note": args.note}) for number, address in enumerate(args.addresses, 1)]
    return await _suppress(office, rows)


async def import_rows(office: Office, args: RowsArgs) -> Result:
    """Suppress the addresses of a file's rows; bad rows are named and left out."""
    return await _suppress(office, args.rows)


async def remove(office: Office, args: RemoveArgs) -> Result:
    """Take every suppression of an address away."""
    try:
        address = normalise(args.address)
    except ValueError as error:
        raise OperationError("usage", f"the address {error}") from None
    async with office.works.database.transaction() as tx:
        removed = await controls.unsuppress(tx, address)
    return {"removed": removed}


async def listed(office: Office, args: ListArgs) -> Result:
    """Suppressed addresses in order; `next` is where the following page begins, null at the end."""
    async with office.works.database.transaction() as tx:
        found = await controls.suppressions_page(tx, args.after, args.limit + len(CATEGORIES))
    page = found[:args.limit]
    rest = found[args.limit:]
    if rest:   # an address with several categories stays on one page
        page += takewhile(lambda one: one.address == page[-1].address, rest)
    return {
        "suppressions": [{"address": one.address, "category": one.category, "reason": one.reason, "note": one.note,
                          "at": said(one.at)} for one in page],
        "next": page[-1].address if len(found) > len(page) else None,
    }


async def _suppress(office: Office, rows: Sequence[RowIn]) -> Result:
    works = office.works
    good, faults = await parsed(rows, _suppression, works.clock.now())
    added = stopped = 0
    elsewhere = False
    for start in range(0, len(good), CHUNK):
        chunk = [one for _, one in good[start:start + CHUNK]]
        async with works.database.transaction() as tx:
            before = await reading.suppressions_of(tx, [one.address for one in chunk])
            await controls.suppress(tx, chunk)
            await life.mark(tx, works.clock.now())
            elsewhere = await office.elsewhere(tx)
        known = {(one.address, one.category) for one in before}
        added += len({(one.address, one.category) for one in chunk} - known)
        for reason in REASONS:
            mine = [one for one in chunk if one.reason == reason]
            if mine:
                stopped += await office.stop_items(_covers(mine), _skip_reason(reason))
    return {"added": added, "stopped": stopped, "elsewhere": elsewhere, "faults": faults}


def _suppression(values: object, now: int) -> Suppression:
    """One row; raises RowFault."""
    if not isinstance(values, dict):
        raise RowFault("row", "must have an address")
    if "email" in values and "address" not in values:    # as customers' files call it
        values = {"address": values["email"]} | {name: value for name, value in values.items() if name != "email"}
    for name in values:
        if name not in _COLUMNS:
            raise unknown_key(name, _COLUMNS)
    text = check_text("address", values.get("address", ""), 500)
    try:
        address = normalise(text)
    except ValueError as error:
        raise RowFault("address", str(error)) from None
    category = check_text("category", values.get("category", ALL_CATEGORIES), 50)
    if category not in CATEGORIES:
        raise RowFault("category", f"is none of {', '.join(CATEGORIES)}")
    reason = check_text("reason", values.get("reason", "manual"), 50)
    if reason not in REASONS:
        raise RowFault("reason", f"is none of {', '.join(REASONS)}")
    return Suppression(address, category, reason, check_text("note", values.get("note", ""), 500), now)


def _covers(added: Sequence[Suppression]) -> Callable[[Item], bool]:
    """What is on its way to one of these addresses, in a category that is stopped."""
    by_category = {category: to_address([one.address for one in added if one.category == category])
                   for category in {one.category for one in added}}
    return lambda item: any(
        category in {ALL_CATEGORIES, str(item.ready.campaign.category)} and covers(item)
        for category, covers in by_category.items()
    )


def _skip_reason(reason: str) -> SkipReason:
    return SkipReason.UNSUBSCRIBED if reason == UNSUBSCRIBE else SkipReason.SUPPRESSED
