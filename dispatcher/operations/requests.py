"""Single messages onto the queue: requests as rows, or as the lines of a file.

Each is durable when it is answered, in transactions of some thousands. While one of them is in the store, what comes
next is read beside it; a command that has the store to itself reads in a process of its own.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from dispatcher.engine.taking import take
from dispatcher.intake.accept import REFUSED, Answer, Receipt
from dispatcher.intake.lines import Requested, read_requests
from dispatcher.intake.requests import SendRequest, parse_request
from dispatcher.operations.aside import AsideEndedError
from dispatcher.operations.campaigns import sendable
from dispatcher.operations.customers import fault_of, parsed
from dispatcher.operations.office import PART, Args, Given, Office, OperationError, Result, RowsArgs, Text

LONGEST_TEXT: Final = 16 * 1024 * 1024
"""Characters of lines that are taken at once."""
_WHY_REFUSED = {
    Answer.CONFLICT: "key: was taken before with other content, and the first stands; give another key",
    Answer.UNKNOWN_CAMPAIGN: "campaign: is not known; apply it first",
    Answer.CANCELED_CAMPAIGN: "campaign: was canceled for good; give it a new id to send it anew",
}


class RequestsArgs(RowsArgs):
    """Send requests; a row without a campaign is for this one."""

    campaign: Text = ""


class LinesArgs(Args):
    """Lines of NDJSON, the first of which has this number in its file; all are for one campaign."""

    campaign: Given
    first: Annotated[int, Field(ge=1)]
    text: Annotated[str, Field(max_length=LONGEST_TEXT)]


class _Tally:
    """What requests came to, and the faults of those that were refused."""

    def __init__(self) -> None:
        self._answers: Counter[Receipt] = Counter()
        self.faults: list[dict[str, Any]] = []

    def add(self, numbers: Sequence[int], receipts: Sequence[Receipt]) -> None:
        """The receipts of some requests, by the numbers of their lines."""
        # Who is alike has one receipt between them; to compare thousands by what they say takes far longer.
        each = {id(receipt): receipt for receipt in receipts}
        for number, count in Counter(map(id, receipts)).items():
            self._answers[each[number]] += count
        if any(receipt.answer in REFUSED for receipt in each.values()):
            self.faults += [fault_of(line, _WHY_REFUSED[receipt.answer])
                            for line, receipt in zip(numbers, receipts, strict=True) if receipt.answer in REFUSED]

    def result(self) -> Result:
        """As the operation answers."""
        queued, skipped, before = 0, Counter[str](), Counter[str]()
        for receipt, count in self._answers.items():
            if receipt.answer is Answer.QUEUED:
                queued += count
            elif receipt.answer is Answer.SKIPPED:
                skipped[receipt.reason] += count
            elif receipt.answer is Answer.DUPLICATE:
                before[receipt.state] += count
        self.faults.sort(key=lambda fault: fault["line"])
        return {"queued": queued, "skipped": dict(skipped), "duplicate": before.total(), "before": dict(before),
                "faults": self.faults}


async def requests(office: Office, args: RequestsArgs) -> Result:
    """Take requests; refused ones are faults of their rows, the others stand."""
    default = {"campaign": args.campaign} if args.campaign else {}
    tally = _Tally()
    good, tally.faults = await parsed(
        args.rows, lambda values, now: parse_request(values if "campaign" in values else {**default, **values}, now),
        office.works.clock.now())
    for start in range(0, len(good), PART):
        some = good[start:start + PART]
        await _take(office, [line for line, _ in some], [request for _, request in some], tally)
    return tally.result()


async def lines(office: Office, args: LinesArgs) -> Result:
    """Take the requests in some lines of a file; refused ones are faults of their lines, the others stand."""
    await sendable(office, args.campaign)
    some, tally, read = args.text.split("\n"), _Tally(), 0
    spans = _spans(len(some), await office.part())

    def ask(start: int, end: int) -> asyncio.Future[Requested]:
        read_aside = office.aside.at_length if start else office.aside.briefly
        return asyncio.ensure_future(
            read_aside(read_requests, some[start:end], args.first + start, args.campaign, office.works.clock.now()))

    ahead: asyncio.Future[Requested] | None = ask(*next(spans))
    try:
        while ahead is not None:
            try:
                found = await ahead
            except AsideEndedError:
                raise OperationError("failed", "the process that reads the file was ended; send it again, nobody is "
                                     "added twice") from None
            following = next(spans, None)
            ahead = ask(*following) if following is not None else None
            tally.faults += [fault_of(bad.line, bad.reason) for bad in found.bad]
            read += found.read
            await _take(office, found.numbers, found.requests, tally)
    finally:
        if ahead is not None:
            ahead.cancel()
    return tally.result() | {"read": read}


def _spans(count: int, part: int) -> Iterator[tuple[int, int]]:
    """Where the parts of so many lines begin and end. The first are short: nothing else is done while they are read."""
    start, size = 0, PART
    while start < count:
        yield start, min(start + size, count)
        start, size = start + size, min(3 * size, part)


async def _take(office: Office, numbers: Sequence[int], some: Sequence[SendRequest], tally: _Tally) -> None:
    if not some:
        return
    receipts = await take(office.works, some, office.works.clock.now())
    tally.add(numbers, receipts)
    if any(receipt.answer is Answer.QUEUED for receipt in receipts):
        office.wake()
